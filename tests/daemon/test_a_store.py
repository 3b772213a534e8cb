"""The store in trouble: no room, a broken disk, somebody's locks, files that go or change under the daemon.  Training goes
on, nothing acknowledged is lost, requests are answered or refused with a sentence, and it recovers by itself."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import DEADLINE_S, ROOT, SWEEPCTL, WORKER, wait_until

sys.path += [str(ROOT / "tests/chaos"), str(ROOT / "tests/bench")]
import big_store  # noqa: E402
import chaos  # noqa: E402
import faults  # noqa: E402

BUSY = ["--busy-ms", 300]
TROUBLE = "the store takes nothing"


@pytest.fixture(name="broken")
def broken_fixture(place):
    """A sweepd, not started, whose calls can be made to fail (faults.py)."""
    place.faults = faults.Faults(place.dir)
    place.env |= place.faults.env
    place.env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
    yield place
    place.faults.mend()


def trouble(sweepd):
    return sweepd.ask("status")["store_trouble"]


def ctl(sweepd, *args):
    return subprocess.run([SWEEPCTL, *map(str, args)], env=sweepd.env, text=True, capture_output=True, timeout=DEADLINE_S,
                          check=False)


def check(sweepd):
    done = ctl(sweepd, "db", "check")
    assert done.returncode == 0 and "all well" in done.stdout, (done.stdout, done.stderr)


@contextlib.contextmanager
def in_the_shell(sweepd, sql):
    """Somebody's sqlite3, in the middle of a transaction."""
    with subprocess.Popen(["sqlite3", sweepd.state / "results.db"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as shell:
        shell.stdin.write(f"{sql}\nSELECT 'there';\n")
        shell.stdin.flush()
        for line in shell.stdout:
            if line == "there\n":
                break
        yield shell.pid
        shell.communicate("COMMIT;\n")


# --- no room, broken disk ---

@pytest.fixture(name="small_disk")
def small_disk_fixture(place):
    if os.getuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=750", "tmpfs", place.state],
                                          check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield place
    place.end()
    subprocess.run(["umount", "-l", place.state], check=True)


def fill(directory):
    """To the last byte."""
    with open(directory / "ballast", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)) == 4096:
            pass


def test_a_full_disk_and_the_real_worker(small_disk, tmp_path):
    """It trains on while nothing can be written, also over the end of the job, and everything is there once there is
    room."""
    chaos.write_images(tmp_path)
    sweepd = small_disk.start("--threads", 1, *BUSY, worker=WORKER)
    text = json.dumps({"parameters": {"seed": {"value": 3}}, "defaults": {**chaos.REAL_CONFIG, "epochs": 60, "checkpoint_interval_s": 1}})
    job = sweepd.submit(text=text, data_dir=str(tmp_path))
    sweepd.wait(lambda: sweepd.epochs(job))
    fill(sweepd.state)
    full_ms = time.time() * 1000
    wait_until(lambda: TROUBLE in sweepd.log(), "the disk to be full")
    refusal = sweepd.submit(code=6)["error"]
    assert "full" in refusal and "nothing was changed" in refusal
    assert "full" in trouble(sweepd) and "full" in ctl(sweepd, "doctor").stdout
    worker = sweepd.worker_pid()
    used = cpu_seconds(worker)
    wait_until(lambda: cpu_seconds(worker) > used + 0.6, "the worker to train")
    (sweepd.state / "ballast").unlink()
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == list(range(1, 61)) and sweepd.attempts(job) == ["done"]
    assert sweepd.one("SELECT count(*) > 0 FROM event WHERE kind = 'epoch' AND at_ms > ?", full_ms) == (1,)
    assert worker == sweepd.worker_pid()
    check(sweepd)
    sweepd.stop()


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("how, word", [(faults.NO_SPACE, "full"), (faults.IO_ERROR, "disk I/O error")])
def test_a_disk_that_takes_nothing(broken, how, word):
    broken.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]})
    broken.start(*BUSY)
    job = broken.submit(epochs=3)
    broken.wait(lambda: broken.epochs(job) == [1])
    broken.faults.break_it(how, [faults.SWEEPD])
    broken.go("go")
    wait_until(lambda: TROUBLE in broken.log(), "the trouble")
    assert word in broken.submit(code=6)["error"] and word in trouble(broken)
    assert broken.ask("cancel", jobs=[job])["code"] == 6
    broken.faults.mend()
    broken.wait_state(job, "done")
    assert broken.attempts(job) == ["done"] and broken.epochs(job) == [1, 2, 3] and trouble(broken) is None
    broken.wait_state(broken.submit(epochs=1), "done")
    check(broken)
    broken.stop()


def test_a_disk_full_at_the_start(broken):
    broken.start()
    job = broken.submit(epochs=1)
    broken.wait_state(job, "done")
    broken.stop()
    broken.faults.break_it(faults.NO_SPACE, [faults.SWEEPD])
    assert "No space left on device" in broken.refused() or "full" in broken.refused()
    broken.faults.mend()
    broken.start()
    assert broken.state_of(job) == "done"
    broken.stop()


# --- somebody's transactions ---

def test_a_write_lock_is_named_and_requests_are_refused(place):
    sweepd = place.start(*BUSY)
    sweepd.wait_idle()
    with in_the_shell(sweepd, "BEGIN IMMEDIATE;") as pid:
        started = time.monotonic()
        refusal = sweepd.submit(code=6)["error"]
        assert f"(pid {pid}, sqlite3)" in refusal and "try again later" in refusal
        with sweepd.connect() as c:
            assert f"pid {pid}" in c.ask("status")["store_trouble"] and c.ask("watch")["ok"]
        assert "its store takes nothing" in ctl(sweepd, "daemon", "status").stdout
        assert f"pid {pid}" in ctl(sweepd, "doctor").stdout and time.monotonic() - started < 10
    sweepd.wait_state(sweepd.submit(epochs=1), "done")
    assert sweepd.sql("SELECT count(*) FROM sweep") == [(1,)]
    sweepd.stop()


def test_a_submit_in_steps_is_refused_whole(broken):
    """Half of it was stored, hidden, when the trouble came."""
    sweepd = broken.start(*BUSY)
    text = json.dumps({"parameters": {"seed": {"values": list(range(4000))}}})
    with sweepd.connect() as c, contextlib.closing(sqlite3.connect(sweepd.state / "results.db")) as db:
        c.send({"verb": "submit", "text": text})
        wait_until(lambda: db.execute("SELECT count(*) FROM job").fetchone()[0], "the first step")
        broken.faults.break_it(faults.NO_SPACE, [faults.SWEEPD])
        assert c.receive()["code"] == 6
        assert db.execute("SELECT count(*) FROM job").fetchone()[0] and sweepd.sql("SELECT * FROM results") == []
        broken.faults.mend()
        wait_until(lambda: db.execute("SELECT count(*) FROM job").fetchone() == (0,), "the half to go")
    sweepd.stop()


def test_a_long_reader(place):
    """The log grows, that is said with the reader's name, and it shrinks when the reader is gone."""
    place.script({1: [[["fill", 30000, 700], ["wait", "go"], ["fill", 30000, 250], ["train"]]]})
    place.start()
    log = place.state / "results.db-wal"
    with in_the_shell(place, "BEGIN; SELECT count(*) FROM job;") as pid:
        job = place.submit(epochs=1)
        wait_until(lambda: f"a reader (pid {pid}, sqlite3) holds a transaction open" in place.log(), "the warning")
        assert log.stat().st_size > 16 << 20
        doctor = " ".join(ctl(place, "doctor").stdout.split())
        assert "write-ahead log" in doctor and f"pid {pid}" in doctor
    wait_until(lambda: "is short again" in place.log(), "a checkpoint")
    place.go("go")
    place.wait_state(job, "done")
    wait_until(lambda: place.submit(epochs=1) and log.stat().st_size < 16 << 20, "the log to shrink")
    check(place)
    place.stop()


# --- files that go ---

def test_a_database_moved_away_and_back(place):
    sweepd = place.start(*BUSY)
    path = sweepd.state / "results.db"
    path.rename(sweepd.dir / "away")
    refusal = sweepd.submit(code=6)["error"]
    assert "results.db was moved, deleted or replaced under the running sweepd" in refusal
    (sweepd.dir / "away").rename(path)
    sweepd.wait_state(sweepd.submit(epochs=1), "done")
    check(sweepd)
    sweepd.stop()


@pytest.mark.parametrize("suffix", ["", "-wal"])
def test_a_database_deleted_under_the_daemon_is_rescued(place, suffix):
    sweepd = place.start(*BUSY, "--drain-ms", 200, "--ask-ms", 50)
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done")
    (sweepd.state / f"results.db{suffix}").unlink()
    assert "deleted" in sweepd.submit(code=6)["error"]
    wait_until(lambda: "is saved in" in sweepd.log(), "the rescue")
    rescued, = sweepd.state.glob("results.db.rescued-*")
    sweepd.stop()
    for name in ("results.db", "results.db-wal", "results.db-shm"):
        (sweepd.state / name).unlink(missing_ok=True)
    rescued.rename(sweepd.state / "results.db")
    sweepd.start()
    assert sweepd.state_of(job) == "done" and sweepd.epochs(job) == [1, 2]
    check(sweepd)
    sweepd.stop()


def test_a_database_replaced_under_the_daemon(place):
    """What is there now is not touched; the next start takes it."""
    sweepd = place.start(*BUSY)
    assert ctl(sweepd, "db", "backup", sweepd.dir / "empty.db").returncode == 0
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    (sweepd.dir / "empty.db").rename(sweepd.state / "results.db")
    assert "replaced" in sweepd.submit(code=6)["error"]
    before = (sweepd.state / "results.db").read_bytes()
    sweepd.kill()
    assert (sweepd.state / "results.db").read_bytes() == before
    for suffix in ("-wal", "-shm"):
        (sweepd.state / f"results.db{suffix}").unlink()
    sweepd.start()
    assert sweepd.sql("SELECT * FROM job") == []
    sweepd.stop()


# --- what cannot be opened ---

def damage(path):
    """Overwrites the middle of pages that hold rows."""
    data = bytearray(path.read_bytes())
    for at in range(4096 * 4, len(data) - 4096, 4096):
        data[at:at + 64] = b"\xaa" * 64
    path.write_bytes(data)


def test_a_damaged_database_is_refused_and_the_advice_works(place):
    place.start()
    place.wait_state(place.submit(epochs=2), "done")
    place.stop()
    path = place.state / "results.db"
    shutil.copy(path, place.dir / "good.db")
    damage(path)
    before = path.read_bytes()
    said = place.refused()
    assert "the database is damaged" in said and "db backup" in said and path.read_bytes() == before
    shutil.copy(place.dir / "good.db", path)
    place.start()
    assert place.state_of(1) == "done"
    place.stop()


def large_store(place, jobs):
    """A stopped daemon's state whose database is too large to be read before anybody is served."""
    place.start()
    place.stop()
    path = place.state / "results.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as db:
        big_store.fill(db, jobs=jobs, epochs=1, share_done=1)
        db.execute("UPDATE job SET reason = hex(zeroblob(500))")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.stat().st_size > 1 << 20
    return path


def test_a_large_damaged_database_ends_the_daemon_that_serves_it(place):
    """It is checked while it serves; page_check.h."""
    path = large_store(place, 1500)
    with contextlib.closing(sqlite3.connect(path)) as db:
        root, = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'event_by_job'").fetchone()
    with open(path, "r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xaa" * 100)
    place.start()
    place.wait_log("the database is damaged; sweepd leaves it as it is")
    assert place.process.wait(DEADLINE_S) == 0
    place.process = None
    assert "the database is damaged" in place.refused()  # from then on before anybody is served
    for file in place.state.glob("results.db*"):
        if file.suffix != ".damaged":
            file.unlink()
    place.start()
    assert not path.with_name("results.db.damaged").exists()
    place.stop()


def test_a_stop_does_not_wait_for_the_check_of_a_large_database(place):
    large_store(place, 16000)
    place.start()
    place.stop()
    place.start()
    place.wait_state(place.submit(epochs=1), "done")
    place.stop()
    assert "damaged" not in place.log()


def test_what_can_be_read_of_a_damaged_database_goes_on(place):
    place.start()
    place.wait_state(place.submit(n=3, epochs=2), "done")
    place.wait_state(3, "done")
    place.stop()
    path = place.state / "results.db"
    root, = sqlite3.connect(path).execute("SELECT rootpage FROM sqlite_master WHERE name = 'event_by_job'").fetchone()
    data = bytearray(path.read_bytes())
    data[(root - 1) * 4096:(root - 1) * 4096 + 100] = b"\xaa" * 100
    path.write_bytes(data)
    said = place.refused()
    commands = said.partition("what can be read:\n")[2].strip().splitlines()[:3]
    subprocess.run(["sh", "-c", "\n".join(commands)], check=True, capture_output=True, env=place.env)
    place.start()
    assert [place.state_of(job) for job in (1, 2, 3)] == ["done"] * 3
    check(place)
    place.wait_state(place.submit(epochs=1), "done")
    place.stop()


def test_a_network_file_system_is_refused(broken):
    broken.faults.break_it(faults.NETWORK_DISK, [faults.SWEEPD])
    said = broken.refused()
    assert "is on a network file system; the database needs a local disk" in said
    assert not (broken.state / "results.db").exists()


# --- db check, db backup ---

def test_backup_while_it_runs_and_while_it_does_not(place):
    place.script(pace_s=0.005)
    place.start()
    place.submit(n=6, epochs=5)
    place.wait_state(2, "done")
    for name in ("one.db", "two.db"):  # in the middle of commits
        assert ctl(place, "db", "backup", place.dir / name).returncode == 0
    place.wait_state(6, "done")
    place.stop()
    assert ctl(place, "db", "backup", place.dir / "three.db").returncode == 0
    again = ctl(place, "db", "backup", place.dir / "one.db")
    assert again.returncode == 6 and "is there already; nothing was written" in again.stderr
    for name in ("one.db", "two.db", "three.db"):
        assert not (place.dir / f"{name}.tmp").exists()
        for file in place.state.glob("results.db*"):
            file.unlink()
        shutil.copy(place.dir / name, place.state / "results.db")
        check(place)  # an instant between two commits
    place.start()
    assert place.sql("SELECT count(*) FROM job WHERE state = 'done'") == [(6,)]
    place.stop()


def test_backup_where_nothing_can_be_written(sweepd):
    done = ctl(sweepd, "db", "backup", sweepd.dir / "no/such/b.db")
    assert done.returncode != 0 and "cannot create" in done.stderr


BREACHES = {
    "UPDATE job SET state = 'running', ended_ms = NULL WHERE id = 1": "job 1 is running, but 0 of its attempts are",
    "UPDATE attempt SET state = 'running', ended_ms = NULL WHERE id = 1": "attempt 1 is running, but its job 1 is done",
    "UPDATE attempt SET state = 'running' WHERE id = 1": "attempt 1 is running, but its worker 1 is gone",
    "UPDATE attempt SET state = 'lost' WHERE id = 1": "job 1 is done, but 0 of its attempts are done",
    "UPDATE attempt SET number = 2 WHERE id = 1": "job 1 has 1 attempts, the last is number 2",
    "UPDATE attempt SET ended_ms = NULL WHERE id = 1": "attempt 1 is done and has no end",
    "UPDATE job SET ended_ms = NULL WHERE id = 1": "job 1 is done and has no end",
    "UPDATE attempt SET last_seq = 9 WHERE id = 1": "attempt 1 has stored events up to 9, but 4 of them are there",
    "UPDATE event SET kind = 'metric' WHERE kind = 'epoch'": "epoch 1 of attempt 1 belongs to event",
    "UPDATE epoch SET job = 2": "epoch 1 of attempt 1 is of job 2, the attempt of job 1",
    "DELETE FROM epoch WHERE epoch = 1": "job 1 has 1 epochs, the last is 2",
    "UPDATE sweep SET n_jobs = 3": "sweep s1 has 2 jobs, but was submitted with 3",
    "UPDATE job SET state = 'failed' WHERE id = 1": "job 1 is failed, but the last move in its log is to done",
    "UPDATE job SET retries_used = 9 WHERE id = 1": "job 1 was retried 9 times of 2",
    "UPDATE job SET own = 'x' WHERE id = 1": "the configuration of job 1 is not JSON",
    "INSERT INTO step (job, step, attempt, epoch, event, train_loss, lr) VALUES (2, 1, 1, 1, 1, 0, 0)":
        "step 1 of job 2 was sampled by attempt 1, which is not its",
    "DELETE FROM job WHERE id = 1": "refers to a row of job that is not there",
}


def test_check_finds_every_breach(place):
    place.start()
    place.submit(n=2, epochs=2)
    place.wait_state(2, "done")
    check(place)
    place.stop()
    check(place)
    good = (place.state / "results.db").read_bytes()
    for sql, sentence in BREACHES.items():
        with contextlib.closing(sqlite3.connect(place.state / "results.db")) as db:
            db.execute(sql)
            db.commit()
        done = ctl(place, "db", "check")
        assert done.returncode == 1 and sentence in done.stdout and "do this:" in done.stderr, (sql, done.stdout)
        for file in place.state.glob("results.db*"):
            file.unlink()
        (place.state / "results.db").write_bytes(good)
    damage(place.state / "results.db")
    done = ctl(place, "db", "check", "--json")
    assert done.returncode == 1 and json.loads(done.stdout)["ok"] is False


def test_check_without_a_database(place):
    done = ctl(place, "db", "check")
    assert done.returncode == 4 and "no database yet" in done.stderr


def test_a_backup_killed_in_the_middle_leaves_no_file(broken):
    broken.start()
    broken.wait_state(broken.submit(epochs=1), "done")
    broken.stop()
    target = broken.dir / "b.db"
    for calls in range(1, 400, 4):
        broken.faults.kill_in(calls, part=faults.WORKERS)
        done = ctl(broken, "db", "backup", target)
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        if target.exists():  # after the rename
            break
    with contextlib.closing(sqlite3.connect(target)) as db:
        assert calls > 9 and db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
