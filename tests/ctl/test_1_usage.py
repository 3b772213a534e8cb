"""Help, wrong usage, and what sweepctl says where nothing is there yet."""
import json
import subprocess

import pytest

import conftest


def test_version(place):
    assert place.run("version").stdout.startswith("sweepctl 0.")
    assert place.json("version")["version"].count(".") == 2


def test_help_lists_every_verb_and_fits_80_columns(place):
    out = place.run("--help").stdout
    for verb in "submit daemon list watch show log results cancel doctor params version".split():
        assert f"\n  {verb}" in out
        own = place.run(verb, "--help").stdout
        assert own.startswith(f"Usage: sweepctl {verb}")
        assert max(map(len, own.splitlines())) <= 80
    assert max(map(len, out.splitlines())) <= 80
    assert not [line for line in out.splitlines() if line.startswith("the ")]  # argp broke none of them


@pytest.mark.parametrize("args, sentence", [
    (["lsit"], 'no verb "lsit"; did you mean "list"?'),
    (["list", "--nonsense"], "--nonsense"),
    (["show"], "which job?"),
    (["version", "x"], "takes no arguments"),
    (["list", "--state", "dead"], 'no state "dead"'),
    (["log", "1", "-n", "x"], "-n needs a number"),
    (["daemon", "up"], "start, stop, restart or status"),
    (["list", "--color", "red"], "auto, always or never"),
    (["submit", "a.json", "b.json"], "one file at a time"),
])
def test_wrong_usage_is_exit_2(place, args, sentence):
    done = place.run(*args, code=2)
    assert sentence in done.stderr
    assert done.stdout == ""


def test_options_common_to_all_stand_before_or_after_the_verb(grid):
    assert grid.json("list") == json.loads(grid.run("--json", "list").stdout)


def test_no_store_reads_as_empty(place):
    assert "no sweeps yet" in place.run("list").stdout
    assert "no sweeps yet" in place.run().stdout
    assert "no sweeps yet" in place.run("results").stdout
    assert place.json("list") == []
    assert "no job 5; there are none yet" in place.run("show", 5, code=4).stderr
    assert not place.store.exists()


def test_damaged_store_is_exit_7(place):
    place.store.write_bytes(b"this is no database" * 1000)
    for args in (["list"], ["show", 1], ["results"], ["watch"], ["log", 1], ["cancel", 1]):
        assert "results.db" in place.run(*args, code=7).stderr


def test_newer_store_is_refused(grid):
    grid.sql("PRAGMA user_version = 99")
    assert "schema 99" in grid.run("list", code=7).stderr


def test_changing_verbs_without_a_daemon_are_exit_3(grid):
    assert "do this:  sweepctl daemon start" in grid.run("cancel", 5, code=3).stderr
    assert "do this:  sweepctl daemon start" in grid.run("daemon", "status", code=3).stderr
    assert "not running" in grid.run("daemon", "stop").stderr


def test_params(place):
    out = place.run("params", "plateau", "lr").stdout
    assert "plateau_patience" in out and "label_smoothing" not in out
    assert "StepLR, ReduceLROnPlateau" in place.run("params", "scheduler").stdout
    names = {p["name"]: p for p in place.json("params")}
    assert float(names["weight_decay"]["default"]) == 0.0005
    assert "did you mean" in place.run("params", "weight_decy", code=4).stderr


def test_an_answer_that_cannot_be_written_is_no_success(grid):
    with open("/dev/full", "w") as full:
        done = subprocess.run([conftest.SWEEPCTL, "list"], env=grid.env, stdout=full, stderr=subprocess.PIPE, text=True,
                              check=False)
    assert done.returncode == 1 and "cannot be written" in done.stderr
