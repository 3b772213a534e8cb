"""Samples of training steps (log_steps): each step once, whatever was killed, and the same numbers as undisturbed."""
import pytest

from conftest import CONFIG, Run, needs_data
from test_2_standalone import kill

pytestmark = needs_data
STEPS, EPOCHS, IMAGES = 7, 2, 100  # the last step is of 4 images
STEPPED = dict(CONFIG, model="resnet8", train_images=IMAGES, epochs=EPOCHS, log_steps=1, clip_grad_norm=0.5,
               scheduler="OneCycleLR", checkpoint_interval_s=1000)


def samples(events):
    """{step: (epoch, train_loss, lr, grad_norm)}; of a step that was sampled again the last one."""
    found = {}
    for event in events:
        if event["type"] == "steps":
            assert len({len(event[key]) for key in ("step", "train_loss", "lr", "grad_norm")}) == 1
            for step, *numbers in zip(event["step"], event["train_loss"], event["lr"], event["grad_norm"]):
                found[step] = (event["epoch"], *numbers)
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    code, events, err = Run(tmp_path_factory.mktemp("whole"), STEPPED).finish()
    assert code == 0, err
    return events


def test_every_step_of_an_undisturbed_run(whole):
    found = samples(whole)
    assert list(found) == list(range(1, EPOCHS * STEPS + 1))
    for epoch in (1, 2):
        row = next(e for e in whole if e["type"] == "epoch" and e["epoch"] == epoch)
        mine = [found[step] for step in range((epoch - 1) * STEPS + 1, epoch * STEPS + 1)]
        sizes = [16] * (STEPS - 1) + [4]
        assert sum(n * loss for n, (_, loss, _, _) in zip(sizes, mine)) / IMAGES == pytest.approx(row["train_loss"], rel=1e-9)
        assert {of for of, *_ in mine} == {epoch} and row["step"] == epoch * STEPS and row["lr"] == mine[0][2]
    assert len({lr for _, _, lr, _ in found.values()}) == EPOCHS * STEPS, "OneCycleLR steps with each of them"
    assert min(norm for *_, norm in found.values()) > 0
    kinds = [e["type"] for e in whole if e["type"] in ("steps", "metric", "epoch")]
    assert kinds == ["steps", "metric", "epoch"] * EPOCHS, "what belongs to an epoch comes before its row"


def test_killed_within_each_epoch_every_step_is_there_with_the_same_numbers(tmp_path, whole):
    run = Run(tmp_path, dict(STEPPED, checkpoint_interval_s=0))
    events, _ = run.until(lambda e: e["type"] == "checkpoint" and e["step"] == 3, kill)
    assert not [e for e in events if e["type"] == "epoch"] and samples(events)
    for at in ((0, 5), (1, 4)):
        more, _ = run.until(lambda e: e["type"] == "checkpoint" and (e["epoch"], e["step"]) >= at, kill, "--resume")
        started = more[0]
        before, first = started["start_epoch"] * STEPS + started["start_step"], min(samples(more))
        assert first == before + 1 and set(samples(events)) >= set(range(1, first)), "no step before the checkpoint is lost"
        events += more
    code, last, err = run.finish("--resume")
    assert code == 0, err
    assert samples(events + last) == samples(whole)


def test_every_third_step_over_the_epochs(tmp_path, whole):
    """A job killed in its first epoch counts on; samples of an epoch are one event."""
    run = Run(tmp_path, dict(STEPPED, log_steps=3, checkpoint_interval_s=0))
    events, _ = run.until(lambda e: e["type"] == "checkpoint" and e["step"] == 2, kill)
    code, last, err = run.finish("--resume")
    assert code == 0, err
    assert samples(events + last) == {step: row for step, row in samples(whole).items() if step % 3 == 0}


def test_none_are_kept_unless_asked_for(tmp_path):
    config = {key: value for key, value in STEPPED.items() if key != "log_steps"}
    code, events, err = Run(tmp_path, dict(config, epochs=1)).finish()
    assert code == 0, err
    assert "steps" not in {e["type"] for e in events}
    assert all("step" not in e for e in events if e["type"] == "epoch")


def test_steps_before_training_diverged_are_kept(tmp_path):
    config = dict(STEPPED, scheduler="none", lr=1e6, clip_grad_norm=0, epochs=9)
    code, events, err = Run(tmp_path, config).finish()
    assert code != 0 and events[-1]["type"] == "failed" and events[-1]["class"] == "diverged", err
    event = next(e for e in events if e["type"] == "steps")
    assert event["step"] == list(range(1, len(event["step"]) + 1)) and "grad_norm" not in event
    assert all(isinstance(loss, float) for loss in event["train_loss"])
