"""tests/sweeps: good files expand, each bad one is refused with exactly its .expected text (findings and all)."""
import json
import pathlib
import re
import subprocess

import pytest

import conftest

SWEEPS = pathlib.Path(__file__).resolve().parents[1] / "sweeps"
GOOD = sorted((SWEEPS / "good").iterdir())
OWN = sorted((SWEEPS.parents[1] / "sweeps").glob("*.json"))  # those that come with sweepd
BAD = sorted(p for p in (SWEEPS / "bad").iterdir() if p.suffix != ".expected")


@pytest.mark.parametrize("path", GOOD, ids=lambda p: p.name)
def test_good_files_expand(place, path):
    done = place.run("submit", "--dry-run", path)
    assert "jobs; nothing was stored" in done.stdout + done.stderr


@pytest.mark.parametrize("path", OWN, ids=lambda p: p.name)
def test_files_that_come_with_sweepd(place, path):
    """They expand, and nothing that they set is without effect."""
    done = place.run("submit", "--dry-run", path)
    assert "jobs; nothing was stored" in done.stdout + done.stderr or "1 job; nothing" in done.stdout + done.stderr
    assert "is not used" not in done.stdout + done.stderr
    assert set(re.findall("warning: (.*)", done.stderr)) <= {
        'data set "cifar100" is not on this machine', 'data set "fashion-mnist" is not on this machine',
        'no device of this machine has mixed precision (a CPU needs bf16): jobs with "use_amp" true'}


@pytest.mark.parametrize("path", BAD, ids=lambda p: p.name)
def test_bad_files_are_told_why(place, path):
    done = place.run("submit", "--dry-run", path.relative_to(SWEEPS), code=5, cwd=SWEEPS)
    assert done.stderr == path.with_name(path.name + ".expected").read_text()
    assert done.stdout == ""
    assert not place.store.exists()


def test_the_same_text_on_standard_input(place):
    text = (SWEEPS / "bad/misspelt.json").read_text()
    done = place.run("submit", "--dry-run", "-", code=5, text=text)
    assert done.stderr.startswith('standard input:3:5: error: unknown parameter "weight_decy"')


def test_every_error_names_its_place(place):
    for path in BAD:
        for line in path.with_name(path.name + ".expected").read_text().splitlines():
            if "error:" in line:
                assert line.startswith(f"bad/{path.name}:"), line


def test_what_is_unusual_is_told_and_taken(place):
    """A parameter that no job uses; not one that the half of them uses."""
    text = ("name: unusual\nparameters: {scheduler: {values: [StepLR, none]}, optimizer: {values: [SGD, AdamW]}}\n"
            "defaults: {step_size: 3, min_delta: 0.5}\n")
    told = place.run("submit", "--dry-run", "-", text=text).stderr
    assert 'standard input:3:26: warning: "min_delta" 0.5 is not used: "patience" is 0\n' in told
    assert 'warning: 2 of 4 jobs: "lr" 0.1 is much for AdamW' in told and '"step_size"' not in told


@pytest.mark.parametrize("line, place_of, says", [
    ("defaults: {momentum: 0, nesterov: true}", "3:25", 'error: job 1: "nesterov" needs "momentum" above 0'),
    ("defaults: {momentum: 0}\nwhen: [{if: {lr: 0.1}, set: {nesterov: {value: true}}}]", "4:30", 'error: job 1: "nesterov"'),
    ("defaults: {train_images: 64, val_split: 64}", "3:30", 'error: job 1: "val_split" 64 leaves nothing'),
    ("defaults: {beta1: 0.8}", "3:12", 'warning: "beta1" 0.8 is not used'),
    ("metric: {name: test_accuracy, goal: minimize}", "3:16", 'warning: metric "test_accuracy" with the goal minimize'),
    ("metric: {name: test_loss, goal: maximize}", "3:16", 'warning: metric "test_loss" with the goal maximize'),
    ("metric: {name: acuracy}", "3:16", 'error: unknown metric "acuracy"'),
])
def test_what_is_told_stands_at_its_key(place, line, place_of, says):
    text = f"name: marks\nparameters: {{lr: {{values: [0.1, 0.01]}}}}\n{line}\n"
    told = place.run("submit", "--dry-run", "-", code=5 if "error" in says else 0, text=text).stderr
    assert f"standard input:{place_of}: {says}" in told
    assert "acuracy" not in line or 'do this:  write "test_accuracy"' in told


def test_a_sweep_over_a_precision_that_is_not_there_is_told(place):
    """One device with bf16 or fp16 is enough for silence."""
    worker = pathlib.Path(conftest.SWEEPCTL).parent.parent / "worker/sweep-worker"
    found = json.loads(subprocess.run([worker, "--devices", "--json"], capture_output=True, text=True, check=True).stdout)
    missing = not any(device["amp"] for device in found["devices"] if device["trains"])

    def told(values):
        text = f"name: p\nparameters: {{use_amp: {{values: {values}}}}}\n"
        return "no device of this machine has mixed precision" in place.run("submit", "--dry-run", "-", text=text).stderr
    assert told("[true, false]") == missing and not told("[true]")
