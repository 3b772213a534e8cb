"""sweep-worker by hand: a run is repeatable, and a killed run goes on to the same bits."""
import json
import signal
import struct

import pytest

from conftest import CONFIG, Run, epochs, limit_files, needs_data, only_started, types

STEPS = 4  # of an epoch of CONFIG
SMALL = dict(CONFIG, epochs=1, train_images=32, test_images=16)


def kill(process):
    process.send_signal(signal.SIGKILL)


def test_events_are_numbered_and_complete(undisturbed):
    _, events, _ = undisturbed
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "started" and events[-1]["type"] == "done"
    assert events[0]["steps_per_epoch"] == STEPS and events[0]["versions"]["onednn"]
    rows = epochs(events)
    assert [r["epoch"] for r in rows] == [1, 2]
    assert rows[1]["lr"] == pytest.approx(0.002)  # StepLR has cut it
    assert all(0 <= r["test_accuracy"] <= 100 for r in rows)


def test_final_weights_have_torchvision_names(undisturbed):
    _, _, weights = undisturbed
    assert weights["conv1.weight"][:2] == ("F32", [64, 3, 3, 3])
    assert weights["layer4.1.bn2.num_batches_tracked"][0] == "I64"
    assert struct.unpack("<q", weights["bn1.num_batches_tracked"][2]) == (2 * STEPS,)
    assert not [name for name in weights if name.startswith("optimizer")]
    assert len(weights) == 122


def test_same_seed_same_weights_whatever_the_loader_threads(tmp_path, undisturbed):
    config, events, weights = undisturbed
    workers = 3 if config["use_amp"] else 0
    run = Run(tmp_path, dict(config, num_workers=workers))
    code, again, err = run.finish()
    assert code == 0, err
    assert epochs(again) == epochs(events)
    assert run.weights() == weights


def test_precision_and_seed_matter(tmp_path, undisturbed):
    config, _, weights = undisturbed
    run = Run(tmp_path, config)
    code, _, err = run.finish("--override", "seed=6", "--override", "epochs=1", "--override", "train_images=16")
    assert code == 0, err
    assert run.weights()["conv1.weight"] != weights["conv1.weight"]


def test_killed_in_both_epochs_and_resumed_gives_the_same_bits(tmp_path, undisturbed):
    config, events, weights = undisturbed
    run = Run(tmp_path, dict(config, checkpoint_interval_s=0))
    run.until(lambda e: e["type"] == "checkpoint" and e["step"] == 2, kill)
    second, _ = run.until(lambda e: e["type"] == "checkpoint" and (e["epoch"], e["step"]) == (1, 1), kill, "--resume")
    assert second[0]["start_epoch"] == 0 and second[0]["start_step"] >= 2
    code, third, err = run.finish("--resume")
    assert code == 0, err
    assert third[0]["start_epoch"] == 1 and third[0]["start_step"] >= 1
    assert third[0]["attempt"] == 3 and third[0]["resumed_note"] is None
    assert epochs(second) + epochs(third) == epochs(events)
    assert run.weights() == weights
    assert run.weights("best") == weights or epochs(events)[0]["test_accuracy"] >= epochs(events)[1]["test_accuracy"]
    assert not (run.dir / "last.safetensors").exists()


@needs_data
@pytest.mark.parametrize("model, tensors", [("resnet8", 56), ("resnet20", 128), ("resnet34", 218)])
def test_other_networks_go_on_to_the_same_bits(tmp_path, model, tensors):
    config = dict(SMALL, model=model, train_images=96, checkpoint_interval_s=0)
    whole, killed = Run(tmp_path, config, name="whole"), Run(tmp_path, config, name="killed")
    code, _, err = whole.finish()
    assert code == 0, err
    killed.until(lambda e: e["type"] == "checkpoint", kill)
    code, events, err = killed.finish("--resume")
    assert code == 0 and events[0]["start_step"] >= 1, err
    assert killed.weights() == whole.weights() and len(whole.weights()) == tensors


@needs_data
def test_interrupted_run_checkpoints_and_goes_on(tmp_path):
    run = Run(tmp_path, SMALL)
    events, code = run.until(lambda e: e["type"] == "started", lambda p: p.send_signal(signal.SIGINT))
    assert code == 130 and events[-1]["type"] == "released"
    code, _, err = run.finish()
    assert code == 6 and "--resume" in err  # not over what is there
    code, events, err = run.finish("--resume")
    assert code == 0 and events[0]["start_step"] >= 1, err
    for options in ([], ["--resume"]):
        code, events, err = run.finish(*options)
        assert code == 6 and not events and str(run.dir) in err and "--dir" in err


@needs_data
def test_damaged_checkpoint_is_said_and_training_starts_afresh(tmp_path):
    run = Run(tmp_path, SMALL)
    run.dir.mkdir()
    (run.dir / "last.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    code, events, err = run.finish("--resume")
    assert code == 0, err
    assert "damaged safetensors file" in events[0]["resumed_note"]
    assert events[0]["start_epoch"] == events[0]["start_step"] == 0


def edit_state(path, **changes):
    """Changes members of the JSON state in a checkpoint's header."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    state = json.loads(header["__metadata__"]["state"])
    state.update(changes)
    header["__metadata__"]["state"] = json.dumps(state)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + size:])


@needs_data
def test_checkpoint_of_something_else(tmp_path):
    """Of another configuration: refused.  Of another thread count: said.  Of an impossible step: afresh."""
    run = Run(tmp_path, dict(SMALL, checkpoint_interval_s=0))
    run.until(lambda e: e["type"] == "checkpoint", kill)
    code, events, _ = run.finish("--resume", "--override", "lr=0.5")
    assert code == 1 and events[-1]["class"] == "config" and "another lr" in events[-1]["reason"]
    events, _ = run.until(lambda e: e["type"] == "started", kill, "--resume", "--threads", "1")
    assert "threads was 2, now 1" in events[0]["resumed_note"] or events[0]["device"].endswith("1 thread")
    edit_state(run.dir / "last.safetensors", step=100000)
    events, _ = run.until(lambda e: e["type"] == "started", kill, "--resume")
    assert events[0]["start_step"] == 0 and "step 100000" in events[0]["resumed_note"]


@needs_data
def test_divergence_is_named(tmp_path):
    code, events, _ = Run(tmp_path, dict(CONFIG, lr=1e6, train_images=160)).finish()
    assert code == 1
    assert events[-1]["type"] == "failed" and events[-1]["class"] == "diverged"


@needs_data
def test_batch_that_does_not_fit_is_out_of_memory(tmp_path):
    code, events, _ = Run(tmp_path, dict(CONFIG, batch_size=60000, train_images=0, test_images=16)).finish()
    assert code == 1 and types(events) == ["failed"]
    assert events[0]["class"] == "oom" and "a smaller batch_size" in events[0]["reason"]


@needs_data
def test_weights_that_diverge_in_the_last_step_are_named(tmp_path):
    """The training losses are finite; the test sees what the last step did."""
    code, events, _ = Run(tmp_path, dict(CONFIG, lr=1e6, epochs=1, train_images=16, weight_decay=1e3)).finish()
    assert code == 1
    assert types(events) == ["started", "epoch", "failed"]
    row = next(e for e in events if e["type"] == "epoch")
    assert row["test_loss"] in ("nan", "inf") and events[-1]["class"] == "diverged"


@needs_data
def test_checkpoints_that_cannot_be_written(tmp_path):
    """A limit as a full disk: training goes on, says it in the log, and fails with the last one."""
    run = Run(tmp_path, dict(SMALL, checkpoint_interval_s=0))
    code, events, _ = run.finish(preexec_fn=limit_files(1 << 20))
    assert code == 1
    assert types(events) == ["started", "epoch", "failed"]
    assert events[-1]["class"] == "internal" and "final.safetensors" in events[-1]["reason"]
    assert "checkpoint not written" in run.log()
    assert not list(run.dir.glob("*.safetensors*"))


@needs_data
def test_events_that_cannot_be_written(tmp_path):
    code, events, err = Run(tmp_path, SMALL).finish(preexec_fn=limit_files(only_started(tmp_path)))
    assert code == 1 and types(events) == ["started"]
    assert "cannot be recorded" in err
