"""Every optimizer, schedule, average, early stopping and batch scheduler: a run that is killed within an epoch and again
between two goes on to the undisturbed run's bits."""
import json

import pytest

from conftest import CONFIG, Run, needs_data, tensors
from test_2_standalone import kill

pytestmark = needs_data
SMALL = dict(CONFIG, model="resnet8", train_images=40, test_images=12, epochs=4, checkpoint_interval_s=0, num_workers=0)
RECIPES = {
    "adamw": {"optimizer": "AdamW", "lr": 2e-3, "weight_decay": 0.05, "beta2": 0.99, "scheduler": "CosineAnnealingLR",
              "warmup_epochs": 2, "warmup_unit": "step", "label_smoothing": 0.1, "clip_grad_norm": 0.5, "ema_decay": 0.9},
    "onecycle": {"nesterov": True, "scheduler": "OneCycleLR", "onecycle_three_phase": True, "onecycle_div_factor": 5,
                 "decay_bn_bias": False},
    "plateau": {"optimizer": "Adam", "lr": 5e-3, "scheduler": "ReduceLROnPlateau", "plateau_metric": "test_accuracy",
                "plateau_mode": "max", "plateau_patience": 0, "plateau_threshold": 0.5, "plateau_cooldown": 1,
                "plateau_factor": 0.3, "warmup_epochs": 1, "patience": 2, "min_delta": 5, "epochs": 6},
    "fsgdm": {"use_fsgdm": True, "scheduler": "MultiStepLR", "milestones": [1, 3], "use_batch_scheduler": True,
              "batch_size": 8, "batch_every": 1, "batch_max": 20, "batch_lr_scaling": "linear"},
    "batches": {"dampening": 0.2, "scheduler": "none", "use_batch_scheduler": True, "batch_policy": "plateau",
                "batch_size": 8, "batch_patience": 0, "batch_lr_scaling": "sqrt", "ema_decay": 0.5, "lr": 0.5},
    "held_out": {"val_split": 0.25, "tta": "mirror", "ema_decay": 0.5, "patience": 4},
    "memory": {"optimizer": "AdamW", "lr": 1e-3, "use_batch_scheduler": True, "batch_policy": "memory", "batch_size": 4,
               "batch_max": 16, "batch_memory": 1},
    "mixed": {"heavy_aug": True, "color_jitter_contrast": 0.4, "color_jitter_hue": 0.1, "use_mixup": True, "mixup_alpha": 0.2,
              "use_cutmix": True, "mix_prob": 0.8, "label_smoothing": 0.1, "batch_size": 8, "num_workers": 2},
}


def results(events):
    """By epoch, what must not depend on how often the run was killed."""
    found = {}
    for e in events:
        if e["type"] == "epoch":
            keys = ("lr", "batch_size", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
            found.setdefault(e["epoch"], {}).update({key: e[key] for key in keys})
        if e["type"] == "metric":
            found.setdefault(e["epoch"], {})[e["name"]] = e["value"]
    return found


def killed_at(run, epoch, step, *options):
    events, _ = run.until(lambda e: e["type"] == "checkpoint" and (e["epoch"], e["step"]) >= (epoch, step), kill, *options)
    return events


@pytest.mark.parametrize("name", RECIPES)
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path, name):
    config = {**SMALL, **RECIPES[name]}
    whole, killed = Run(tmp_path, config, name="whole"), Run(tmp_path, config, name="killed")
    code, expected, err = whole.finish()
    assert code == 0, err
    events = killed_at(killed, 1, 1)
    events += killed_at(killed, 2, 0, "--resume")
    code, last, err = killed.finish("--resume")
    assert code == 0, err
    assert last[0]["resumed_note"] is None and last[0]["start_epoch"] >= 2
    kinds = [(e["epoch"], e["type"]) for e in expected if e["type"] in ("metric", "epoch")]
    assert kinds == sorted(kinds, key=lambda k: (k[0], k[1] == "epoch"))  # who sees an epoch has its metrics
    wanted = results(expected)
    assert results(events + last) == wanted
    names = [path.name for path in whole.dir.glob("*.safetensors")]
    averaged = "ema_decay" in RECIPES[name]
    assert ("final-ema.safetensors" in names) == ("best-ema.safetensors" in names) == averaged
    tests = [json.loads((run.dir / "confusion.json").read_text()) for run in (whole, killed)]
    assert tests[0] == tests[1]
    check_confusion(tests[0], wanted, "val_accuracy" if "val_split" in RECIPES[name] else "test_accuracy")
    for file in names:
        assert tensors(whole.dir / file) == tensors(killed.dir / file), file
    check_history(name, wanted)


def check_confusion(tests, epochs, judge):
    """The matrices of the last epoch and of the first best one say the accuracies that were recorded."""
    best = max(epochs, key=lambda epoch: (epochs[epoch][judge], -epoch))
    assert (tests["last"]["epoch"], tests["best"]["epoch"]) == (max(epochs), best)
    for test in (tests["last"], tests["best"]):
        rows = test["matrix"]
        assert sum(map(sum, rows)) == SMALL["test_images"] and len(rows) == len(tests["classes"]) == 10
        right = sum(row[k] for k, row in enumerate(rows))
        assert 100 * right / SMALL["test_images"] == pytest.approx(epochs[test["epoch"]]["test_accuracy"])
        assert test["accuracy"] == [100 * row[k] / sum(row) if sum(row) else None for k, row in enumerate(rows)]


def check_history(name, epochs):
    """That each recipe did what it is here for."""
    sizes, rates = ([e[key] for _, e in sorted(epochs.items())] for key in ("batch_size", "lr"))
    if name == "adamw":
        assert all("ema_test_loss" in e and e["ema_test_loss"] != e["test_loss"] for e in epochs.values())
        assert rates[0] < rates[1] < rates[2] > rates[3]
    if name == "onecycle":
        assert rates[0] == pytest.approx(SMALL["lr"] / 5) and max(rates) > 2 * rates[0]
    if name == "plateau":
        assert len(epochs) == 3 and rates[0] < rates[1] and min(rates) < RECIPES[name]["lr"]
    if name == "fsgdm":
        assert sizes == [8, 16, 20, 20] and rates == pytest.approx([0.02, 0.004, 0.005, 0.0005])
    if name == "batches":
        assert sizes[-1] > 8 and rates[-1] == pytest.approx(0.5 * (sizes[-1] / 8)**0.5)
    if name == "mixed":  # images are correct by the shares of their labels
        corrects = [e["train_accuracy"] / 100 * SMALL["train_images"] for e in epochs.values()]
        assert any(abs(c - round(c)) > 1e-3 for c in corrects)
    assert all(e["test_accuracy"] <= e["test_top5_accuracy"] <= 100 for e in epochs.values())
    if name == "held_out":
        assert all(e["val_loss"] != e["test_loss"] != e["mirror_test_loss"] != e["ema_mirror_test_loss"] for e in epochs.values())
        assert all(e["val_accuracy"] * 10 % 100 == pytest.approx(0) for e in epochs.values())  # of ten images
    if name == "memory":
        assert sizes[0] == 4 and sizes[-1] > 4


def test_a_checkpoint_has_torchs_names(tmp_path):
    """Slots as torch.optim calls them; the average under the model's own names in its own file."""
    run = Run(tmp_path, {**SMALL, **RECIPES["adamw"]})
    killed_at(run, 1, 1)
    last = tensors(run.dir / "last.safetensors")
    model = {name for name in last if not name.startswith(("optimizer.", "ema."))}
    params = {name.removeprefix("optimizer.exp_avg.") for name in last if name.startswith("optimizer.exp_avg.")}
    assert params == {name.removeprefix("optimizer.exp_avg_sq.") for name in last if name.startswith("optimizer.exp_avg_sq.")}
    assert "conv1.weight" in params and "bn1.running_mean" not in params and params < model
    average = {name.removeprefix("ema.") for name in last if name.startswith("ema.")}
    assert average == {name for name in model if not name.endswith("num_batches_tracked")}
    assert set(tensors(run.dir / "best-ema.safetensors")) == model == set(tensors(run.dir / "best.safetensors"))


def test_warnings_are_kept_with_the_attempt(tmp_path):
    run = Run(tmp_path, {**SMALL, "epochs": 1, "optimizer": "AdamW", "lr": 0.1, "nesterov": True, "min_delta": 0.5})
    _, events, err = run.finish()
    told = "\n".join(events[0]["warnings"])
    assert '"nesterov" true is not used: "optimizer" is "AdamW"' in told, err
    assert '"min_delta" 0.5 is not used: "patience" is 0' in told and '"lr" 0.1 is much for AdamW' in told
    assert "mixed precision" not in told


def test_mixed_precision_that_the_device_lacks_is_told(tmp_path):
    """One that has it (a CPU with bf16) has nothing to tell."""
    run = Run(tmp_path, {**SMALL, "epochs": 1, "use_amp": True})
    _, [started, *_], err = run.finish()
    told = any(text.startswith("mixed precision: no (") for text in started["warnings"])
    assert told == (started["amp"] == "fp32"), err


def test_a_batch_of_one_image_is_not_made(tmp_path):
    """25 images: with batches of 24 the last one would have one, of which this network's batch norms make nothing."""
    run = Run(tmp_path, {**SMALL, "model": "resnet18", "stem": "imagenet", "train_images": 25, "batch_size": 13,
                         "batch_factor": 1.85, "batch_max": 25, "use_batch_scheduler": True, "batch_every": 1, "epochs": 2})
    code, events, err = run.finish()
    assert code == 0, err
    assert [e["batch_size"] for e in events if e["type"] == "epoch"] == [13, 13]
    assert "epoch 2: the batch stays at 13: with 24 the last one of an epoch would have one image" in run.log()
