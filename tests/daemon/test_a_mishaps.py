"""What tests/chaos found, one test each."""
import contextlib
import fcntl
import os
import pathlib
import resource
import signal
import socket
import subprocess
import sys
import time

from conftest import ROOT, WORKER, open_files, wait_until

sys.path.append(str(ROOT / "tests/chaos"))
import faults  # noqa: E402


def test_a_worker_whose_log_cannot_be_opened(place):
    sweepd = place.start("--device-faults", 100)
    sweepd.wait_idle()
    workers = sweepd.state / "workers"
    workers.rename(sweepd.state / "elsewhere")
    workers.write_text("")
    os.kill(sweepd.worker_pid(), signal.SIGKILL)
    wait_until(lambda: "cannot start a worker: cannot create" in sweepd.log(), "the start that fails")
    started = time.monotonic()
    wait_until(lambda: sweepd.log().count("cannot start a worker") > 2, "more of them")
    assert time.monotonic() - started > 0.5  # further and further apart
    assert sweepd.ask("status")["ok"]
    workers.unlink()
    (sweepd.state / "elsewhere").rename(workers)
    sweepd.wait_idle()
    sweepd.stop()


def test_several_real_workers_share_the_cpu(place):
    place.start("--devices", 2, "--threads", 1, worker=WORKER)
    place.wait_idle()
    assert [d["id"] for d in place.ask("status")["devices"]] == ["cpu:0", "cpu:1"]
    place.stop()


def test_a_start_while_a_child_of_the_last_one_holds_the_lock(place):
    """A sweepd that was killed between fork and exec leaves its lock to the child for a moment."""
    place.start()
    place.kill()
    with open(place.state / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        starting = subprocess.Popen(place.command(), env=place.env, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: str(place.state / "lock") in open_files(starting.pid), "the try")
        fcntl.flock(lock, fcntl.LOCK_UN)
    assert any("serves" in line for line in starting.stderr)
    starting.terminate()
    assert starting.wait(20) == 0
    starting.stderr.close()


def test_an_event_file_that_cannot_be_read_is_waited_for(place):
    """sweepd has no descriptors left when its worker dies: the rest of its file is not given up."""
    switches = faults.Faults(place.dir)
    place.env |= switches.env
    place.env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
    place.script({1: [[["epoch", 1], ["wait", "go"], ["epoch", 2, "file"], ["done", "file"], ["exit", 0]]]})
    place.start()
    job = place.submit(epochs=2)
    place.wait(lambda: place.epochs(job) == [1])
    switches.break_it(faults.NO_FILES, [faults.SWEEPD])
    place.go("go")
    wait_until(lambda: "events.1.jsonl cannot be read" in place.log(), "the try")
    switches.mend()
    place.wait_state(job, "done")
    assert place.attempts(job) == ["done"] and place.epochs(job) == [1, 2]
    place.stop()


def test_thousands_of_connections(place):
    """More than sweepd has descriptors for: it goes on, says so a few times, and accepts again later."""
    place.start()
    job = place.submit(epochs=2)
    place.wait_state(job, "done")
    limits = resource.prlimit(place.process.pid, resource.RLIMIT_NOFILE)
    used = len(list(pathlib.Path(f"/proc/{place.process.pid}/fd").iterdir()))
    resource.prlimit(place.process.pid, resource.RLIMIT_NOFILE, (used + 10, limits[1]))
    for _ in range(20):
        crowd = []
        for _ in range(150):
            s = socket.socket(socket.AF_UNIX)
            s.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionError):  # BlockingIOError: the backlog is full
                s.connect(str(place.state / "control.sock"))
                s.send(b'{"verb": "status"}\n{"ver')
            crowd.append(s)
        for s in crowd:
            s.close()
    wait_until(lambda: answers(place), "an answer")
    resource.prlimit(place.process.pid, resource.RLIMIT_NOFILE, limits)
    place.wait_state(place.submit(epochs=1), "done")
    assert place.log().count("\n") < 200
    place.stop()


def answers(sweepd):
    with contextlib.suppress(OSError):
        return sweepd.ask("status")
    return None
