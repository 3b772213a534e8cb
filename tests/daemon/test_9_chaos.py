"""Kills at any instant (invariant 10): sweepd, its workers, or both, again and again; afterwards every invariant holds and
nobody has repaired anything."""
import contextlib
import os
import random
import signal

import pytest

from conftest import is_running

EPOCHS, JOBS, KILLS = 5, 16, 30


def settle(sweepd, rng):
    """Until some more rows are committed, or everything is over."""
    start, more = sweepd.one("SELECT max(id) FROM event")[0], rng.randrange(1, 12)
    sweepd.wait(lambda: sweepd.one("SELECT max(id) FROM event")[0] >= start + more or over(sweepd))


def over(sweepd):
    return not sweepd.sql("SELECT 1 FROM job WHERE state NOT IN ('done', 'cancelled')")


def kill_something(sweepd, rng):
    what = rng.choice(["daemon", "worker", "both", "stop", "cancel"])
    pids = [pid for pid, in sweepd.sql("SELECT pid FROM worker WHERE state <> 'gone' AND pid > 0") if is_running(pid)]
    if what in ("daemon", "both"):
        sweepd.kill()
    if what in ("worker", "both") and pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(pids), signal.SIGKILL)
    if what == "stop":
        sweepd.stop()
    if what == "cancel":
        sweepd.ask("cancel", jobs=[rng.randrange(1, JOBS + 1)])
    if not sweepd.process:
        sweepd.start("--devices", rng.choice([1, 2, 3]), "--retry-ms", 0)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_any_instant(place, seed):
    rng = random.Random(seed)
    place.script(pace_s=0.03)
    place.start("--devices", 2, "--retry-ms", 0)
    place.submit(n=JOBS, epochs=EPOCHS, retries=100)
    kills = 0
    while not over(place) and kills < KILLS:
        settle(place, rng)
        kill_something(place, rng)
        kills += 1
    assert kills > 2
    place.wait(lambda: over(place), "all jobs' end")
    for job, state in place.sql("SELECT id, state FROM job"):
        counted = [e for e, in place.sql("SELECT epoch FROM curves WHERE job = ? ORDER BY epoch", job)]
        assert counted == list(range(1, (EPOCHS if state == "done" else len(counted)) + 1)), (job, state)
        assert place.attempts(job).count("done") == (state == "done")
    assert place.sql("SELECT 1 FROM attempt WHERE state = 'running'") == []
    assert place.sql("SELECT attempt FROM event WHERE seq IS NOT NULL GROUP BY attempt HAVING count(*) <> max(seq)") == []
    assert place.sql("SELECT 1 FROM attempt a WHERE last_seq <> (SELECT count(*) FROM event WHERE attempt = a.id AND"
                     " seq IS NOT NULL)") == []
    assert place.one("PRAGMA integrity_check") == ("ok",) and place.sql("PRAGMA foreign_key_check") == []
    place.stop()
    assert place.sql("SELECT 1 FROM worker WHERE state <> 'gone' AND pid > 0") == []
