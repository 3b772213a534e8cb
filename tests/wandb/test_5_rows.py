"""Rows that are hard to bring across."""
import json
import math

from campaign import FAST, FAST_WORKER

HOUR_MS = 3_600_000


def forwarded(place, *jobs):
    place.wait_forwarded(*jobs)
    assert [text for job in jobs for text in place.compare(job)] == []
    return [json.loads(line) for line in place.run_of(jobs[0])["history"]]


def test_numbers_that_are_not_finite(place):
    place.start(worker=FAST_WORKER, env={"FAST": json.dumps({"odd": 1})})
    place.forward(*FAST)
    rows = forwarded(place, place.submit_wandb(epochs=3))
    assert all(math.isnan(row["test_loss"]) and row["train_loss"] == math.inf for row in rows)
    assert [row["test_accuracy"] == -math.inf for row in rows] == [True, False, True]


def test_the_longest_lines_and_every_script(place):
    text = "größe ☃ 名前 \" \\ \u2028 \U0001f600 "
    long = text + "x" * 60_000
    metric = {"epoch": 1, "name": "точность ☃", "value": 1.5}
    place.script({"1": [[["event", "metric", metric], ["epoch_with", 1, {"note": long}], ["epoch", 2], ["done"]]]})
    place.start()
    place.forward(*FAST)
    name = "größe ☃ 名前 \" \\ \U0001f600"
    wandb = {"group": name, "tags": ["größe", "名前"], "notes": name}
    job = place.submit_wandb(epochs=2, wandb=wandb)
    log = place.state / "jobs/1/log.txt"
    place.wait(lambda: log.parent.exists(), "the job's directory")
    with open(log, "ab") as file:
        file.write(f"2026-01-02 03:04:05 {text}\n".encode())
        file.write(b"2026-01-02 03:04:05 \xff\xfe no UTF-8\n" + b"y" * 200_000 + b"\n")
    place.wait_forwarded(job)
    run = place.run_of(job)
    first, second = map(json.loads, run["history"])
    assert first["note"] == long and first["точность ☃"] == 1.5 and "note" not in second
    assert run["fields"]["groupName"] == run["fields"]["notes"] == name
    assert {"größe", "名前"} <= set(run["fields"]["tags"])
    assert run["output"][0].endswith(text.rstrip("\n")) and run["output"][0].startswith("2026-01-02T03:04:05")
    assert "no UTF-8" in run["output"][1]
    assert len(run["output"]) == 3 and 60_000 < len(run["output"][2]) < 70_000


def test_a_clock_that_jumps(place):
    at_ms = 1_800_000_000_000
    rows = [{"epoch": e, "at_ms": at_ms + jump, "lr": 0.1, "batch_size": 16, "train_loss": 1, "train_accuracy": 2,
             "test_loss": 3, "test_accuracy": 4.5, "train_seconds": 1, "test_seconds": 1, "images_per_second": 1}
            for e, jump in enumerate((0, 400_000 * HOUR_MS, -400_000 * HOUR_MS, 1000), 1)]
    place.script({"1": [[*(["event", "epoch", row] for row in rows), ["done"]]]})
    place.start()
    place.forward(*FAST)
    lines = forwarded(place, place.submit_wandb(epochs=4))
    assert [line["_step"] for line in lines] == [1, 2, 3, 4] and min(line["_runtime"] for line in lines) == 0


def test_a_sweep_judged_by_what_has_no_column(place):
    """The metric's last and best value are in the summary; every metric is in the row of its own epoch, also in one that is
    a row only because it is the last."""
    values = {1: 50.5, 2: 61.25, 3: 60.0}
    steps = [action for epoch, value in values.items()
             for action in (["event", "metric", {"epoch": epoch, "name": "val_accuracy", "value": value}], ["epoch", epoch])]
    place.script({"1": [[*steps, ["done"]]], "2": [[*steps, ["done"]]]})
    place.start()
    place.forward(*FAST)
    job = place.submit_wandb(n=2, metric="val_accuracy", defaults={"val_split": 0.1}, wandb={"log_every": 2})
    place.wait_forwarded(job, job + 1)
    run = place.run_of(job)
    assert [(row["epoch"], row["val_accuracy"]) for row in map(json.loads, run["history"])] == [(2, 61.25), (3, 60.0)]
    summary = json.loads(run["summary"])
    assert (summary["val_accuracy"], summary["best_val_accuracy"], summary["best_epoch"]) == (60.0, 61.25, 2)
    assert place.sql("SELECT metric, value, best, best_epoch FROM leaderboard WHERE job = ?", job) == [
        ("val_accuracy", 60.0, 61.25, 2)]
