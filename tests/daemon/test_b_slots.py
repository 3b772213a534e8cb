"""Several jobs in one worker (sweepd --slots): they share a device and the fate of a process, and nothing else."""
import json
import os
import signal

import pytest

from conftest import PLAIN, WORKER, wait_until
from test_8_real_worker import DATA

pytestmark = pytest.mark.skipif(not DATA.exists() or not WORKER.exists(), reason="needs fashion-mnist and sweep-worker")

CONFIG = {"model": "resnet8", "dataset": "fashion-mnist", "epochs": 2, "train_images": 32, "test_images": 16,
          "batch_size": 16, "num_workers": 1, "use_amp": False}
PATIENT = ["--ask-ms", 20000]
TWO = ["--slots", 2, "--threads", 2, *PATIENT]  # a thread for each
LONG = {"epochs": 100000}


@pytest.fixture(name="two")
def two_fixture(place):
    return place.start(*TWO, worker=WORKER)


def submit(sweepd, seeds, retries=2, **config):
    """One job for each seed; their ids."""
    text = json.dumps({"parameters": {"seed": {"values": seeds}}, "defaults": {**CONFIG, **config},
                       "resources": {"retries": retries}})
    first = sweepd.submit(text=text)
    return list(range(first, first + len(seeds)))


def trains(sweepd, *jobs):
    """Each of them has come as far as its first epoch."""
    sweepd.wait(lambda: all(sweepd.epochs(job) for job in jobs), f"jobs {jobs} to train")


def result(sweepd, job):
    sweepd.wait_state(job, "done")
    return (sweepd.sql("SELECT epoch, lr, train_loss, train_accuracy, test_loss, test_accuracy FROM curves WHERE job = ?"
                       " ORDER BY epoch", job), (sweepd.state / f"jobs/{job}/final.safetensors").read_bytes())


def weights(result_of_job):
    """What a checkpoint says of times is not the same twice."""
    rows, raw = result_of_job
    return rows, raw[8 + int.from_bytes(raw[:8], "little"):]


def workers(sweepd):
    return {worker for worker, in sweepd.sql("SELECT DISTINCT worker FROM attempt")}


def test_each_computes_what_it_would_alone(two):
    jobs = submit(two, [1, 2, 3])
    two.wait(lambda: two.one("SELECT count(*) FROM attempt WHERE state = 'running'") == (2,), "two at a time")
    device = two.ask("status")["devices"]
    assert len(device) == 1 and device[0]["slots"] == 2 and len(device[0]["jobs"]) == 2 and device[0]["job"]
    assert ",".join(map(str, device[0]["jobs"])) in two.ctl("devices").stdout
    side_by_side = [weights(result(two, job)) for job in jobs]
    assert len(workers(two)) == 1
    two.stop()
    two.start("--threads", 1, *PATIENT, worker=WORKER)
    alone = [weights(result(two, job)) for job in submit(two, [1, 2, 3])]
    assert side_by_side == alone
    two.stop()


def test_one_that_fails_or_is_asked_to_end_leaves_the_other_alone(two):
    """Different data sets too: what is loaded for one is not the other's."""
    (whole,) = submit(two, [5], epochs=12)
    (bad,) = submit(two, [1], lr=1e6, weight_decay=1e3, retries=0)
    two.wait_state(bad, "failed")
    assert two.one("SELECT class FROM attempt WHERE job = ?", bad) == ("diverged",)
    (long,) = submit(two, [2], **LONG, train_images=16)
    trains(two, long)
    assert two.ask("pause", jobs=[long])["ok"] and two.state_of(long) == "paused"
    assert two.ask("resume", jobs=[long])["ok"]
    two.wait_state(long, "running")
    assert two.ask("cancel", jobs=[long])["ok"] and two.state_of(long) == "cancelled"
    disturbed = weights(result(two, whole))
    assert two.attempts(whole) == ["done"] and len(workers(two)) == 1
    (undisturbed,) = submit(two, [5], epochs=12)
    assert weights(result(two, undisturbed)) == disturbed
    two.stop()


def test_a_killed_worker_loses_both_and_both_go_on(two):
    jobs = submit(two, [1, 2], epochs=6, checkpoint_interval_s=0)
    trains(two, *jobs)
    os.kill(two.worker_pid(), signal.SIGKILL)
    killed = [weights(result(two, job)) for job in jobs]
    attempts = [two.attempts(job) for job in jobs]  # a fast one may have been through
    assert ["lost", "done"] in attempts and all(a in (["lost", "done"], ["done"]) for a in attempts), attempts
    assert killed == [weights(result(two, job)) for job in submit(two, [1, 2], epochs=6)]
    two.stop()


def test_both_are_adopted_with_as_many_slots_or_fewer(two):
    jobs = submit(two, [1, 2], **LONG)
    trains(two, *jobs)
    pid = two.worker_pid()
    for slots in (2, 1):
        two.kill()
        two.start("--slots", slots, "--threads", 2, *PATIENT, worker=WORKER)
        before = [two.epochs(job)[-1] for job in jobs]
        two.wait(lambda: all(two.epochs(job)[-1] > n for job, n in zip(jobs, before)), "both to go on")
        assert two.worker_pid() == pid and [two.attempts(job) for job in jobs] == [["running"]] * 2
    (waits,) = submit(two, [3], **LONG)
    assert two.ask("cancel", jobs=[jobs[1]])["ok"]
    wait_until(lambda: two.ask("status")["devices"][0]["jobs"] == [jobs[0]], "a place to be free")
    assert two.state_of(waits) == "queued"  # it is a place too many
    assert two.ask("cancel", jobs=[jobs[0]])["ok"]
    two.wait_state(waits, "running")
    two.stop()


def test_a_stop_releases_both(two):
    jobs = submit(two, [1, 2], **LONG)
    trains(two, *jobs)
    two.stop()
    assert [(two.attempts(job), two.state_of(job)) for job in jobs] == [(["released"], "queued")] * 2


def test_who_stands_beside_one_that_does_not_heed_pays_nothing(place):
    """A worker that hears nothing any more is killed for the job that was to be cancelled; the other is only queued again."""
    place.start("--slots", 2, "--threads", 2, "--ask-ms", 300, "--drain-ms", 300, worker=WORKER)
    jobs = submit(place, [1, 2], **LONG, retries=0)
    trains(place, *jobs)
    os.kill(place.worker_pid(), signal.SIGSTOP)
    assert place.ask("cancel", jobs=[jobs[1]])["jobs"][0]["state"] == "cancelled"
    place.wait(lambda: place.attempts(jobs[0])[:2] == ["lost", "running"])
    assert place.one("SELECT retries_used, reason FROM job WHERE id = ?", jobs[0])[0] == 0
    reason = place.one("SELECT reason FROM attempt WHERE job = ? AND state = 'lost'", jobs[0])[0]
    assert reason.startswith("worker killed: another of its jobs: "), reason


def test_silence_is_that_of_both(place):
    place.start("--slots", 2, "--threads", 2, "--heartbeat-lost-ms", 3000, *PATIENT, worker=WORKER)
    jobs = submit(place, [1, 2], **LONG)
    trains(place, *jobs)
    os.kill(place.worker_pid(), signal.SIGSTOP)
    place.wait(lambda: [place.attempts(job)[0] for job in jobs] == ["lost"] * 2, "both to be given up")
    assert place.sql("SELECT DISTINCT class FROM attempt WHERE state = 'lost'") == [("hang",)]
    place.wait(lambda: [place.state_of(job) for job in jobs] == ["running"] * 2, "both to run again")


LOSING = PLAIN / "tests/worker/lost_device_worker"
REF = {"model": "resnet8", "train_images": 32, "test_images": 16, "checkpoint_interval_s": 0, "num_workers": 0}


def test_a_worker_whose_device_fails_ends_and_gets_no_other_job(place):
    """Every attempt has a worker of its own: none is sent to a process whose GPU is dead.  It costs the job no retry."""
    place.start("--devices", 1, "--threads", 1, "--device-faults", 100, worker=LOSING, env={"LOSE_AFTER": "3"})
    (job,) = submit(place, [1], retries=0, epochs=1, **REF, batch_size=8)  # 4 steps, of which the last always fails
    place.wait(lambda: place.attempts(job).count("failed") >= 3, "three attempts to fail")
    rows = place.sql("SELECT a.worker, a.state, a.class, a.reason, w.reason FROM attempt a JOIN worker w ON w.id = a.worker"
                     " WHERE a.job = ? ORDER BY a.id LIMIT 3", job)
    assert len({worker for worker, *_ in rows}) == 3
    for _, state, fail_class, reason, end in rows:
        assert (state, fail_class) == ("failed", "device") and "uncorrectable ECC" in reason
        assert end.startswith("exit status 1; its last words: error: this process cannot use cpu any more")
    assert place.one("SELECT retries_used FROM job") == (0,)


def test_a_device_that_fails_fails_all_that_share_it(place):
    place.start("--devices", 1, "--slots", 2, "--threads", 2, "--device-faults", 2, worker=LOSING, env={"LOSE_AFTER": "3"})
    jobs = submit(place, [1, 2], retries=0, **REF, batch_size=8)
    place.wait(lambda: place.one("SELECT state FROM device")[0] == "set_aside", "the device to be set aside")
    assert place.sql("SELECT DISTINCT class, retries_used FROM attempt JOIN job ON job.id = attempt.job"
                     " WHERE class IS NOT NULL") == [("device", 0)]
    assert "uncorrectable ECC" in place.ctl("devices").stdout
    assert {place.state_of(job) for job in jobs} == {"queued"}
