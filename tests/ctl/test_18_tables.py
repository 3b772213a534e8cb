"""Tables of results: several sweeps side by side, machine-readable shapes, wide sweeps on a narrow terminal."""
import csv
import io
import json

import pytest

from test_12_hostile import columns_of, on_terminal
from test_13_pictures import confuse
from test_3_daemon import data, stored  # noqa: F401


def finish_second_sweep(place, metric="test_loss", goal="minimize"):
    """s2 other: jobs 9-16, of which 9 and 10 are done, by another metric."""
    place.add_sweep("other")
    place.sql("UPDATE sweep SET metric = ?, goal = ? WHERE id = 2", metric, goal)
    place.finish(9, [50.0, 52.5], test_loss=1.75)
    place.finish(10, [50.0, 51.5], test_loss=1.25)


def tables_of(text):
    """{title: lines of its table}; titles stand alone or after an empty line."""
    return {block.splitlines()[0]: block.splitlines()[1:] for block in text.split("\n\n")}


def test_a_leaderboard_of_two_sweeps_is_two(grid):
    finish_second_sweep(grid)
    tables = tables_of(grid.run("leaderboard", "s1", "s2").stdout)
    assert list(tables) == ["s1 grid: test_accuracy, the largest first", "s2 other: test_loss, the smallest first"]
    rows = {title[:2]: [line.split() for line in lines] for title, lines in tables.items()}
    assert rows["s1"][0][-2:] == ["TEST_ACCURACY", "MINUTES"] and rows["s2"][0][-2:] == ["TEST_LOSS", "MINUTES"]
    assert [(r[0], r[1], r[-2]) for r in rows["s1"][1:]] == [("1", "1", "75.62"), ("2", "2", "75.18")]
    assert [(r[0], r[1], r[-2]) for r in rows["s2"][1:]] == [("1", "10", "1.250"), ("2", "9", "1.750")]
    assert len(grid.run("leaderboard", "s1", "s2", "-n", 1).stdout.splitlines()) == 7  # the best of each
    assert "s2: no job is done yet" in grid.run("leaderboard", "s1", "11").stderr


def test_a_leaderboard_for_programs(grid):
    finish_second_sweep(grid)
    rows = grid.json("leaderboard", "s1", "s2")
    assert [(r["sweep"], r["rank"], r["job"], r["metric"], r["goal"], r["value"], r["best"]) for r in rows] == [
        ("s1", 1, 1, "test_accuracy", "maximize", 75.62, 76.5), ("s1", 2, 2, "test_accuracy", "maximize", 75.18, 75.18),
        ("s2", 1, 10, "test_loss", "minimize", 1.25, 1.25), ("s2", 2, 9, "test_loss", "minimize", 1.75, 1.75)]
    assert rows[0]["minutes"] == pytest.approx(99 / 60)
    table = list(csv.DictReader(io.StringIO(grid.run("leaderboard", "s1", "s2", "--csv").stdout)))
    assert [(r["sweep"], r["name"], r["rank"], r["job"], r["metric"], float(r["value"]), float(r["best"])) for r in table] == [
        (r["sweep"], r["name"], str(r["rank"]), str(r["job"]), r["metric"], r["value"], r["best"]) for r in rows]
    assert (table[0]["model"], table[0]["lr"], table[0]["scheduler"]) == ("resnet18", "0.1", "StepLR")
    lines = grid.run("leaderboard", "s1", "--markdown").stdout.splitlines()
    assert lines[0] == "| Rank | Job | Model | LR | Scheduler | test_accuracy | Training Time (min) |"
    assert lines[2] == "| 1 | 1 | resnet18 | 0.1 | StepLR | 75.62 | 1.65 |" and {line.count("|") for line in lines} == {8}
    assert grid.run("leaderboard", "s1", "s2", "-m").stdout.count("| Rank |") == 2


def test_results_of_two_sweeps_are_two(grid):
    finish_second_sweep(grid)
    done = grid.run("results", "s2", "s1")
    tables = tables_of(done.stdout)
    assert list(tables) == ["s2 other", "s1 grid"] and [len(lines) for lines in tables.values()] == [10, 10]
    assert "test_loss" in tables["s2 other"][0] and "test_loss" not in tables["s1 grid"][0]
    assert "best by test accuracy: job 9, 52.50 %" in done.stderr and "best: job 1, 75.62 %" in done.stderr
    rows = grid.json("results", "10", "s1")
    assert [(r["job"], r["metric"], r["value"]) for r in rows[:2]] == [(10, "test_loss", 1.25), (1, "test_accuracy", 75.62)]
    table = list(csv.DictReader(io.StringIO(grid.run("results", "s1", "s2", "--csv").stdout)))
    assert [r["sweep"] for r in table] == ["s1"] * 8 + ["s2"] * 8
    assert (table[8]["metric"], table[8]["value"], table[8]["test_accuracy"]) == ("test_loss", "1.75", "52.5")
    grid.add_sweep("grid")
    assert "s3 is meant, the newest of that name (the one before it: s1)" in grid.run("results", "grid").stderr


def test_the_row_of_the_best_job_can_be_found_on_a_terminal(grid):
    lines = on_terminal(grid, "results")[0].splitlines()
    assert lines[0].split()[:2] == ["Job", "Model"] and lines[2].split()[0] == "1" and "best: job 1," in lines[-1]


def test_times_of_short_runs_are_not_nought(grid):
    grid.sql("UPDATE epoch SET train_seconds = 0.5, test_seconds = 0.25 WHERE job IN (1, 2)")
    assert "2.25 s" in grid.run("results", "1").stdout and "0.0375" in grid.run("leaderboard", "1").stdout
    for args in (["results", "1", "-m"], ["compare", "1", "2"], ["compare", "s1"], ["report", "-m", "-o", "-"],
                 ["report", "-o", "-"]):
        assert "0.0375" in grid.run(*args).stdout, args


MORE = {"weight_decay": 0.0005, "label_smoothing": 0.1, "momentum": 0.9, "batch_size": 128}
PATH_REASON = "/tmp/data/of/somebody/cifar-100-binary/train.bin: ends after 30 of 3074 bytes of record 7"


def widen(place):
    """Seven parameters vary."""
    place.sql("UPDATE sweep SET swept = ?", json.dumps(["model", "lr", "scheduler", *MORE]))
    place.sql("UPDATE job SET own = json_patch(own, ?1), swept = json_patch(swept, ?1)", json.dumps(MORE))


def test_a_wide_sweep_keeps_its_results(grid):
    grid.set_state(4, "failed", PATH_REASON)
    widen(grid)
    for args, titles, cells in (
            (["list", "s1"], ["CONFIG", "STATE", "TEST %", "REASON"], ["done", "75.62"]),
            (["results"], ["Config", "Test Accuracy", "Training Time", "Notes"], ["75.62 %", "1.65 min"]),
            (["leaderboard"], ["CONFIG", "TEST_ACCURACY", "MINUTES"], ["75.62", "1.65"])):
        lines = on_terminal(grid, *args)[0].splitlines()
        title, row = (next(line for line in lines if what in line) for what in (titles[1], "75.62"))
        assert max(map(columns_of, lines)) <= 80 and all(t in title for t in titles), title
        assert "model=resnet18 " in row and all(cell in row for cell in cells) and ".." in row, row
        wide = on_terminal(grid, *args, columns=300)[0]
        assert titles[0] not in wide and "0.0005" in wide and "weight_decay" in wide.lower()
    assert "model=" not in grid.run("list", "s1").stdout and "WEIGHT_DECAY" in grid.run("list", "s1").stdout


@pytest.mark.parametrize("wide", [False, True])
def test_a_path_does_not_hide_what_is_wrong(grid, wide):
    grid.set_state(4, "failed", PATH_REASON)
    if wide:
        widen(grid)
    for args, wrong in ((["list", "--state", "failed"], "../train.bin: ends "), (["results", 4], "failed: ends after ")):
        lines = on_terminal(grid, *args)[0].splitlines()
        row = next(line for line in lines if line.split()[0] == "4")
        assert wrong in row and max(map(columns_of, lines)) <= 80, row
        assert 'a text that ends in ".." in full: sweepctl show 4' in lines
    assert PATH_REASON in grid.run("list", "s1").stdout and "in full" not in grid.run("list", "s1").stdout
    assert "in full" not in on_terminal(grid, "list", "s1", columns=300)[0]


def test_list_says_what_was_cancelled(grid):
    assert "CANCELLED" not in grid.run("list").stdout
    grid.set_state(5, "cancelled", "cancelled by uid 0")
    for out in (grid.run("list").stdout, on_terminal(grid, "list")[0]):
        title, row = out.splitlines()[-2:]
        assert row.split()[title.split().index("CANCELLED")] == "1"


def test_list_shows_the_metric_of_the_sweep(grid):
    finish_second_sweep(grid)
    title, row = grid.run("list", "s2", "--state", "done").stdout.splitlines()[:2]
    assert row.split()[title.split().index("TEST_LOSS")] == "1.750" and "52.50" in row and "TEST %" in title
    assert "TEST_ACCURACY" not in grid.run("list", "s1").stdout
    lines = grid.run("list", "1", "9").stdout.splitlines()
    rows = on_terminal(grid, "list")[0].splitlines()[1:4]
    assert "METRIC" in rows[0] and " test_" in rows[1] and " test_loss" in rows[2] and max(map(columns_of, rows)) <= 80, rows
    assert "METRIC" in lines[0] and "75.62 test_accuracy" in lines[1] and "1.750 test_loss" in lines[2]


LONG_REASON = "the data set is not what it should be: " + "of record 7 there are 30 bytes of 3,074, " * 4 + "at its end"


def test_what_show_and_log_say_fits_a_terminal(grid):
    grid.set_state(4, "failed", LONG_REASON)
    grid.sql("UPDATE attempt SET reason = ? WHERE job = 4", LONG_REASON)
    directory = grid.directory / "jobs/4"
    directory.mkdir(parents=True)
    (directory / "log.txt").write_text(f"one\n{LONG_REASON}\nlast {'x' * 200}\n")
    for args in (["show", 4], ["log", 4]):
        out = on_terminal(grid, *args)[0]
        lines = out.splitlines()
        assert max(map(columns_of, lines)) <= 80, out
        assert LONG_REASON in " ".join(line.strip() for line in lines)
    assert "x" * 78 in out and LONG_REASON in grid.run("show", 4).stdout.splitlines()[0]


def test_names_of_classes_fit_a_terminal(grid):
    confuse(grid, 1, [[1, 9], [8, 2]], ["a_pickup_truck_of_old", "a_streetcar_named_desire"])
    out = on_terminal(grid, "show", 1)[0]
    assert "9 a_pickup_truck_of_old fo.." in out and max(map(columns_of, out.splitlines())) <= 80, out
    assert "9 a_pickup_truck_of_old for a_streetcar_named_desire" in grid.run("show", 1).stdout


def test_a_mistake_in_a_wide_file_fits_a_terminal(grid, tmp_path):
    path = tmp_path / "wide.json"
    values = ", ".join(f"0.{k:02}" for k in range(1, 61))
    path.write_text(f'{{"metric": {{"name": "nonsense"}}, "parameters": {{"lr": {{"values": [{values}]}}, "momentun": 1}}}}')
    out = on_terminal(grid, "submit", "-n", "wide.json", cwd=tmp_path)[0]
    lines = out.splitlines()
    quoted = [line for line in lines if line.startswith("    1 | ")]
    assert len(quoted) == 2 and quoted[0].endswith("..") and quoted[1].startswith("    1 | .."), out
    for line in quoted:
        caret = lines[lines.index(line) + 1]
        assert line[caret.index("^"):].startswith(('"nonsense', '"momentun')), out
    assert max(map(columns_of, lines)) <= 80 and any(line.startswith("  expected: ") for line in lines), out


def test_show_of_many_jobs_is_a_page(grid):
    count = lambda out: sum(line.startswith("job ") for line in out.splitlines())
    out = on_terminal(grid, "show", "s1")[0]
    assert count(out) == 5 and "... 3 more jobs: sweepctl show --limit 0 s1" in out
    assert count(on_terminal(grid, "show", "s1", "--limit", 0)[0]) == 8 and count(grid.run("show", "s1").stdout) == 8
    assert count(grid.run("show", "s1", "-n", 2).stdout) == 2 and len(grid.json("show", "s1")) == 8


def test_compare_of_many_values_is_a_page(grid):
    grid.add_sweep("seeds", grid=[("resnet18", round(0.001 * k, 3), "StepLR") for k in range(1, 61)])
    out = on_terminal(grid, "compare", "s2")[0]
    assert sum("0 of 1" in line for line in out.splitlines()) == 20
    assert "... 40 more values of lr: sweepctl compare --limit 0 s2" in out and max(map(columns_of, out.splitlines())) <= 80
    assert "more values" not in on_terminal(grid, "compare", "s2", "--limit", 0)[0] + grid.run("compare", "s2").stdout


def test_help_keeps_its_columns(grid):
    for line in grid.run("--help").stdout.split("Start:")[1].splitlines():
        assert not line or line[0] == " " or line.endswith(":") or "TARGET is" in line or "--help`" in line, line


def test_a_report_leaves_out_what_nobody_reads(grid):
    grid.add_sweep("seeds", grid=[("resnet18", round(0.001 * k, 3), "StepLR") for k in range(1, 61)])
    grid.finish(9, [30.0])
    grid.sql("UPDATE attempt SET details = ? WHERE job = 9", json.dumps({"backend": "cpu", "warnings": []}))
    confuse(grid, 9, [[0, 9, 0], [0, 10, 0], [3, 3, 0]], ["one", "two", "three"])
    text = grid.run("report", "s2", "-m", "-o", "-").stdout
    assert "- lr: 0.001, 0.002," in text and "0.02 and 40 more\n" in text and "0.021," not in text
    assert "- best: two 100.00 %\n" in text and "- worst: one 0.00 %" in text
    page = grid.run("report", "s2", "-o", "-").stdout
    assert "0.02 and 40 more" in page and "warnings []" not in page and "backend cpu" in page
    shown = grid.run("show", 9).stdout
    assert shown.count("two") == 3 and shown.count("three") == 3, shown  # each in one list, and confused


def test_a_dry_run_of_one_job_has_no_table(place):
    done = place.run("submit", "-n", "-", text="defaults: {lr: 0.05, dataset: cifar10}\n")
    assert done.stdout.startswith("constant  ") and "1 job; nothing was stored" in done.stderr


def test_what_submit_says_fits_a_terminal(place, data, tmp_path):  # noqa: F811
    place.daemon(submit=stored)
    names = ["lr", "weight_decay", "label_smoothing", "momentum", "batch_size", "random_erasing", "seed"]
    (tmp_path / "many.json").write_text(json.dumps({"parameters": {n: {"values": [v, type(v)(v / 2)]} for n, v in zip(
        names, [0.1, 0.0005, 0.1, 0.9, 64, 0.1, 2])}, "defaults": {"dataset": "cifar100"}}))
    out = on_terminal(place, "submit", tmp_path / "many.json", "--data", data)[0]
    assert max(map(columns_of, out.splitlines())) <= 80 and "metric   test_accuracy, maximize" in out, out
    assert all(name in out for name in names), out


def test_an_unknown_metric_is_told_on_lines_that_fit(grid):
    out = on_terminal(grid, "compare", "-m", "nonsense")[0]
    assert max(map(columns_of, out.splitlines())) <= 80 and '--metric is no "nonsense"; it is train_, test_' in out
