"""resources.time_limit: of one attempt; a checkpoint, a failure of a class of its own, and a person's retry goes on."""
import json
import pathlib

import pytest

from conftest import WORKER, wait_until

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")


def test_a_job_that_takes_too_long_leaves_a_checkpoint_and_goes_on_when_retried(sweepd):
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]]]})
    job = sweepd.submit(epochs=3, resources={"time_limit": 0.4})
    sweepd.wait_state(job, "failed")
    sweepd.wait_received(type="release", why="time_limit")
    reason = "time limit of 0.4 s reached in epoch 2; from its checkpoint it goes on with: sweepctl retry 1"
    assert sweepd.reason_of(job) == reason
    assert sweepd.one("SELECT state, class, reason FROM attempt") == ("failed", "time_limit", reason)
    seconds, retries_used = sweepd.one("SELECT a.seconds, j.retries_used FROM attempt a JOIN job j ON j.id = a.job")
    assert 0.4 <= seconds < 10 and retries_used == 0
    assert "0.4 s for each attempt" in sweepd.ctl("show", job).stdout
    sweepd.ctl("retry", job)
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2, 3] and len(set(sweepd.pids())) == 1
    assert sweepd.one("SELECT notes FROM results") == ("resumed once",)
    sweepd.stop()


def test_one_that_does_not_heed_is_killed(place):
    place.script({1: [[["ignore", "release", "stop", "term"], ["epoch", 1], ["wait", "never"]]]})
    place.start("--drain-ms", 200, "--ask-ms", 100)
    job = place.submit(epochs=3, resources={"time_limit": 0.2})
    place.wait_state(job, "failed")
    assert place.one("SELECT state, class FROM attempt") == ("lost", "time_limit")
    assert place.reason_of(job) == ("time limit of 0.2 s reached; its worker did not end when asked and was killed")
    place.wait_idle()
    place.stop()


def test_a_job_in_time_is_not_touched_and_the_limit_is_of_an_attempt(sweepd):
    """Stopped twice half way: each attempt has it anew."""
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]], [["epoch", 2], ["wait", "never"]]]})
    job = sweepd.submit(epochs=3, resources={"time_limit": "1h"})
    for epoch in (1, 2):
        sweepd.wait(lambda n=epoch: len(sweepd.epochs(job)) == n)
        sweepd.restart()
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["released", "released", "done"]


def test_the_limit_holds_while_sweepd_is_away(sweepd):
    """It was reached meanwhile: heeded as soon as the worker is back, and counted from the start."""
    sweepd.script({1: [[["epoch", 1], ["wait", "go"], ["work"], ["touch", "late"], ["wait", "never"]]]}, pace_s=1.2)
    job = sweepd.submit(epochs=3, resources={"time_limit": 1})
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    sweepd.kill()
    sweepd.go("go")
    wait_until((sweepd.fake / "late").exists, "more than the limit")
    sweepd.start()
    sweepd.wait_state(job, "failed")
    wall_ms, seconds, fail_class = sweepd.one("SELECT ended_ms - started_ms, seconds, class FROM attempt")
    assert fail_class == "time_limit" and seconds >= 1.2 and abs(wall_ms / 1000 - seconds) < 0.5


@pytest.mark.skipif(not DATA.exists() or not WORKER.exists(), reason="needs fashion-mnist and sweep-worker")
def test_the_real_worker(place):
    place.start("--threads", 1, worker=WORKER)
    config = {"dataset": "fashion-mnist", "model": "resnet8", "epochs": 1000, "train_images": 32, "test_images": 16,
              "batch_size": 16, "num_workers": 0, "use_amp": False}
    text = json.dumps({"parameters": {"seed": {"value": 3}}, "defaults": config, "resources": {"time_limit": 0.7}})
    job = place.submit(text=text)
    for n in (1, 2):
        place.wait(lambda n=n: place.attempts(job) == ["failed"] * n)
        assert place.one("SELECT class FROM attempt WHERE number = ?", n) == ("time_limit",), place.reason_of(job)
        assert (place.state / f"jobs/{job}/last.safetensors").exists()
        place.ctl("retry", job)
    place.wait(lambda: place.sql("SELECT 1 FROM attempt WHERE number = 3 AND start_epoch IS NOT NULL"))
    starts = place.sql("SELECT start_epoch, start_step FROM attempt ORDER BY number")
    assert starts[0] == (0, 0) < starts[1] < starts[2]
    epochs = place.epochs(job)
    assert epochs == list(range(1, len(epochs) + 1))
    place.stop()
