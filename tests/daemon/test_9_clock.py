"""The clock is set while sweepd runs, by a day and back: nothing waits, nothing is killed, durations stay true."""
import pathlib
import shutil
import struct
import subprocess

import pytest

from conftest import ASAN

pytestmark = pytest.mark.skipif(not shutil.which("cc"), reason="needs a C compiler")
DAY_S = 86400


@pytest.fixture(name="clock")
def clock_fixture(place):
    """Sets the daemon's wall clock forward by so many seconds."""
    shim, shift = place.dir / "clock.so", place.dir / "shift"
    source = pathlib.Path(__file__).with_name("clock_shim.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl"], check=True)

    def set_clock(seconds):
        with open(shift, "r+b") as file:
            file.write(struct.pack("=q", seconds * 10**9))

    shift.write_bytes(bytes(8))
    place.env.update(LD_PRELOAD=str(shim), CLOCK_SHIFT=str(shift), ASAN_OPTIONS=ASAN + ":verify_asan_link_order=0")
    return set_clock




def test_the_shim_moves_it(place, clock):
    clock(DAY_S)
    place.start()
    assert place.ask("status")["started_ms"] / 1000 > pathlib.Path("/proc/self").stat().st_ctime + DAY_S / 2
    place.stop()


@pytest.mark.parametrize("first, then", [(DAY_S, -DAY_S), (-DAY_S, DAY_S)])
def test_jumps_of_a_day(place, clock, first, then):
    place.script({1: [[["epoch", 1], ["wait", "a"], ["epoch", 2], ["failed", "internal", "x"]],
                      [["wait", "b"], ["train"]]]})
    place.start("--retry-ms", 300, "--heartbeat-lost-ms", 5000, "--stall-ms", 5000)
    job = place.submit(epochs=4, resources={"time_limit": "12h"})
    place.wait(lambda: place.epochs(job) == [1])
    clock(first)
    place.go("a")
    place.wait_state(job, "queued")  # its back-off ends by the clock as it is now ...
    clock(then)
    place.wait(lambda: place.attempts(job) == ["failed", "running"])  # ... and is over by the other
    clock(0)
    place.go("b")
    place.wait_state(job, "done")
    assert place.attempts(job) == ["failed", "done"] and place.epochs(job) == [1, 2, 3, 4]
    seconds = [s for s, in place.sql("SELECT seconds FROM attempt")]
    assert all(0 <= s < 30 for s in seconds), seconds
    assert len(place.pids()) == 1
    place.stop()
