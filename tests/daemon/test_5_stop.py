"""Clean stops, kill -9 of the daemon, and what the next one makes of it (invariants 3, 4, 6 and 10)."""
import os
import signal
import sqlite3

import pytest

from conftest import is_running, wait_dead, wait_until


def lines_of(sweepd, job, attempt=1):
    return (sweepd.state / f"jobs/{job}/events.{attempt}.jsonl").read_text().splitlines()


def test_a_clean_stop_puts_jobs_back_and_the_next_start_goes_on(sweepd):
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]]]})
    job = sweepd.submit(n=2, epochs=3)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    sweepd.stop()
    assert [sweepd.state_of(j) for j in (job, job + 1)] == ["queued", "queued"]
    assert sweepd.attempts(job) == ["released"] and not any(map(is_running, sweepd.pids()))
    sweepd.start()
    sweepd.wait_state(job + 1, "done")
    assert sweepd.attempts(job) == ["released", "done"] and sweepd.epochs(job) == [1, 2, 3]
    assert sweepd.one("SELECT retries_used, notes FROM job JOIN results ON job.id = results.job WHERE job.id = ?",
                      job) == (0, "resumed once")
    sweepd.stop()


def test_a_worker_that_does_not_heed_a_stop_is_killed_and_its_job_not_blamed(place):
    place.script({1: [[["ignore", "stop", "term"], ["epoch", 1], ["wait", "never"]]]})
    place.start("--drain-ms", 300)
    job = place.submit(retries=0)
    place.wait(lambda: place.epochs(job) == [1])
    place.stop()
    assert place.state_of(job) == "queued" and place.attempts(job) == ["lost"]
    place.start()
    place.wait_state(job, "done")
    assert place.one("SELECT retries_used FROM job") == (0,)


def test_a_second_signal_kills(place):
    place.script({1: [[["ignore", "stop", "term"], ["epoch", 1], ["wait", "never"]]]})
    place.start("--drain-ms", 3600000)
    job = place.submit(retries=0)
    place.wait(lambda: place.epochs(job) == [1])
    place.process.send_signal(signal.SIGTERM)
    place.wait_received(type="stop")
    assert place.ask("status")["stopping"] is True
    assert place.submit(code=6)["error"] == "this sweepd is stopping; nothing was stored"
    place.stop(signal.SIGINT)
    assert place.state_of(job) == "queued"


def test_stop_twice_by_request_kills_nobody(place):
    place.script({1: [[["ignore", "stop"], ["epoch", 1], ["wait", "go"], ["epoch", 2], ["done"]]]})
    place.start("--drain-ms", 3600000)
    job = place.submit(epochs=2)
    place.wait(lambda: place.epochs(job) == [1])
    assert place.ask("stop")["ok"]
    place.wait_received(type="stop")
    assert place.ask("stop")["ok"] and is_running(place.pids()[0])
    place.go("go")
    place.wait_state(job, "done")
    place.process.send_signal(signal.SIGTERM)
    place.stop(signal.SIGINT)


def test_a_stop_while_a_worker_starts(place):
    """It may not have connected yet, or not even be started."""
    for _ in range(10):
        place.start()
        place.stop()
    wait_until(lambda: not any(map(is_running, place.pids())), "the workers' end")
    assert place.sql("SELECT state FROM worker WHERE state <> 'gone' AND pid > 0") == []


def test_kill_9_of_the_daemon_while_a_worker_trains(sweepd):
    """It goes on by itself; the next daemon adopts it, and no epoch is missing or doubled."""
    sweepd.script({1: [[["epoch", 1], ["wait", "a"], ["epoch", 2], ["epoch", 3], ["wait", "b"], ["train"]]]})
    job = sweepd.submit(epochs=5)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    pid = sweepd.worker_pid()
    sweepd.kill()
    sweepd.go("a")
    wait_until(lambda: len(lines_of(sweepd, job)) == 4, "two epochs in the event file")
    assert sweepd.epochs(job) == [1] and sweepd.state_of(job) == "running"
    sweepd.start()
    sweepd.wait_log("goes on training")
    sweepd.wait(lambda: sweepd.epochs(job) == [1, 2, 3])
    sweepd.go("b")
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2, 3, 4, 5] and sweepd.attempts(job) == ["done"]
    assert sweepd.worker_pid() == pid and len(sweepd.pids()) == 1
    assert sweepd.sql("SELECT seq FROM event WHERE attempt = 1") == [(i,) for i in range(1, 8)]
    other = sweepd.submit()
    sweepd.wait_state(other, "done")
    sweepd.stop()
    assert not is_running(pid)


def test_kill_9_again_and_again(sweepd):
    sweepd.script({1: [[["wait", f"w{i}"] if i % 2 else ["epoch", i // 2 + 1] for i in range(20)] + [["done"]]]})
    job = sweepd.submit(epochs=10)
    for epoch in range(1, 11):
        sweepd.wait(lambda n=epoch: sweepd.epochs(job) == list(range(1, n + 1)))
        sweepd.kill()
        sweepd.go(f"w{2 * epoch - 1}")
        sweepd.start()
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == list(range(1, 11)) and sweepd.attempts(job) == ["done"]


@pytest.mark.parametrize("last, state, attempts", [
    (["done", "file"], "done", ["done"]), (["exit", 3], "done", ["lost", "done"]),
])
def test_a_worker_that_ends_while_no_daemon_runs(sweepd, last, state, attempts):
    sweepd.script({1: [[["epoch", 1], ["wait", "go"], ["epoch", 2, "file"], last, ["exit", 0]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    pid = sweepd.worker_pid()
    sweepd.kill()
    sweepd.go("go")
    wait_dead(pid)
    sweepd.start()
    sweepd.wait_state(job, state)
    assert sweepd.attempts(job) == attempts and sweepd.epochs(job) == [1, 2]
    if "lost" in attempts:
        assert sweepd.one("SELECT reason FROM attempt WHERE number = 1")[0].startswith("worker ended")
    sweepd.stop()


def test_an_adopted_worker_that_is_killed(sweepd):
    """Nobody's child here: its pidfd tells."""
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    sweepd.kill()
    sweepd.start()
    os.kill(sweepd.worker_pid(), signal.SIGKILL)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"]
    assert sweepd.one("SELECT reason FROM attempt WHERE number = 1") == ("worker ended",)


def test_an_adopted_worker_is_cancelled_and_stopped(sweepd):
    sweepd.script({1: [[["wait", "never"]]], 2: [[["epoch", 1], ["wait", "never"]]]})
    job = sweepd.submit(n=2)
    sweepd.wait_state(job, "running")
    sweepd.kill()
    sweepd.start()
    assert sweepd.ask("cancel", jobs=[job])["ok"]
    sweepd.wait(lambda: sweepd.epochs(job + 1) == [1])
    sweepd.kill()
    sweepd.start()
    sweepd.stop()
    assert sweepd.state_of(job + 1) == "queued" and sweepd.attempts(job + 1) == ["released"]


def test_an_adopted_worker_that_never_comes_back_is_killed(sweepd):
    sweepd.script({1: [[["epoch", 1], ["touch", "hangs"], ["hang"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: (sweepd.fake / "hangs").exists() and sweepd.epochs(job) == [1])
    sweepd.kill()
    sweepd.start("--adopt-ms", 300, "--heartbeat-lost-ms", 200)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"] and sweepd.epochs(job) == [1, 2]


def test_a_pid_that_is_somebody_elses_by_now_is_not_adopted(sweepd):
    """The number alone names no process: another start time, another boot."""
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    pid = sweepd.worker_pid()
    sweepd.kill()
    os.kill(pid, signal.SIGKILL)
    wait_dead(pid)
    with sqlite3.connect(sweepd.state / "results.db") as db:
        db.execute("UPDATE worker SET pid = ?", (os.getpid(),))
    db.close()
    sweepd.start()
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"]


def test_fewer_devices_than_workers(place):
    place.script({n: [[["epoch", 1], ["wait", f"go{n}"], ["train"]]] for n in (1, 2, 3)})
    place.start("--devices", 3)
    place.submit(n=4, epochs=2)
    place.wait(lambda: place.one("SELECT count(*) FROM epoch") == (3,))
    place.kill()
    place.start("--devices", 1)
    assert len(place.ask("status")["devices"]) == 3
    for n in (1, 2, 3):
        place.go(f"go{n}")
    place.wait(lambda: place.one("SELECT count(*) FROM job WHERE state = 'done'") == (4,))
    assert place.one("SELECT count(*) FROM attempt") == (4,)
    place.wait(lambda: len(place.ask("status")["devices"]) == 1)
    place.stop()


def test_a_run_that_never_reached_its_worker_is_sent_again(sweepd):
    """The attempt is committed, then the daemon dies; what the worker never heard of it asks for by its hello."""
    sweepd.wait_idle()
    worker = sweepd.worker_pid()
    os.kill(worker, signal.SIGSTOP)
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "running")
    sweepd.kill()
    sweepd.start()
    os.kill(worker, signal.SIGCONT)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["done"] and sweepd.epochs(job) == [1, 2]
