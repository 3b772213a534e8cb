"""compare: jobs side by side, and what each parameter of a sweep does."""
import json
import statistics

import pytest


def rows(out):
    """First cell of a line -> the other cells."""
    return {cells[0]: cells[1:] for cells in (line.split() for line in out.splitlines()) if cells}


def test_what_differs_stands_above_what_came_out(grid):
    out = grid.run("compare", 1, 2).stdout
    lines = out.splitlines()
    assert lines[0].split() == ["A", "job", "1", "B", "job", "2"]
    assert lines[1].split() == ["scheduler", "StepLR", "ReduceLROnPlateau"] and lines[2] == ""
    table = rows(out)
    assert table["test_accuracy"] == ["75.62", "75.18"] and table["best"] == ["76.50", "75.18"]
    assert table["at"] == ["epoch", "2", "3"] and table["epochs"] == ["3", "of", "3", "3", "of", "3"]
    assert table["minutes"] == ["1.65", "1.15", "-30", "%"]
    assert "9 parameters are equal: --all" in out
    assert rows(grid.run("compare", "--all", 1, 2).stdout)["batch_size"] == ["128", "128"]


def test_curves_under_the_table(grid):
    out = grid.run("compare", 1, 2).stdout.split("test_accuracy, %\n")[1].splitlines()
    assert out[0].lstrip().startswith("76.50 |") and out[9].lstrip().startswith("60.00 |")
    assert out[-1].split() == ["epoch", "1", "3"]
    picture = "".join(line.split("|", 1)[1] for line in out[:10])
    assert picture.count("A") > 20 and picture.count("B") > 20
    assert max(len(line) for line in out) <= 80
    assert "test_loss\n" in grid.run("compare", 1, 2, "--metric", "test_loss").stdout


def test_a_job_without_epochs_and_one_that_failed(grid):
    out = grid.run("compare", 1, 4, 8).stdout
    table = rows(out)
    assert table["state"] == ["done", "failed", "queued"] and table["model"] == ["resnet18", "resnet18", "resnet50"]
    assert table["test_accuracy"] == ["75.62"]
    assert "epoch 1" not in grid.run("compare", 7, 8).stdout  # nothing to draw
    assert "nan" not in (out + grid.run("compare", 7, 8).stdout).lower()


def test_jobs_of_two_sweeps(grid):
    grid.add_sweep("other")
    out = grid.run("compare", 1, 9).stdout
    assert "sweep" in rows(out) and "s2 other" in out


def test_json_of_jobs(grid):
    answer = grid.json("compare", "1-3")
    assert answer["differs"] == ["lr", "scheduler"] and "batch_size" in answer["equal"]
    assert (answer["metric"], answer["goal"]) == ("test_accuracy", "maximize")
    one, two, three = answer["jobs"]
    assert one["metrics"]["test_accuracy"] == {"last": 75.62, "best": 76.5, "best_epoch": 2}
    assert one["curve"] == [[1, 60.0], [2, 76.5], [3, 75.62]] and three["curve"] == [[1, 40.25]]
    assert two["minutes"] == pytest.approx(1.15) and two["ram_mib"] == 655 and two["vram_mib"] is None


@pytest.mark.parametrize("targets, code, sentence", [
    ([1], 2, "2 to 6 jobs side by side; this is 1"),
    (["1-8"], 2, "these are 8"),
    ([1, 99], 4, "no job 99"),
    (["s9"], 4, 'no sweep "s9"'),
    ([1, 2, "--metric", "loss"], 2, "it is train_, test_ or val_ and loss or accuracy"),
])
def test_wrong_targets(grid, targets, code, sentence):
    done = grid.run("compare", *targets, code=code)
    assert sentence in done.stderr and done.stdout == ""


def finish_grid(place):
    """Every job of the grid done, with accuracies that depend on lr and the model alone."""
    for job in range(1, 9):
        place.finish(job, [50.0, 60.0 + 10 * (job > 4) + 2 * ((job - 1) // 2 % 2)], seconds=30.0 * (1 + (job > 4)))


def test_marginal_means_of_a_whole_grid(place):
    place.make_store()
    place.add_sweep()
    finish_grid(place)
    [sweep] = place.json("compare", "s1")["sweeps"]
    assert (sweep["jobs"], sweep["counted"]) == (8, 8)
    assert [p["name"] for p in sweep["parameters"]] == ["model", "lr", "scheduler"]  # the largest effect first
    model, lr, scheduler = sweep["parameters"]
    assert model["effect"] == pytest.approx(10) and lr["effect"] == pytest.approx(2)
    assert scheduler["effect"] == pytest.approx(0)
    assert [v["value"] for v in lr["values"]] == [0.05, 0.1]  # numbers ascend
    stored = place.sql("SELECT model, avg(test_accuracy), max(test_accuracy), count(*), avg(minutes) FROM results"
                       " GROUP BY 1 ORDER BY 1")
    for value, (name, mean, best, n, minutes) in zip(model["values"], stored):
        assert (value["value"], value["mean"], value["best"], value["n"]) == (name, pytest.approx(mean), best, n)
        assert value["minutes"] == pytest.approx(minutes, abs=1e-3)
    out = place.run("compare", "s1").stdout.splitlines()
    assert out[0] == "s1 grid: test_accuracy of the last epoch, more is better"
    assert out[2].split() == ["model", "resnet18", "4", "61.00", "[----------]", "62.00", "3", "1.10"]
    assert out[3].split() == ["resnet50", "4", "71.00", "[##########]", "72.00", "7", "2.10"]
    assert len(out) == 8 and max(map(len, out)) <= 80
    assert place.run("compare").stdout == place.run("compare", "grid").stdout == place.run("compare", "s1").stdout


def test_goal_and_other_metrics(place):
    place.make_store()
    place.add_sweep()
    finish_grid(place)
    place.sql("UPDATE epoch SET test_loss = 2 - test_accuracy / 100")
    by_loss = place.json("compare", "s1", "--metric", "test_loss")["sweeps"][0]
    assert by_loss["goal"] == "minimize"
    best = by_loss["parameters"][0]["values"][1]
    assert best["best_job"] == 7 and best["mean"] == pytest.approx(statistics.mean([1.3, 1.3, 1.28, 1.28]))


def test_what_is_missing_is_said(grid):
    out = grid.run("compare", "s1").stdout
    assert "2 of 8 jobs count: the others are not done, so the means are of unequal sets" in out
    assert "2 of 4" in out and "0 of 4" in out and "nan" not in out.lower()
    [sweep] = grid.json("compare", "s1")["sweeps"]
    assert json.dumps(sweep).count("null") > 3


def test_nothing_and_a_sweep_of_one_configuration(place):
    assert "no sweeps yet" in place.run("compare").stdout
    assert place.json("compare") == {"sweeps": []}
    place.make_store()
    place.add_sweep(grid=[("resnet18", 0.1, "StepLR")])
    place.sql("UPDATE sweep SET swept = '[]'")
    assert "sweeps no parameter" in place.run("compare").stdout
