"""list, show, results, log: what they print of a prepared store, without a daemon."""
import csv
import io
import re
import time

import pytest

from conftest import T0


def test_list_counts_states(grid):
    done = grid.run("list")
    assert "no daemon (sweepctl daemon start); last row" in done.stderr
    title, row = done.stdout.splitlines()
    assert title.split() == "SWEEP NAME STATE JOBS DONE FAILED BEST METRIC TIME LEFT".split()
    assert row.split()[:7] == ["s1", "grid", "running", "8", "2", "1", "75.62"]
    assert "75.62  (job 1)  test_accuracy" in row


def test_list_json(grid):
    [sweep] = grid.json("list")
    assert sweep["sweep"] == "s1" and sweep["best_job"] == 1 and sweep["states"]["queued"] == 4
    # jobs 1, 2, 3: 3 x 33 s, 3 x 23 s, 1 x 33 s
    assert sweep["minutes"] == pytest.approx((99 + 69 + 33) / 60)
    assert sweep["minutes_left"] is None  # of resnet50 nothing is known yet


def test_time_left_is_known_when_every_model_was_measured(grid):
    assert grid.run("list").stdout.endswith("> 1 m 6 s\n")
    attempt = grid.attempt(5)
    grid.epoch(5, attempt, 1, 20.0, seconds=60.0, test_seconds=6.0)
    grid.set_state(5, "running")
    # on two devices: job 3 has 66 s left, job 5 132 s; three more resnet50 of 198 s: 66 + 198 + 198 = 462 s
    assert grid.json("list")[0]["minutes_left"] == pytest.approx(462 / 60)
    assert "7 m 42 s" in grid.run("list").stdout


def test_time_left_of_short_jobs_is_what_they_hold_their_device_for(place):
    """Start, model and checkpoint are most of a job of 0.06 s of training."""
    place.make_store()
    place.add_sweep(grid=[("resnet18", lr / 100, "StepLR") for lr in range(1, 11)], epochs=1)
    place.finish(1, [50.0], seconds=0.05, test_seconds=0.01)
    place.sql("UPDATE attempt SET seconds = 0.3")
    [sweep] = place.json("list")
    assert sweep["minutes_left"] == pytest.approx(9 * 0.3 / 60) and sweep["minutes"] == pytest.approx(0.06 / 60)
    place.finish(2, [50.0], seconds=0.05, test_seconds=0.01)  # of this attempt it is not known
    assert place.json("list")[0]["minutes_left"] == pytest.approx(8 * 0.3 / 60)


def test_a_retry_is_told_once(grid):
    ahead = int(time.time() * 1000) + 3_600_000
    grid.sql("UPDATE job SET not_before_ms = ?, reason = 'no memory; retry 1 of 2 in 10 s' WHERE id = 5", ahead)
    grid.sql("UPDATE job SET not_before_ms = ?, reason = 'waits in vain' WHERE id = 6", ahead)
    five, six = grid.run("list", "5-6").stdout.splitlines()[1:]
    assert re.search(r"no memory; retry 1 of 2 in 3[56]\d\d s$", five)
    assert re.search(r"waits in vain; retry in 3[56]\d\d s$", six)


def test_list_of_a_target(grid):
    lines = grid.run("list", "s1", "--state", "queued").stdout.splitlines()
    assert len(lines) == 5
    assert all("waits for a device" in line for line in lines[1:])
    assert [j["job"] for j in grid.json("list", "1,3", "5-6", "3")] == [1, 3, 5, 6]
    assert grid.run("list", "grid").stdout == grid.run("list", "s1").stdout


def test_hidden_sweeps_stay_hidden(grid):
    grid.add_sweep("half", state="expanding")
    assert "half" not in grid.run("list").stdout
    assert "no job 9; the newest is 8" in grid.run("show", 9, code=4).stderr


def test_unknown_targets(grid):
    assert "no job 99; the newest is 8" in grid.run("list", 99, code=4).stderr
    assert 'no sweep "gird"; did you mean "grid"?' in grid.run("results", "gird", code=4).stderr
    assert 'no sweep "s7"; the newest is s1 grid' in grid.run("results", "s7", code=4).stderr
    mixed = grid.run("list", 1, 99, code=4)
    assert "resnet18" in mixed.stdout and "no job 99" in mixed.stderr
    for bad in ("5-", "8-5", "1,,2", "1-2-3"):
        assert "names no jobs" in grid.run("list", bad, code=4).stderr


def test_a_name_means_the_newest_sweep_of_that_name(grid):
    grid.add_sweep("grid")
    assert {j["sweep"] for j in grid.json("list", "grid")} == {"s2"}


def test_results_is_the_reports_table(grid):
    lines = grid.run("results", "s1").stdout.splitlines()
    assert lines[0].split("  ")[0] == "Model"
    assert lines[0].split() == "Model LR Scheduler Test Accuracy Training Time Notes".split()
    assert set(lines[1]) == {"-", " "}
    assert lines[2].split() == "resnet18 0.1 StepLR 75.62 % 1.65 min".split()
    assert lines[3].split() == "resnet18 0.1 ReduceLROnPlateau 75.18 % 1.15 min".split()
    assert lines[4].split() == "resnet18 0.05 StepLR running, 1/3".split()
    assert lines[5].endswith("failed: loss is NaN at epoch 1")
    assert len(lines) == 10


def test_results_summary_and_best(grid):
    err = grid.run("results").stderr
    assert "best: job 1, 75.62 %" in err and "fastest: job 2, 1.15 min" in err and "--best: 76.50" in err
    best = grid.run("results", "--best").stdout.splitlines()
    assert "Best Test Accuracy" in best[0] and "76.50 %" in best[2]


def test_results_json(grid):
    rows = grid.json("results", "s1")
    assert [r["job"] for r in rows] == list(range(1, 9))
    one = rows[0]
    assert (one["model"], one["lr"], one["scheduler"]) == ("resnet18", 0.1, "StepLR")
    assert one["test_accuracy"] == 75.62 and one["best_test_accuracy"] == 76.5 and one["best_epoch"] == 2
    assert one["minutes"] == pytest.approx(99 / 60) and one["seed"] == 7 and one["device"] == "cpu"
    assert one["config"]["batch_size"] == 128
    assert rows[2]["test_accuracy"] is None and rows[2]["minutes"] is None


def test_results_csv_and_markdown(grid):
    grid.sql("UPDATE sweep SET note = 'first, \"warm\" run'")
    rows = list(csv.DictReader(io.StringIO(grid.run("results", "--csv").stdout)))
    assert rows[0]["test_accuracy"] == "75.62" and rows[0]["notes"] == 'first, "warm" run'
    assert rows[3]["notes"].startswith("failed: ") and rows[3]["minutes"] == ""
    lines = grid.run("results", "--markdown").stdout.splitlines()
    assert len({line.count("|") for line in lines}) == 1
    assert "**75.62**" in lines[2]


def test_other_swept_parameters_become_columns(grid):
    grid.sql("UPDATE sweep SET swept = '[\"model\",\"lr\",\"scheduler\",\"seed\"]'")
    assert grid.run("results").stdout.splitlines()[0].split()[:4] == ["Model", "LR", "seed", "Scheduler"]


def test_a_repeated_epoch_counts_once(grid):
    second = grid.attempt(2, number=2, state="done", ended_ms=T0 + 300_000)
    grid.epoch(2, second, 3, 80.0, seconds=50.0)
    row = grid.json("results", "2")[0]
    assert row["test_accuracy"] == 80.0 and row["minutes"] == pytest.approx((23 + 23 + 53) / 60)
    assert row["notes"] == "resumed once"


def test_not_finite_metrics_are_unknown(grid):
    grid.sql("UPDATE epoch SET test_accuracy = NULL, test_loss = NULL WHERE job = 1 AND epoch = 3")
    assert grid.json("results", "1")[0]["test_accuracy"] is None
    assert "nan" not in grid.run("show", 1).stdout.lower()


def test_show(grid):
    out = grid.run("show", 3).stdout
    assert out.startswith("job 3 of s1 grid: running on cpu, epoch 1 of 3, 1 m 6 s left\n")
    assert "swept       model resnet18   lr 0.05   scheduler StepLR" in out
    assert "test_accuracy      40.25     40.25      1" in out
    assert "an epoch takes 33.0 s (30.0 training, 3.0 testing)" in out
    assert "attempt 1   running, cpu since" in out and "cpu, bf16, batch 128, 2 threads" in out
    failed = grid.run("show", 4).stdout
    assert failed.startswith("job 4 of s1 grid: failed: loss is NaN at epoch 1") and "class diverged" in failed
    assert max(map(len, (out + failed).splitlines())) <= 80
    assert [a["state"] for a in grid.json("show", 4)[0]["attempts"]] == ["failed"]


def test_show_names_the_run_by_hand(grid):
    directory = grid.directory / "jobs" / "3"
    directory.mkdir(parents=True)
    (directory / "config.json").write_text("{}")
    assert "sweep-worker --standalone --config ~/jobs/3/config.json" in grid.run("show", 3).stdout


def test_text_of_the_store_cannot_drive_the_terminal(grid):
    grid.sql("UPDATE sweep SET name = 'a' || char(27) || '[2J'")
    grid.sql("UPDATE job SET reason = 'x' || char(27) || '[31m' || char(10) || 'y' WHERE id = 4")
    for args in (["list"], ["list", "s1"], ["results"], ["show", 4], ["watch"]):
        code = 3 if args == ["watch"] else 0
        done = grid.run(*args, code=code)
        assert "\x1b" not in done.stdout + done.stderr, args


def test_colour_only_where_asked(grid):
    assert "\x1b[" not in grid.run("list", CLICOLOR_FORCE="1", NO_COLOR="1").stdout
    assert "\x1b[" in grid.run("list", "s1", CLICOLOR_FORCE="1", NO_COLOR="").stdout
    assert "\x1b[32mdone\x1b[0m" in grid.run("list", "s1", "--color=always", NO_COLOR="1").stdout
    assert "\x1b[" not in grid.run("list", "s1", "--color=never", CLICOLOR_FORCE="1").stdout


def test_log(grid):
    directory = grid.directory / "jobs" / "1"
    directory.mkdir(parents=True)
    lines = [f"line {i} " + "x" * (i % 300) for i in range(2000)]
    (directory / "log.txt").write_text("\n".join(lines) + "\n")
    assert grid.run("log", 1).stdout.splitlines() == lines
    assert grid.run("log", 1, "-n", 3).stdout.splitlines() == lines[-3:]
    assert grid.run("log", 1, "-n", 1999).stdout.splitlines() == lines[1:]
    assert grid.run("log", 1, "-n", 5000).stdout.splitlines() == lines
    assert grid.run("log", 1, "-n", 0).stdout == ""
    assert grid.run("log", 1, "-n", 2, "-f").stdout.splitlines() == lines[-2:]  # the job is over
    assert "has no log" in grid.run("log", 5, code=6).stderr
    assert "no job 77" in grid.run("log", 77, code=4).stderr
    assert "8 jobs" in grid.run("log", "s1", code=2).stderr
