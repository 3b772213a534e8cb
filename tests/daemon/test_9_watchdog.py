"""Workers that hang in every way: silent, busy with one step for ever, stopped, deaf; and a daemon that was itself away."""
import os
import re
import signal
import time

from conftest import wait_dead, wait_until


def hang_reason(sweepd, job):
    state, fail_class, reason = sweepd.one("SELECT state, class, reason FROM attempt WHERE job = ? AND number = 1", job)
    assert fail_class == "hang"
    retry = sweepd.sql("SELECT detail ->> 'reason' FROM event WHERE kind = 'state' AND job = ? AND detail ->> 'state' ="
                       " 'queued'", job)[0][0]
    assert retry.startswith(reason + "; retry 1 of 2 in"), retry
    return state, reason


def test_a_stopped_worker(place):
    """SIGSTOP: TERM would wait for ever."""
    place.script({1: [[["epoch", 1], ["wait", "never"]]]})
    place.start("--heartbeat-lost-ms", 400)
    job = place.submit(epochs=3)
    place.wait(lambda: place.epochs(job) == [1])
    os.kill(place.worker_pid(), signal.SIGSTOP)
    place.wait_state(job, "done")
    state, reason = hang_reason(place, job)
    assert state == "lost" and re.fullmatch(r"worker killed: no heartbeat for [0-9.]+ s", reason)
    assert place.epochs(job) == [1, 2, 3]
    place.stop()


def test_heartbeats_without_a_step(place):
    """It answers, so it is asked for its checkpoint; the worker stays."""
    place.script({1: [[["epoch", 1], ["progress"], ["wait", "never"]]]})
    place.start("--stall-ms", 400, "--stall-factor", 1)
    job = place.submit(epochs=3)
    place.wait_state(job, "done")
    state, reason = hang_reason(place, job)
    assert state == "failed" and re.fullmatch(r"no step for [0-9.]+ s in epoch 1 after step 1 \(limit 0.4 s; the longest"
                                              r" before: [0-9.e-]+ s\)", reason)
    assert place.epochs(job) == [1, 2, 3] and len(set(place.pids())) == 1
    assert place.one("SELECT retries_used FROM job") == (1,)
    place.stop()


def test_a_job_that_goes_on_slowly_is_left_alone(place):
    """Each epoch takes 0.1 s, the limit without a step is 0.25 s or ten times the longest: well over it in all."""
    place.script(pace_s=0.1)
    place.start("--stall-ms", 250)
    job = place.submit(epochs=12)
    place.wait_state(job, "done", "failed")
    assert place.attempts(job) == ["done"]


def test_a_deaf_one_is_killed_with_all_it_started(place):
    place.script({1: [[["ignore", "release", "stop", "term"], ["grandchild"], ["grandchild", True], ["epoch", 1],
                       ["wait", "never"]]]})
    place.start("--stall-ms", 300, "--ask-ms", 100)
    job = place.submit(epochs=2)
    place.wait_state(job, "done")
    state, reason = hang_reason(place, job)
    assert state == "lost" and reason.startswith("worker killed: no step for ")
    assert "SIGTERM" in place.log() and "SIGKILL" in place.log()
    for pid in place.pids()[:3]:
        wait_dead(pid)
    place.stop()


def test_leftovers_of_a_worker_that_died_while_no_daemon_ran(sweepd):
    sweepd.script({1: [[["grandchild", True], ["epoch", 1], ["wait", "go"], ["exit", 1]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    worker, grandchild = sweepd.pids()
    sweepd.kill()
    sweepd.go("go")
    wait_dead(worker)
    sweepd.start()
    sweepd.wait_state(job, "done")
    wait_dead(grandchild)


def test_a_daemon_that_was_stopped_blames_nobody(place):
    """What its worker said meanwhile waits in the socket."""
    place.script({1: [[["epoch", 1], ["wait", "go"], *[a for n in range(2, 30) for a in (["work"], ["epoch", n])],
                       ["touch", "all"], ["wait", "last"], ["train"]]]}, pace_s=0.05)
    place.start("--heartbeat-lost-ms", 500, "--stall-ms", 500, "--adopt-ms", 500)
    job = place.submit(epochs=30)
    place.wait(lambda: place.epochs(job) == [1])
    place.process.send_signal(signal.SIGSTOP)
    since = time.monotonic()
    place.go("go")
    wait_until((place.fake / "all").exists, "28 epochs of 0.05 s")
    assert time.monotonic() - since > 1.2
    place.process.send_signal(signal.SIGCONT)
    place.go("last")
    place.wait_state(job, "done", "failed")
    assert place.attempts(job) == ["done"] and place.epochs(job) == list(range(1, 31))
    place.stop()
