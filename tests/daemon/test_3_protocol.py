"""Workers that do not keep to the protocol cost themselves, never the daemon (invariant 9), and what they said counts
once (invariant 6)."""
import json
import re
import socket

import pytest

from conftest import wait_dead, wait_until


@pytest.mark.parametrize("action", [
    ["raw", "garbage\n"], ["raw", "[1, 2]\n"], ["raw", "\0\n"], ["raw", "\xff\xfe\n"], ["raw", '{"type": "epoch"}\n'],
    ["raw", '{"type": "epoch", "attempt": 1}\n'], ["raw", '{"type": "hello"}\n'], ["raw", "[" * 1000 + "\n"],
    ["raw", '{"type": "heartbeat", "type": "heartbeat"}\n'], ["raw", "x", 70000], ["raw", '{"type":'],
    ["raw", '{"type": "odd", "attempt": 1, "seq": 3}\n'],
    ["raw", '{"type": "epoch", "attempt": 1, "seq": 3, "epoch": "two"}\n'],
    ["raw", '{"type": "epoch", "attempt": 1, "seq": 3, "epoch": 2, "batch_size": 1}\n'],
    ["raw", '{"type": "metric", "attempt": 1, "seq": 3, "epoch": 1, "name": "", "value": 1}\n'],
    ["raw", '{"type": "failed", "attempt": 1, "seq": 3, "class": 5}\n'],
    ["raw", '{"type": "epoch", "attempt": 1, "seq": 9223372036854775807}\n'],
    ["raw", '{"type": "epoch", "attempt": 1, "seq": -1}\n'],
])
def test_a_bad_line_costs_the_connection_and_nothing_else(sweepd, action):
    """The worker comes back, and the job goes on in the same attempt."""
    sweepd.script({1: [[["epoch", 1], action, ["shutdown"], ["wait", "back"], ["train"]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    wait_until(lambda: sum(m["type"] == "welcome" for m in sweepd.received()) == 2, "a second welcome")
    sweepd.go("back")
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2, 3] and sweepd.attempts(job) == ["done"]
    assert len(sweepd.pids()) == 1
    sweepd.stop()


def test_garbage_without_end_ends_the_worker(sweepd):
    """Nobody else would ever end what an event file makes it send again and again."""
    bad = json.dumps({"type": "odd", "attempt": 1, "seq": 3}) + "\n"
    sweepd.script({1: [[["epoch", 1], ["file", bad], ["again"], ["wait", "never"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"] and sweepd.epochs(job) == [1, 2]
    assert sweepd.one("SELECT reason FROM attempt WHERE number = 1") == (
        "worker killed: it does not keep to the protocol",)


def test_a_wrong_token_is_not_heard(place):
    place.script(hello={"token": "0" * 64})
    place.start("--heartbeat-lost-ms", 300, "--adopt-ms", 300)
    place.wait(lambda: "wrong uid or token" in place.log())
    assert place.sql("SELECT 1 FROM worker WHERE state = 'ready'") == []
    place.wait(lambda: place.sql("SELECT 1 FROM worker WHERE state = 'gone' AND reason LIKE 'no connection for %'"))
    place.script()
    place.wait_idle()


@pytest.mark.parametrize("hello", [{"protocol": 99}, {"protocol": "1"}, {"worker": None}, {"token": None}])
def test_a_wrong_hello_is_not_heard(place, hello):
    place.script(hello=hello)
    place.start()
    place.wait(lambda: "connection of pid" in place.log())
    place.script()
    place.wait_idle()


def test_a_worker_of_nobody_is_told_to_end(sweepd):
    sweepd.wait_idle()
    token = (sweepd.state / "worker.token").read_text().strip()
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(str(sweepd.state / "worker.sock"))
        s.sendall(json.dumps({"type": "hello", "protocol": 1, "worker": 4711, "token": token}).encode() + b"\n")
        assert s.makefile().read() == '{"type":"stop"}\n'


def test_events_sent_twice_are_stored_once(sweepd):
    sweepd.script({1: [[["epoch", 1], ["again"], ["epoch", 2], ["again"], ["again"], ["done"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2]
    assert [s for s, in sweepd.sql("SELECT seq FROM event WHERE attempt IS NOT NULL ORDER BY id")] == [1, 2, 3, 4]


def test_a_gap_is_not_stored(sweepd):
    """Its file has the gap too: what comes after it cannot be trusted."""
    sweepd.script({1: [[["epoch", 1], ["skip"], ["epoch", 2], ["wait", "never"]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait_state(job, "done")
    sweepd.wait_log("event 4 of attempt 1 comes after 2")
    assert sweepd.sql("SELECT attempt, epoch FROM epoch ORDER BY attempt, epoch") == [(1, 1), (2, 3)]


def test_an_attempt_that_is_not_its_own_is_fenced(sweepd):
    line = '{"type": "epoch", "attempt": 77, "seq": 1}\n'
    sweepd.script({1: [[["raw", line], ["wait", "go"], ["train"]]]})
    job = sweepd.submit(epochs=1)
    sweepd.wait_received(type="fence", attempt=77)
    sweepd.go("go")
    sweepd.wait_state(job, "done")
    assert sweepd.one("SELECT count(*) FROM attempt") == (1,)


def test_nothing_follows_the_end_of_an_attempt(sweepd):
    line = '{"type": "epoch", "attempt": 1, "seq": 4, "epoch": 9, "batch_size": 1}\n'
    done = '{"type": "done", "attempt": 1, "seq": 3, "epochs": 1, "note": null}\n'
    sweepd.script({1: [[["epoch", 1], ["raw", done + line], ["wait", "never"]]]})
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1]
    other = sweepd.submit(epochs=1)
    sweepd.wait_received(type="fence", attempt=1)
    sweepd.wait_state(other, "done")


@pytest.mark.parametrize("last", ["", '{"type": "epoch", "attempt": 1, "se', "garbage\n"])
def test_what_only_the_file_says_is_replayed(sweepd, last):
    """It died before it could send; the last line was never whole."""
    sweepd.script({1: [[["epoch", 1], ["epoch", 2, "file"], ["epoch", 3, "file"], ["file", last], ["signal", 9]]]})
    job = sweepd.submit(epochs=4)
    sweepd.wait_state(job, "done")
    assert sweepd.sql("SELECT attempt, epoch FROM epoch") == [(1, 1), (1, 2), (1, 3), (2, 4)]


def test_the_files_last_word_counts(sweepd):
    sweepd.script({1: [[["epoch", 1], ["done", "file"], ["exit", 1]]]})
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["done"]


def test_a_long_file_is_replayed_in_stretches(sweepd):
    telemetry = ["event", "telemetry", {"values": {f"value_number_{i}": i for i in range(20)}}]
    actions = [["epoch", 1, "file"], *[["event", "metric", {"send": False, "epoch": 1, "name": f"m{i}", "value": i}]
                                       for i in range(9000)], ["done", "file"], ["signal", 9]]
    sweepd.script({1: [[telemetry, *actions]]})
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    assert (sweepd.state / f"jobs/{job}/events.1.jsonl").stat().st_size > 3 * 256 * 1024
    assert sweepd.one("SELECT count(*) FROM metric") == (9000,)


def test_a_silent_worker_is_killed(place):
    place.script({1: [[["epoch", 1], ["hang"]]]})
    place.start("--heartbeat-lost-ms", 400)
    job = place.submit(epochs=2)
    place.wait_state(job, "done")
    assert place.attempts(job) == ["lost", "done"] and place.epochs(job) == [1, 2]
    fail_class, reason = place.one("SELECT class, reason FROM attempt WHERE number = 1")
    assert fail_class == "hang" and re.fullmatch(r"worker killed: no heartbeat for (0\.[4-9]\d*|1\.\d+) s", reason), reason
    place.stop()


def test_a_worker_that_never_connects_is_killed(place):
    sleeper = place.dir / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 100 # \"$@\"\n")
    sleeper.chmod(0o755)
    place.start("--heartbeat-lost-ms", 100, "--adopt-ms", 300, worker=sleeper)
    place.wait(lambda: place.sql("SELECT 1 FROM worker WHERE state = 'gone' AND reason LIKE 'no connection for %'"))
    place.stop()


@pytest.mark.parametrize("own_session", [False, True])
def test_a_grandchild_that_holds_the_connection_does_not_hold_the_job(sweepd, own_session):
    """In the worker's group it is killed at once; in a session of its own it is waited for a short while, then found and
    killed too."""
    sweepd.script({1: [[["epoch", 1], ["grandchild", own_session], ["exit", 1]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"]
    wait_dead(sweepd.pids()[1])
    killed = "1 process that worker 1 left behind was killed"
    if own_session:
        sweepd.wait_log(killed)
    else:
        assert killed not in sweepd.log()
