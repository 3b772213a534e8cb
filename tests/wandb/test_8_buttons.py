"""What is pressed in W&B's pages acts on jobs, once; and how runs and sweeps begin, wait, go on and end there."""
import contextlib
import json
import sqlite3

import pytest
from campaign import FAST

SLOW = [["epoch", 1], ["wait", "gate"], ["train"]]


def runs(fake):
    return fake.state()["runs"]


def sweep_of(fake):
    (sweep,) = fake.state()["sweeps"].values()
    return sweep


def wait_end(place, job, reopened):
    """The run's end after it was opened again so often."""
    place.wait(lambda: (run := place.run_of(job)) and run["reopened"] == reopened and run["complete"], "the run's end")


@pytest.fixture
def grid(place):
    """Three jobs on one device: the first holds it until the gate opens."""
    place.script({"1": [SLOW]})
    place.start("--busy-ms", 200)
    place.forward(*FAST, "--poll-ms", 50)
    place.submit_wandb(3, 3)
    place.wait(lambda: place.run_of(1) and place.run_of(1)["history"], "the first run's first row")
    return place


def test_pause_holds_what_waits_and_resume_lets_it_go(grid, fake):
    fake.press(sweep_of(fake)["name"], "PAUSED")
    for job in (2, 3):
        grid.wait_state(job, "paused")
        assert grid.reason_of(job) == "paused by W&B"
    assert grid.state_of(1) == "running"
    grid.ctl("pause", 1)  # this one a person pauses, and nobody resumes
    grid.wait_state(1, "paused")
    fake.press(sweep_of(fake)["name"], "RUNNING")
    grid.wait_forwarded(2, 3)
    assert grid.state_of(1) == "paused" and grid.reason_of(1).startswith("paused by uid")
    assert grid.sql("SELECT state FROM wandb_sweep") == [("RUNNING",)]


def test_stop_of_the_sweep_lets_what_runs_end(grid, fake):
    fake.press(sweep_of(fake)["name"], "FINISHED")
    for job in (2, 3):
        grid.wait_state(job, "cancelled")
        assert grid.reason_of(job) == "cancelled by W&B"
    grid.go("gate")
    grid.wait_forwarded(1)
    assert grid.state_of(1) == "done" and sweep_of(fake)["state"] == "FINISHED"
    assert len(runs(fake)) == 1  # what never ran is no run


def test_cancel_ends_everything(grid, fake):
    fake.press(sweep_of(fake)["name"], "CANCELED")
    for job in (1, 2, 3):
        grid.wait_state(job, "cancelled")
    grid.wait_forwarded(1)
    run = grid.run_of(1)
    assert run["exitcode"] == 255 and grid.compare(1) == []
    assert sweep_of(fake)["state"] == "CANCELED"


def test_stop_of_a_run_acts_once(grid, fake):
    run_id, = grid.one("SELECT run_id FROM wandb_run WHERE job = 1")
    fake.stop_run(run_id)
    grid.wait_state(1, "cancelled")
    assert grid.reason_of(1) == "cancelled by W&B"
    grid.wait_forwarded(1, 2, 3)
    assert grid.run_of(1)["state"] == "killed"
    assert grid.sql("SELECT stopped FROM wandb_run ORDER BY job") == [(1,), (0,), (0,)]
    grid.script({"1": [[], [["train"]]]})
    grid.ctl("retry", 1)  # the server goes on saying it; the person here has decided anew
    wait_end(grid, 1, reopened=1)
    assert grid.state_of(1) == "done" and grid.run_of(1)["exitcode"] == 0 and len(grid.run_of(1)["history"]) == 3


def test_a_button_is_heeded_after_a_kill_of_both(grid, fake):
    grid.kill_forward()
    grid.kill()
    fake.press(sweep_of(fake)["name"], "PAUSED")
    grid.forward(*FAST, "--poll-ms", 50)
    grid.start()
    grid.wait_state(2, "paused")
    grid.go("gate")
    grid.wait_forwarded(1)
    assert grid.compare(1) == []


def test_a_button_waits_for_a_store_that_takes_nothing(grid, fake):
    """Somebody holds the database: what was pressed acts when it is free."""
    with contextlib.closing(sqlite3.connect(grid.state / "results.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        fake.press(sweep_of(fake)["name"], "PAUSED")
        grid.wait_said("takes nothing")
        assert grid.state_of(2) == "queued"
        holder.execute("ROLLBACK")
    grid.wait_state(2, "paused")
    grid.go("gate")
    grid.wait_forwarded(1)


def test_a_pause_is_preempting_and_the_same_run_goes_on(grid, fake):
    grid.ctl("pause", 1)
    grid.wait(lambda: grid.run_of(1)["state"] == "preempting", "the run to be left")
    grid.wait(lambda: grid.sql("SELECT phase FROM wandb_run WHERE job = 1") == [("left",)], "that to be stored")
    grid.script({"1": [[], [["train"]]]})
    grid.ctl("resume", 1)
    grid.wait_forwarded(1, 2, 3)
    assert grid.compare(1) == [] and len(runs(fake)) == 3 and grid.run_of(1)["upserts"] == 2


def test_a_quiet_run_says_that_it_lives(place, fake):
    place.script({"1": [SLOW]})
    place.start()
    place.forward(*FAST, "--heartbeat-ms", 50)
    place.submit_wandb(1, 3)
    place.wait(lambda: place.run_of(1) and place.run_of(1)["heartbeats"] > 3, "heartbeats")
    place.go("gate")
    place.wait_forwarded(1)
    assert place.compare(1) == []


def test_a_finished_sweep_goes_on_when_a_job_is_retried(place, fake):
    place.script({"1": [[["epoch", 1], ["failed", "config"]], [["train"]]]})
    place.start()
    place.forward(*FAST, "--poll-ms", 50)
    place.submit_wandb(2, 3)
    place.wait_forwarded(1, 2)
    place.wait(lambda: sweep_of(fake)["state"] == "FINISHED", "the sweep to be finished")
    assert place.run_of(1)["state"] == "failed" and place.run_of(1)["exitcode"] == 1
    place.ctl("retry", 1)
    wait_end(place, 1, reopened=1)
    assert place.compare(1) == []
    place.wait(lambda: sweep_of(fake)["upserts"] >= 4 and sweep_of(fake)["state"] == "FINISHED", "RUNNING, then FINISHED")


def test_one_sweep_though_its_answer_is_lost(place, fake):
    fake.fault(operation="upsertSweep", reset="after")
    fake.fault(operation="upsertSweep", malformed=True)
    place.start()
    place.forward(*FAST)
    place.submit_wandb(2, 2)
    place.wait_forwarded(1, 2)
    sweep = sweep_of(fake)
    config = json.loads(sweep["config"])
    assert config["parameters"] == {"seed": {"values": [0, 1]}} and config["controller"] == {"type": "local"}
    assert config["metric"] == {"name": "test_accuracy", "goal": "maximize"}
    assert all(run["fields"]["sweep"] == sweep["name"] for run in runs(fake).values())


def test_what_varies_nothing_is_no_sweep(place, fake):
    text = json.dumps({"name": "one", "project": "p", "defaults": {"epochs": 2, "use_wandb": True}, "parameters": {
        "seed": {"value": 3}}})
    place.start()
    place.forward(*FAST)
    assert place.ask("submit", text=text, file_name="s.json")["ok"]
    place.wait_forwarded(1)
    assert place.compare(1) == [] and not fake.state()["sweeps"]
    run = place.run_of(1)
    assert run["config"]["seed"] == {"value": 3} and "t" in run["config"]["_wandb"]["value"]


def test_a_run_that_was_deleted_there_is_sent_anew_when_asked(place, fake):
    place.script({"1": [[["epoch", 1], ["failed", "config"]], [["train"]]]})
    place.start()
    place.forward(*FAST)
    place.submit_wandb(1, 3)
    place.wait_forwarded(1)
    with fake.lock:
        fake.records.runs.clear()
    place.ctl("retry", 1)
    place.wait(lambda: place.sql("SELECT phase FROM wandb_run") == [("refused",)], "the run to be refused")
    problem, = place.one("SELECT problem FROM wandb_run")
    assert "deleted" in problem and "sweepctl wandb sync 1" in problem
    place.wait_state(1, "done")
    place.ctl("wandb", "sync", 1)
    place.wait_forwarded(1)
    assert place.compare(1) == []
