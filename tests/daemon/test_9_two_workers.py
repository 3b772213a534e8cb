"""One attempt, one worker (invariant 3), whatever is killed; and a reboot."""
import contextlib
import json
import os
import pathlib
import signal
import socket
import sqlite3

import pytest

from conftest import wait_dead


def say_hello(sweepd, worker, attempt):
    """A second process that says it is that worker; what it is told until the connection ends."""
    token = (sweepd.state / "worker.token").read_text().strip()
    hello = {"type": "hello", "protocol": 1, "worker": worker, "token": token, "pid": 1, "device": {"name": "x"},
             "jobs": [{"attempt": attempt, "next_seq": 3}]}
    event = {"type": "epoch", "attempt": attempt, "seq": 3, "epoch": 2, "batch_size": 1, "lr": 1, "train_loss": 0,
             "train_accuracy": 0, "test_loss": 0, "test_accuracy": 99, "train_seconds": 1, "test_seconds": 1,
             "images_per_second": 1}
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(sweepd.state / "worker.sock"))
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            s.sendall((json.dumps(hello) + "\n" + json.dumps(event) + "\n").encode())
        return [json.loads(line) for line in s.makefile()]


def test_a_second_worker_with_the_same_attempt_is_told_to_end(sweepd):
    sweepd.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    told = say_hello(sweepd, 1, 1)
    assert told == [{"type": "fence", "attempt": 1}, {"type": "stop"}]
    sweepd.wait_log("says that it is worker 1")
    assert sweepd.epochs(job) == [1]
    sweepd.go("go")
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["done"] and sweepd.epochs(job) == [1, 2, 3] and len(sweepd.pids()) == 1
    assert sum(m["type"] == "welcome" for m in sweepd.received()) == 1  # the first one noticed nothing
    sweepd.stop()


def test_also_while_the_first_is_away(sweepd):
    """Stopped, and sweepd is a new one that has not heard of it yet."""
    sweepd.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    pid = sweepd.worker_pid()
    os.kill(pid, signal.SIGSTOP)
    sweepd.kill()
    sweepd.start()
    assert say_hello(sweepd, 1, 1)[-1] == {"type": "stop"} and sweepd.epochs(job) == [1]
    os.kill(pid, signal.SIGCONT)
    sweepd.go("go")
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["done"] and sweepd.worker_pid() == pid


def test_a_fenced_attempt_writes_no_more(sweepd):
    """The worker of an attempt that is over cannot add to it, whatever it sends."""
    sweepd.script({1: [[["epoch", 1], ["failed", "internal", "x"]], [["epoch", 2], ["wait", "go"], ["train"]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait(lambda: sweepd.epochs(job) == [1, 2])
    assert say_hello(sweepd, 1, 1)[0] == {"type": "fence", "attempt": 1}
    assert sweepd.sql("SELECT attempt, max(seq) FROM event WHERE attempt IS NOT NULL GROUP BY 1") == [(1, 3), (2, 2)]
    sweepd.go("go")
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2, 3]


@pytest.mark.parametrize("first", ["daemon", "worker"])
def test_daemon_and_worker_are_killed_together(sweepd, first):
    sweepd.script({1: [[["epoch", 1], ["epoch", 2, "file"], ["touch", "now"], ["wait", "never"]]]})
    job = sweepd.submit(epochs=4)
    sweepd.wait(lambda: sweepd.epochs(job) == [1] and (sweepd.fake / "now").exists())
    pid = sweepd.worker_pid()
    if first == "worker":
        sweepd.process.send_signal(signal.SIGSTOP)  # it does not hear of it
        os.kill(pid, signal.SIGKILL)
        sweepd.kill()
    else:
        sweepd.kill()
        os.kill(pid, signal.SIGKILL)
    wait_dead(pid)
    sweepd.start()
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"] and sweepd.epochs(job) == [1, 2, 3, 4]
    sweepd.stop()


def test_kill_9_in_a_loop_while_a_worker_streams(place):
    """It keeps its process, and no epoch is missing or doubled."""
    place.script(pace_s=0.02)
    place.start()
    job = place.submit(epochs=60)
    place.wait(lambda: place.epochs(job))
    pid = place.worker_pid()
    for _ in range(8):
        before = len(place.epochs(job))
        place.kill()
        place.start()
        place.wait(lambda n=before: len(place.epochs(job)) > n or place.state_of(job) == "done")
    place.wait_state(job, "done")
    assert place.attempts(job) == ["done"] and place.epochs(job) == list(range(1, 61))
    assert place.worker_pid() == pid and place.pids() == [pid]
    place.stop()


def test_after_a_reboot_everything_goes_on_from_its_checkpoint(place):
    """Another boot: numbers and start times of processes mean others now, here this test's own."""
    place.script({n: [[["epoch", 1], ["wait", "never"]]] for n in (1, 2)})
    place.start("--devices", 2)
    place.submit(n=3, epochs=3, resources={"time_limit": "1h"})
    place.wait(lambda: place.one("SELECT count(*) FROM epoch") == (2,))
    pids = [pid for pid, in place.sql("SELECT pid FROM worker")]
    place.kill()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        wait_dead(pid)
    stat = pathlib.Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    with sqlite3.connect(place.state / "results.db") as db:
        db.execute("UPDATE worker SET pid = ?, start_time = ?, boot_id = 'another boot'", (os.getpid(), stat[19]))
    db.close()
    place.start("--devices", 2)
    place.wait(lambda: place.one("SELECT count(*) FROM job WHERE state = 'done'") == (3,))
    for job in (1, 2):
        assert place.attempts(job) == ["lost", "done"] and place.epochs(job) == [1, 2, 3]
        assert place.one("SELECT reason, seconds FROM attempt WHERE job = ? AND number = 1", job) == (
            "worker ended while sweepd was away", None)
    place.stop()
