"""results.db as others see it: sqlite3, a group member, somebody who holds a lock."""
import os
import resource
import sqlite3
import subprocess

import pytest

from conftest import open_files, wait_dead, wait_until

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs other uids: root")


def read(sweepd, *prefix):
    """With the tool people use, read-only."""
    done = subprocess.run([*prefix, "sqlite3", "-readonly", sweepd.state / "results.db",
                           "SELECT job, test_accuracy, notes FROM results"], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


MEMBER = ["setpriv", "--reuid=65534", "--regid=0", "--clear-groups"]


@ROOT_ONLY
def test_a_member_reads_it_while_the_daemon_runs_and_after(sweepd):
    sweepd.script({2: [[["epoch", 1], ["wait", "never"]]]})
    sweepd.submit(n=2, epochs=2)
    sweepd.wait(lambda: sweepd.epochs(2) == [1])
    rows = "1|20.0|\n2||running, 1/2\n"
    assert read(sweepd) == rows == read(sweepd, *MEMBER)
    sweepd.stop()
    after = rows.replace("running, 1/2", "queued")
    assert read(sweepd, *MEMBER) == after  # first: nobody has repaired anything for it
    assert read(sweepd) == after
    sweepd.start()
    sweepd.wait(lambda: sweepd.epochs(2) == [1, 2])
    sweepd.wait_state(2, "done")
    sweepd.kill()
    assert read(sweepd, *MEMBER).startswith("1|20.0|\n2|20.0|")


@ROOT_ONLY
def test_a_member_cannot_write_it(sweepd):
    done = subprocess.run([*MEMBER, "sqlite3", sweepd.state / "results.db", "DELETE FROM job"], text=True,
                          capture_output=True, check=False)
    assert done.returncode != 0 and "readonly" in done.stderr.replace(" ", "")


def test_sqlite3_reads_it_after_a_stop(sweepd):
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    sweepd.stop()
    assert read(sweepd) == f"{job}|10.0|\n"


def test_somebody_holds_a_lock(place):
    """Nothing is lost and nothing answered meanwhile, and workers that are not read are not silent; it goes on when the
    lock is gone."""
    sweepd = place.start("--heartbeat-lost-ms", 400, "--adopt-ms", 400)
    sweepd.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    db = sqlite3.connect(sweepd.state / "results.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    sweepd.go("go")
    with sweepd.connect() as c:
        c.send({"verb": "cancel", "jobs": [99]})
        c.socket.settimeout(1)
        with pytest.raises(TimeoutError):
            c.receive()
    sweepd.wait_log("the store takes nothing")
    assert sweepd.epochs(job) == [1]
    db.execute("ROLLBACK")
    db.close()
    sweepd.wait_state(job, "done")
    sweepd.wait_log("the store works again")
    assert sweepd.epochs(job) == [1, 2, 3]
    assert sweepd.attempts(job) == ["done"]
    sweepd.stop()


def test_a_full_disk(place):
    """Simulated by a limit on the size of files; nothing is lost, it goes on when there is room."""
    place.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]})
    place.start(popen={"restore_signals": False})  # Python ignores SIGXFSZ, and so will sweepd
    job = place.submit(epochs=20)
    place.wait(lambda: place.epochs(job) == [1])
    unlimited = resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE)
    size = (place.state / "results.db-wal").stat().st_size
    resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE, (size + 10000, unlimited[1]))
    place.go("go")
    wait_until(lambda: "the store takes nothing" in place.log(), "the disk to be full")
    assert place.state_of(job) == "running" and place.alive()
    resource.prlimit(place.process.pid, resource.RLIMIT_FSIZE, unlimited)
    place.wait_state(job, "done")
    assert place.epochs(job) == list(range(1, 21)) and place.attempts(job) == ["done"]
    place.stop()


def test_a_worker_that_dies_while_somebody_holds_a_lock(sweepd):
    sweepd.script({1: [[["epoch", 1], ["wait", "go"], ["epoch", 2], ["done"], ["exit", 0]],
                       [["train"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    pid = sweepd.worker_pid()
    db = sqlite3.connect(sweepd.state / "results.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    sweepd.go("go")
    wait_dead(pid)
    db.execute("ROLLBACK")
    db.close()
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["done"] and sweepd.epochs(job) == [1, 2]
    sweepd.wait_idle()
    sweepd.stop()


def test_a_stop_while_somebody_holds_a_lock_ends_all_the_same(place):
    place.script({1: [[["epoch", 1], ["wait", "never"]]]})
    place.start("--drain-ms", 300, "--ask-ms", 100)
    job = place.submit(epochs=2)
    place.wait(lambda: place.epochs(job) == [1])
    db = sqlite3.connect(place.state / "results.db", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    place.stop()
    assert "the next start goes on from here" in place.log() and place.state_of(job) == "running"
    db.execute("ROLLBACK")
    db.close()
    place.start()
    place.wait_state(job, "done")
    assert place.attempts(job) == ["released", "done"] and place.epochs(job) == [1, 2]


def test_a_lock_at_the_start_is_waited_for_a_while(place):
    place.start()
    place.stop()
    holder = subprocess.Popen(["sqlite3", place.state / "results.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True)
    holder.stdin.write("BEGIN IMMEDIATE;\nSELECT 'held';\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "held\n"
    starting = subprocess.Popen(place.command(), env=place.env, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: str(place.state / "results.db") in open_files(starting.pid), "sweepd to open the database")
    assert starting.poll() is None
    holder.communicate("ROLLBACK;\n")
    for line in starting.stderr:
        if "serves" in line:
            break
    starting.terminate()
    assert starting.wait(20) == 0
    starting.stderr.close()


def test_the_write_ahead_log_stays_short(sweepd):
    """Checkpoints run beside the loop."""
    sweepd.script({1: [[["fill", 30000, 400], ["train"]]]})
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    wait_until(lambda: (sweepd.state / "results.db").stat().st_size > 8_000_000, "a checkpoint")
    sweepd.stop()
    assert sweepd.one("PRAGMA integrity_check") == ("ok",)
