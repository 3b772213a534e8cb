"""A worker that the kernel kills for lack of memory: recognised, named, and tried again as such."""
import contextlib
import os
import pathlib
import signal

import pytest

from conftest import FAKE_WORKER

MIB = 1 << 20


def make_group(name):
    """A control group of 100 MiB, or None: (directory, files of its limits)."""
    for parent, limit, swap in ((pathlib.Path("/sys/fs/cgroup"), "memory.max", ("memory.swap.max", 0)),
                                (pathlib.Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes",
                                 ("memory.memsw.limit_in_bytes", 100 * MIB))):
        group = parent / name
        with contextlib.suppress(OSError):
            group.mkdir()
            if (group / limit).exists():
                (group / limit).write_text(str(100 * MIB))
                with contextlib.suppress(OSError):
                    (group / swap[0]).write_text(str(swap[1]))
                return group
        with contextlib.suppress(OSError):
            group.rmdir()
    return None


@pytest.fixture(name="group")
def group_fixture(place):
    group = make_group(place.dir.name)
    if not group:
        pytest.skip("needs a writable memory control group")
    yield group
    place.end()
    for _ in range(100):
        if not (group / "cgroup.procs").read_text():
            break
        os.sched_yield()
    with contextlib.suppress(OSError):  # the last of its processes may still be going
        group.rmdir()


def test_a_worker_that_eats_too_much(place, group):
    wrapper = place.dir / "worker"
    wrapper.write_text(f'#!/bin/sh\necho $$ > {group}/cgroup.procs\nexec {FAKE_WORKER} "$@"\n')
    wrapper.chmod(0o755)
    place.script({1: [[["epoch", 1], ["eat"]]]})
    place.start(worker=wrapper)
    job = place.submit(epochs=3)
    place.wait_state(job, "done", "failed")
    assert place.attempts(job) == ["lost", "done"] and place.epochs(job) == [1, 2, 3]
    assert place.one("SELECT class, reason FROM attempt WHERE number = 1") == (
        "oom", "worker killed by the kernel: out of memory")
    assert place.one("SELECT reason FROM worker WHERE id = 1") == ("killed by the kernel: out of memory",)
    place.stop()


def test_somebodys_kill_is_not_taken_for_it(sweepd):
    sweepd.script({1: [[["epoch", 1], ["signal", int(signal.SIGKILL)]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done")
    fail_class, reason = sweepd.one("SELECT class, reason FROM attempt WHERE number = 1")
    assert reason.startswith("worker killed by signal 9 (Killed)")
    assert fail_class is None or "probably" in reason  # the kernel did kill something else at that moment
