"""sweep-worker by hand: a run is repeatable, and a killed run goes on to the same bits."""
import json
import os
import pathlib
import signal
import struct
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", os.environ.get("SWEEPD_BUILD", "build")))
WORKER = (BUILD / "worker" / "sweep-worker").resolve()
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")

needs_data = pytest.mark.skipif(not FASHION.exists(), reason="dataset-fashion-mnist is not installed")

CONFIG = {
    "model": "resnet18", "dataset": "fashion-mnist", "train_images": 288, "test_images": 64, "epochs": 2,
    "batch_size": 32, "lr": 0.02, "scheduler": "StepLR", "step_size": 1, "num_workers": 2, "seed": 5,
    "checkpoint_interval_s": 1000,
}


def command(tmp_path, name, config, *options):
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(config))
    return [str(WORKER), "--standalone", "--config", str(path), "--dir", str(tmp_path / name), *options]


def run(tmp_path, name, config, *options):
    done = subprocess.run(command(tmp_path, name, config, *options), capture_output=True, text=True, timeout=300)
    return done, [json.loads(line) for line in done.stdout.splitlines()]


def tensors(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__")
    data = raw[8 + size:]
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}


def epochs(events):
    keys = ("epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return [{key: e[key] for key in keys} for e in events if e["type"] == "epoch"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    if not FASHION.exists():
        pytest.skip("dataset-fashion-mnist is not installed")
    tmp = tmp_path_factory.mktemp("undisturbed")
    done, events = run(tmp, "run", CONFIG)
    assert done.returncode == 0, done.stderr
    return events, tensors(tmp / "run" / "final.safetensors")


def test_events_are_numbered_and_complete(undisturbed):
    events, _ = undisturbed
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert events[0]["type"] == "started" and events[-1]["type"] == "done"
    rows = epochs(events)
    assert [r["epoch"] for r in rows] == [1, 2]
    assert rows[1]["lr"] == pytest.approx(0.002)  # StepLR has cut it
    assert all(0 <= r["test_accuracy"] <= 100 for r in rows)


def test_final_checkpoint_has_torchvision_names(undisturbed):
    _, weights = undisturbed
    assert weights["conv1.weight"][:2] == ("F32", [64, 3, 3, 3])
    assert weights["layer4.1.bn2.num_batches_tracked"][0] == "I64"
    assert struct.unpack("<q", weights["bn1.num_batches_tracked"][2]) == (18,)
    assert not [name for name in weights if name.startswith("optimizer")]
    assert len(weights) == 122


def test_same_seed_same_weights(tmp_path, undisturbed):
    events, weights = undisturbed
    done, again = run(tmp_path, "run", dict(CONFIG, num_workers=0))  # nor does it depend on the loader threads
    assert done.returncode == 0, done.stderr
    assert epochs(again) == epochs(events)
    assert tensors(tmp_path / "run" / "final.safetensors") == weights


def test_another_seed_other_weights(tmp_path, undisturbed):
    done, _ = run(tmp_path, "run", dict(CONFIG, seed=6))
    assert done.returncode == 0, done.stderr
    assert tensors(tmp_path / "run" / "final.safetensors") != undisturbed[1]


def test_killed_in_an_epoch_and_resumed_gives_the_same_bits(tmp_path, undisturbed):
    events, weights = undisturbed
    config = dict(CONFIG, checkpoint_interval_s=0)
    with subprocess.Popen(command(tmp_path, "run", config), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            event = json.loads(line)
            if event["type"] == "checkpoint" and event["epoch"] == 1 and event["step"] >= 2:
                process.send_signal(signal.SIGKILL)
                break
    done, resumed = run(tmp_path, "run", config, "--resume")
    assert done.returncode == 0, done.stderr
    assert resumed[0]["start_epoch"] == 1 and resumed[0]["start_step"] >= 2
    assert resumed[0]["attempt"] == 2 and resumed[0]["resumed_note"] is None
    assert epochs(resumed) == epochs(events)[1:]
    assert tensors(tmp_path / "run" / "final.safetensors") == weights
    assert not (tmp_path / "run" / "last.safetensors").exists()


@needs_data
def test_interrupted_run_checkpoints(tmp_path, undisturbed):
    with subprocess.Popen(command(tmp_path, "run", CONFIG), stdout=subprocess.PIPE, text=True,
                          stderr=subprocess.PIPE) as process:
        for line in process.stdout:
            if json.loads(line)["type"] == "started":
                process.send_signal(signal.SIGINT)
                rest = process.stdout.read().splitlines()
                break
    assert process.returncode == 130
    assert json.loads(rest[-1])["type"] == "released"
    done, resumed = run(tmp_path, "run", CONFIG, "--resume")
    assert done.returncode == 0, done.stderr
    assert tensors(tmp_path / "run" / "final.safetensors") == undisturbed[1]


@needs_data
def test_damaged_checkpoint_is_said_and_training_starts_afresh(tmp_path, undisturbed):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
    done, events = run(tmp_path, "run", CONFIG, "--resume")
    assert done.returncode == 0, done.stderr
    assert "damaged safetensors file" in events[0]["resumed_note"]
    assert tensors(tmp_path / "run" / "final.safetensors") == undisturbed[1]


@needs_data
def test_checkpoint_of_another_configuration_is_refused(tmp_path):
    config = dict(CONFIG, epochs=1, train_images=64, checkpoint_interval_s=0)
    with subprocess.Popen(command(tmp_path, "run", config), stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line)["type"] == "checkpoint":
                process.kill()
                break
    done, events = run(tmp_path, "run", dict(config, lr=0.5), "--resume")
    assert done.returncode == 1
    assert events[-1]["class"] == "config" and "another lr" in events[-1]["reason"]


@needs_data
def test_divergence_is_named(tmp_path):
    done, events = run(tmp_path, "run", dict(CONFIG, lr=1e6, use_amp=False, train_images=320))
    assert done.returncode == 1
    assert events[-1]["type"] == "failed" and events[-1]["class"] == "diverged"


def test_missing_data_set_is_a_data_failure(tmp_path):
    env = dict(os.environ, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path))
    env.pop("SWEEPD_DATA", None)
    done = subprocess.run(command(tmp_path, "run", dict(CONFIG, dataset="cifar100")), capture_output=True, text=True,
                          env=env, timeout=60)
    event = json.loads(done.stdout.splitlines()[-1])
    assert done.returncode == 1
    assert event["class"] == "data" and "cifar100" in event["reason"]


def test_configuration_errors_name_place_and_remedy(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("model: resnet18\nweight_decy: 5e-4\nlr: fast\n")
    done = subprocess.run([str(WORKER), "--standalone", "--config", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 5
    assert 'bad.yaml:2:1: error: unknown parameter "weight_decy"' in done.stderr
    assert "weight_decay" in done.stderr
    assert "bad.yaml:3:5: error:" in done.stderr
    assert done.stdout == ""


def test_usage_errors(tmp_path):
    done = subprocess.run([str(WORKER)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "--standalone" in done.stderr
