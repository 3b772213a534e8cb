"""The life of a run and of a sweep at W&B: buttons of its pages, runs that wait, fail, go on, are silent."""
import json

from campaign import FAST, FAST_WORKER


def sweep_of(place):
    """The sweep's short id at W&B, once it is known."""
    return place.wait(lambda: place.sql("SELECT name FROM wandb_sweep WHERE name IS NOT NULL"), "the sweep")[0][0]


def sweep_state(fake):
    sweep, = fake.state()["sweeps"].values()
    return sweep["state"]


def holding(place, n=1, epochs=3):
    """A sweep whose jobs all wait, after one epoch, for go("on")."""
    place.script({str(job): [[["epoch", 1], ["wait", "on"], ["train"]]] for job in range(1, n + 1)})
    place.start()
    place.forward(*FAST)
    first = place.submit_wandb(n, epochs)
    place.wait_state(first, "running")
    place.wait(lambda: (place.run_of(first) or {"history": []})["history"], "its first epoch to be there")
    return first


def test_a_run_stopped_in_its_page(place, fake):
    job = holding(place)
    run = place.run_of(job)
    fake.stop_run(run["name"])
    place.wait_state(job, "cancelled")
    place.wait_forwarded(job)
    run = place.run_of(job)
    assert (run["state"], run["exitcode"], len(run["history"])) == ("killed", 255, 1)
    assert "W&B" in place.reason_of(job)


def test_a_sweep_paused_resumed_and_cancelled_in_its_page(place, fake):
    first = holding(place, n=3)
    name = sweep_of(place)
    assert sweep_state(fake) == "RUNNING"
    fake.press(name, "PAUSED")
    for job in (first + 1, first + 2):
        place.wait_state(job, "paused")
    assert place.state_of(first) == "running"
    fake.press(name, "RUNNING")
    for job in (first + 1, first + 2):
        place.wait_state(job, "queued")
    fake.press(name, "CANCELED")
    for job in (first, first + 1, first + 2):
        place.wait_state(job, "cancelled")
    place.wait_forwarded(first)
    assert sweep_state(fake) == "CANCELED"


def test_a_sweep_stopped_in_its_page_ends_what_runs(place, fake):
    first = holding(place, n=2)
    fake.press(sweep_of(place), "FINISHED")
    place.wait_state(first + 1, "cancelled")
    assert place.state_of(first) == "running"
    place.go("on")
    place.wait_state(first, "done")
    place.wait_forwarded(first)
    assert place.compare(first) == []


def test_a_sweep_that_ends_is_finished_there_with_all_that_its_page_needs(place, fake):
    place.start(worker=FAST_WORKER)
    place.forward(*FAST)
    first = place.submit_wandb(3, 4)
    place.wait_forwarded(first, first + 1, first + 2)
    place.wait(lambda: sweep_state(fake) == "FINISHED", "the sweep to be finished")
    sweep, = fake.state()["sweeps"].values()
    config = json.loads(sweep["config"])
    assert config["controller"] == {"type": "local"} and config["metric"] == {"name": "test_accuracy", "goal": "maximize"}
    for job in range(first, first + 3):
        run = place.run_of(job)
        seed = run["config"]["seed"]["value"]
        assert seed in config["parameters"]["seed"]["values"] and run["fields"]["sweep"] == sweep["name"]
        assert isinstance(json.loads(run["summary"])["test_accuracy"], float)
        assert {"config.yaml", "wandb-summary.json", "wandb-metadata.json"} <= set(run["uploaded"])


def test_a_run_that_is_silent_has_heartbeats(place):
    job = holding(place)
    place.kill_forward()
    options = [100 if before == "--heartbeat-ms" else option for before, option in zip([None, *FAST], FAST)]
    place.forward(*options)
    before = place.run_of(job)["heartbeats"]
    place.wait(lambda: place.run_of(job)["heartbeats"] > before + 3, "heartbeats")
    place.go("on")
    place.wait_forwarded(job)


def test_a_run_that_leaves_its_device_is_preempted_and_goes_on(place):
    job = holding(place)
    place.ask("pause", jobs=[job])
    place.wait_state(job, "paused")
    place.wait(lambda: place.run_of(job)["preempting"], "W&B to hear that it left")
    assert not place.run_of(job)["complete"]
    place.ask("resume", jobs=[job])
    place.wait_forwarded(job)
    assert place.compare(job) == []


def test_a_failed_run_that_is_tried_again_is_opened_again(place):
    place.script({"1": [[["epoch", 1], ["failed", "data"]], [["train"]]]})
    place.start()
    place.forward(*FAST)
    job = place.submit_wandb()
    place.wait_forwarded(job)
    run = place.run_of(job)
    assert (run["state"], run["exitcode"] != 0, run["reopened"]) == ("failed", True, 0)
    place.ask("retry", jobs=[job])
    place.wait_state(job, "done")
    place.wait(lambda: place.run_of(job)["state"] == "finished", "the run to be finished")
    run = place.run_of(job)
    assert place.compare(job) == [] and run["reopened"] == 1 and len(run["history"]) == 3
    assert len(place.fake_server.state()["runs"]) == 1
