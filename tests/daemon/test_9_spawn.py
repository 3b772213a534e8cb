"""Workers that cannot be started: no job loses a retry for it, the reason is told, and it goes on when the cause is gone."""
import os
import pathlib
import resource
import shutil
import signal
import subprocess

import pytest

from conftest import FAKE_WORKER, SWEEPD, wait_until

UID = 20000 + os.getpid() % 20000  # of this run alone: its processes are counted
OFTEN = ["--aside-ms", "100"]


@pytest.fixture(name="own")
def own_fixture(place):
    """With a worker program of its own."""
    program = place.dir / "worker"
    shutil.copy(FAKE_WORKER, program)
    place.start(*OFTEN, worker=program)
    place.wait_idle()
    return place


def kill_worker(sweepd):
    """And it is known: a job that comes now waits for another one."""
    os.kill(sweepd.worker_pid(), signal.SIGKILL)
    sweepd.wait(lambda: sweepd.one("SELECT state FROM worker WHERE id = 1") == ("gone",))


def device(sweepd):
    return sweepd.ask("status")["devices"][0]


def goes_on(sweepd):
    """A job that was submitted meanwhile: its first attempt, none of its retries."""
    job = sweepd.one("SELECT id FROM job")[0]
    sweepd.wait_state(job, "done", "failed")
    assert sweepd.attempts(job) == ["done"] and sweepd.one("SELECT retries_used FROM job") == (0,)
    assert sweepd.one("SELECT state, reason, times_aside FROM device") == ("ready", None, 0)
    sweepd.stop()


def test_the_program_is_gone_for_a_while(own):
    (own.dir / "worker").rename(own.dir / "elsewhere")
    kill_worker(own)
    own.submit(retries=0)
    own.wait(lambda: f"cannot run {own.dir}/worker: No such file" in (device(own)["reason"] or ""))
    own.wait(lambda: own.one("SELECT state FROM device") == ("set_aside",))
    assert "3 faults in a row, the last: not started: cannot run" in own.ctl("devices").stdout
    (own.dir / "elsewhere").rename(own.dir / "worker")
    goes_on(own)


def test_the_program_may_not_be_run_for_a_while(own):
    (own.dir / "worker").chmod(0o644)
    kill_worker(own)
    own.submit(retries=0)
    own.wait(lambda: "Permission denied" in (device(own)["reason"] or ""))
    (own.dir / "worker").chmod(0o755)
    goes_on(own)


def test_its_interpreter_is_not_there(own):
    (own.dir / "worker").write_text("#!/nowhere/python3\n")
    kill_worker(own)
    own.submit(retries=0)
    own.wait(lambda: "not started: cannot start" in (device(own)["reason"] or ""))
    shutil.copy(FAKE_WORKER, own.dir / "worker")
    goes_on(own)


def test_its_last_words_are_told(own):
    """It cannot even say hello."""
    (own.dir / "worker").write_text("#!/bin/sh\necho first >&2\nprintf 'libx.so: cannot open\\tit\\n\\n' >&2\nexit 127\n")
    kill_worker(own)
    own.submit(retries=0)
    words = "exit status 127; its last words: libx.so: cannot open it"
    own.wait(lambda: words in (device(own)["reason"] or ""))
    assert own.sql("SELECT 1 FROM worker WHERE reason = ?", words)
    shutil.copy(FAKE_WORKER, own.dir / "worker")
    goes_on(own)


def test_last_words_of_a_worker_that_had_a_job(sweepd):
    sweepd.script({1: [[["say", "Traceback:"], ["say", "ValueError: \u00e9\x07 no"], ["exit", 2]]]})
    job = sweepd.submit(retries=0)
    sweepd.wait_state(job, "failed")
    assert sweepd.reason_of(job) == "worker exit status 2; its last words: ValueError: \u00e9  no"


def test_no_file_descriptors(own):
    held = resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE)
    job = own.submit(retries=0, epochs=1)
    own.wait_state(job, "done")
    pid = own.worker_pid()
    resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE, (5, held[1]))  # the lower ones are all in use
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: "Too many open files" in own.log(), "a start that fails")
    resource.prlimit(own.process.pid, resource.RLIMIT_NOFILE, held)
    other = own.submit(retries=0)
    own.wait_state(other, "done")
    assert own.attempts(other) == ["done"]
    own.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="needs another uid: root")
def test_no_processes(place):
    """EAGAIN; root has no such limit."""
    copies = {}
    for name, path in (("sweepd", SWEEPD), ("worker", FAKE_WORKER)):  # the originals may lie out of its sight
        copies[name] = shutil.copy(path, place.dir / name)
    for path in (place.state, place.fake):
        os.chown(path, UID, UID)
    place.dir.chmod(0o777)
    place.command = lambda *options, worker=None: [
        copies["sweepd"], "--worker-program", copies["worker"], "--retry-ms", "1", "--ask-ms", "300", *OFTEN,
        *map(str, options)]
    limit = 40
    place.start(popen={"user": UID, "group": UID, "extra_groups": [],
                       "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))})
    place.wait_idle()
    others = [subprocess.Popen(["sleep", "1000"], user=UID) for _ in range(limit)]
    try:
        kill_worker(place)
        place.submit(retries=0)
        place.wait(lambda: "resource temporarily unavailable" in (device(place)["reason"] or ""))
    finally:
        for other in others:
            other.kill()
            other.wait()
    goes_on(place)


def test_a_worker_is_not_given_the_key_of_wandb(place):
    place.start(env={"WANDB_API_KEY": "k" * 40, "KEPT": "1"})
    pid = place.wait(lambda: place.ask("status")["devices"][0]["pid"])
    environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
    assert b"KEPT=1" in environment and b"SWEEPD_WORKER=" in environment and b"WANDB_API_KEY" not in environment
    place.stop()
