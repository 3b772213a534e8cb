"""Offline runs, read by a reader of our own: what mode `offline` writes as runs end, and what is exported on request."""
import json
import math
import os
import random
import subprocess

import dotwandb
import place as places
import pytest
from campaign import FAST, FAST_WORKER

PLAN = {"repeat": 2, "odd": 2, "telemetry": 2, "log": True}
NO_SERVER = {"WANDB_BASE_URL": "http://127.0.0.1:1", "WANDB_API_KEY": ""}


def start(place, **plan):
    place.start(worker=FAST_WORKER, env={"FAST": json.dumps({**PLAN, **plan})})


def file_in(directory):
    found, = directory.glob("run-*.wandb")
    return found


def names_under(directory):
    return {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()}


def compare(place, job, directory):
    """Every row of the store beside the file's records."""
    records, order = dotwandb.read(file_in(directory))
    run, = records["run"]
    started_ms, = place.one("SELECT min(started_ms) FROM attempt WHERE job = ?", job)
    config, = place.one("SELECT config FROM visible_job WHERE id = ?", job)
    assert run["config"] == json.loads(config) and run["started"] == pytest.approx(started_ms / 1000, abs=1e-6)
    assert directory.name.endswith("-" + run["run_id"]) and file_in(directory).name == f"run-{run['run_id']}.wandb"
    rows = place.rows_to_forward(job)
    for row in rows:
        row.update(_runtime=max(row["_timestamp"] * 1000 - started_ms, 0) / 1000, step=row["_step"])
    history = records.get("history", [])
    assert len(rows) == len(history) and all(map(places.equal, rows, history))
    stored = [at / 1000 for at, in place.sql("SELECT at_ms FROM event WHERE job = ? AND kind = 'telemetry' ORDER BY id", job)]
    assert [row["at"] for row in records.get("stats", [])] == pytest.approx(stored, abs=1e-6)
    log = (place.state / f"jobs/{job}/log.txt").read_text().splitlines()
    assert [line for _, _, line in records["output_raw"]] == [line.split(" ", 2)[2] + "\n" for line in log]
    summary = records["summary"][-1]
    epoch = next(row for row in reversed(rows) if "epoch" in row)
    assert places.equal(epoch, {**{k: summary.get(k) for k in epoch}, "step": epoch["step"]})
    assert set(records["metric"]) >= {("epoch", None), ("test_accuracy", "epoch")}
    assert order[:2] == ["header", "run"] and order[-3:] == ["exit", "final", "footer"]
    files = [file for record in records["files"] for file in record]
    assert ("wandb-metadata.json", 0, 1) in files and {name for name, _, _ in files} == names_under(directory / "files")
    assert any(name.endswith(".png") and (directory / "files" / name).read_bytes()[:4] == b"\x89PNG" for name, _, _ in files)
    assert json.loads((directory / "files/wandb-metadata.json").read_text())["program"] == "sweep-worker"
    return records


def wait_written(place, n):
    place.wait(lambda: place.sql("SELECT count(*) FROM wandb_run WHERE phase = 'finished' AND url IS NULL") == [(n,)],
               f"{n} runs to be written")


def test_mode_offline_writes_each_run_as_it_ends(place, fake):
    start(place)
    place.forward(*FAST, env=NO_SERVER)
    wandb = {"mode": "offline", "entity": "me", "group": "größe", "tags": ["a", "b c"], "notes": "two\nlines"}
    place.submit_wandb(4, 7, wandb=wandb, name="off")
    wait_written(place, 4)
    found = sorted((place.state / "wandb").iterdir())
    assert len(found) == 4 and all(d.name.startswith("offline-run-") for d in found)
    runs = dict(place.sql("SELECT run_id, job FROM wandb_run"))
    for directory in found:
        records = compare(place, runs[directory.name.rpartition("-")[2]], directory)
        run = records["run"][0]
        assert (run["entity"], run["project"], run["group"]) == ("me", "p", "größe") and run["sweep"] is None
        assert run["tags"] == ["a", "b c"] and run["notes"] == "two\nlines" and run["name"].startswith("seed=")
        assert records["exit"][0]["exit_code"] == 0
    assert {row["step"] for row in records["history"]} == set(range(1, 8))
    assert not fake.requests
    assert place.said().count("offline-run-") == 4
    status = json.loads(place.ctl("wandb", "status", "--json").stdout)
    assert [(s["mode"], s["done"], s["state"]) for s in status["sweeps"]] == [("offline", 4, "written")]


def test_samples_of_steps_and_metrics(place):
    """A row a sample, `_step` counting the rows, also of runs that repeat steps: the file holds what is sent online."""
    start(place, repeat=1, metrics=["test_top5_accuracy", "val_loss", "mirror_test_accuracy"])
    place.forward(*FAST, env=NO_SERVER)
    place.submit_wandb(2, 6, wandb={"mode": "offline", "log_every": 1}, defaults={"log_steps": 3})
    wait_written(place, 2)
    for directory in (place.state / "wandb").iterdir():
        job, = place.one("SELECT job FROM wandb_run WHERE run_id = ?", directory.name.rpartition("-")[2])
        assert place.one("SELECT count(*) FROM attempt WHERE job = ?", job) == (2,)
        records = compare(place, job, directory)
        rows = records["history"]
        assert [row["step"] for row in rows] == list(range(20 + 6))
        assert [row["train/global_step"] for row in rows if "train/loss" in row] == list(range(3, 61, 3))
        assert all("val_loss" in row and row["epoch"] * 10 == row["train/global_step"] for row in rows if "epoch" in row)
        assert ("train/loss", "train/global_step") in records["metric"]


def test_a_failed_run_and_one_that_goes_on(place):
    place.script({"1": [[["epoch", 1], ["event", "failed", {"class": "config", "reason": "no"}]], [["train"]]]})
    place.start()
    place.forward(*FAST, env=NO_SERVER)
    job = place.submit_wandb(1, 3, wandb={"mode": "offline"}, resources={"retries": 0})
    wait_written(place, 1)
    directory, = (place.state / "wandb").iterdir()
    records, _ = dotwandb.read(file_in(directory))
    assert records["exit"][0]["exit_code"] == 1 and len(records["history"]) == 1
    (directory / "run.wandb.synced").write_text("")
    place.ctl("retry", job)
    place.wait_state(job, "done")
    newest, = place.one("SELECT max(id) FROM event WHERE job = ? AND kind = 'state'", job)
    place.wait(lambda: place.sql("SELECT 1 FROM wandb_run WHERE last_event >= ?", newest), "the second end to be written")
    directory, = (place.state / "wandb").iterdir()  # the same run, not a second one
    records, _ = dotwandb.read(file_in(directory))
    assert records["exit"][0]["exit_code"] == 0 and [row["step"] for row in records["history"]] == [1, 2, 3]
    assert not (directory / "run.wandb.synced").exists()


def test_killed_at_any_moment(place):
    """kill -9 of sweep-forward again and again: each run is there once, whole, and nothing else is."""
    rng = random.Random(7)
    start(place, pace_s=0.002)
    jobs = 12
    place.submit_wandb(jobs, 20, wandb={"mode": "offline"})
    written = 0
    while written < jobs:
        place.forward(*FAST, "--person-ms", 50, env=NO_SERVER)
        # as soon as one more has begun to be written, or is
        place.wait(lambda: len(os.listdir(place.state / "wandb") if (place.state / "wandb").exists() else []) > written
                   or place.forwarder.poll() is not None, "a further run")
        if rng.random() < 0.5:
            place.wait(lambda: place.sql("SELECT count(*) FROM wandb_run")[0][0] > written, "a further report")
        place.kill_forward()
        found = [d for d in (place.state / "wandb").iterdir() if not d.name.startswith(".")]
        assert all(dotwandb.read(file_in(d))[1][-1] == "footer" for d in found)  # under its name it is whole
        written = len(found)
    place.forward(*FAST, env=NO_SERVER)
    wait_written(place, jobs)
    found = sorted((place.state / "wandb").iterdir())
    assert len(found) == jobs and not [d for d in found if d.name.startswith(".")]
    runs = dict(place.sql("SELECT run_id, job FROM wandb_run"))
    for directory in found:
        compare(place, runs[directory.name.rpartition("-")[2]], directory)


@pytest.fixture
def small_disk(place):
    """STATE/wandb on a disk of its own, of 64 KiB."""
    where = place.state / "wandb"
    where.mkdir(parents=True)
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", where], capture_output=True,
                                          check=False).returncode:
        pytest.skip("only root may mount a disk, and not everywhere")
    yield where
    subprocess.run(["umount", "-l", where], check=True)


def test_a_full_disk_is_one_sentence_and_training_goes_on(place, small_disk):
    place.start(worker=FAST_WORKER, env={"FAST": json.dumps({**PLAN, "telemetry": 1})})
    place.forward(*FAST, "--person-ms", 30, env=NO_SERVER)
    (small_disk / "filler").write_bytes(bytes(56 * 1024))
    job = place.submit_wandb(2, 60, wandb={"mode": "offline"})
    place.wait_state(job + 1, "done")
    place.wait(lambda: place.sql("SELECT 1 FROM wandb_sweep WHERE problem LIKE 'the disk is full%'"), "the problem")
    assert [d for d in os.listdir(small_disk) if d.startswith("offline-")] == []
    status = place.ctl("wandb", "status", code=1).stdout
    assert "s1: the disk is full: the offline run" in status and "training goes on" in status
    (small_disk / "filler").unlink()
    place.wait(lambda: len([d for d in os.listdir(small_disk) if d.startswith("offline-")]) >= 1, "room to be used")
    assert place.said().count("the disk is full") <= 2  # once, and once for the second run at most


def test_a_directory_that_cannot_be(place):
    place.start(worker=FAST_WORKER)
    (place.state / "wandb").write_text("")
    place.forward(*FAST, "--person-ms", 20, env=NO_SERVER)
    place.submit_wandb(1, 2, wandb={"mode": "offline"})
    place.wait(lambda: place.sql("SELECT 1 FROM wandb_sweep WHERE problem LIKE '%cannot create directory%'"), "the problem")
    (place.state / "wandb").unlink()
    wait_written(place, 1)
    place.wait(lambda: place.sql("SELECT count(*) FROM wandb_sweep WHERE problem IS NULL") == [(1,)], "the problem's end")
    assert place.said().count("cannot create directory") == 1


def test_export_on_request(place, fake):
    """Of any run, sent or not, over or not; with the sweep it has at W&B."""
    place.script({"2": [[["epoch", 1], ["wait", "go"], ["train"]]]})
    place.start()
    place.forward(*FAST)
    place.submit_wandb(2, 3)
    place.wait_forwarded(1)
    place.wait(lambda: place.epochs(2), "an epoch of job 2")
    out = place.ctl("wandb", "export", "1-2", "--to", place.dir / "out", "--json").stdout
    first, second = map(json.loads, out.splitlines())
    assert (first["rows"], first["ended"]) == (3, True) and (second["rows"], second["ended"]) == (1, False)
    records, order = dotwandb.read(file_in(places.pathlib.Path(first["path"])))
    run = place.run_of(1)
    assert records["run"][0]["sweep"] == run["fields"]["sweep"] and records["run"][0]["run_id"] == run["name"]
    assert [{k: v for k, v in row.items() if k != "step"} for row in records["history"]] == list(map(json.loads, run["history"]))
    records, order = dotwandb.read(file_in(places.pathlib.Path(second["path"])))
    assert "exit" not in order and records["history"][0]["step"] == 1
    assert "it is not over" in place.ctl("wandb", "export", 2, "--to", place.dir / "out").stdout
    place.go("go")
    place.wait_forwarded(2)
    place.ctl("wandb", "export", "tiny", "--to", place.dir / "out")  # again: in the place of the first
    assert len(list((place.dir / "out").iterdir())) == 2
    records, order = dotwandb.read(file_in(places.pathlib.Path(second["path"])))
    assert order[-3:] == ["exit", "final", "footer"] and len(records["history"]) == 3
    place.ctl("wandb", "export", 99, code=4)
    place.ctl("wandb", "export", "none", code=4)


def test_numbers_that_are_not_finite_and_long_lines(place):
    text = 'größe ☃ 名前 " \\ {}:, '
    place.script({"1": [[["event", "metric", {"epoch": 1, "name": 'a"b\\c:{', "value": "nan"}],
                         ["epoch_with", 1, {"note": text + "x" * 60_000, "loss": "inf"}], ["epoch", 2], ["done"]]]})
    place.start()
    place.forward(*FAST, env=NO_SERVER)
    place.submit_wandb(1, 2, wandb={"mode": "offline", "notes": text})
    wait_written(place, 1)
    directory, = (place.state / "wandb").iterdir()
    records, _ = dotwandb.read(file_in(directory))
    row = records["history"][0]
    assert row["note"] == text + "x" * 60_000 and row["loss"] == math.inf and math.isnan(row['a"b\\c:{'])
    assert records["run"][0]["notes"] == text
