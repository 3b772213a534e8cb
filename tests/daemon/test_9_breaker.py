"""The circuit breaker: a sweep whose jobs all fail at once in one way stops, and says why."""


def states(sweepd):
    return [s for s, in sweepd.sql("SELECT state FROM job ORDER BY id")]


FAILS = [["failed", "data", "no file here"]]


def test_a_sweep_that_fails_everywhere_stops_and_can_go_on(sweepd):
    sweepd.script({n: [FAILS] for n in range(1, 13)})
    sweepd.submit(n=12, retries=2)
    other = sweepd.submit(n=1)  # another sweep is not touched
    sweepd.wait(lambda: states(sweepd)[:12] == ["failed"] * 5 + ["paused"] * 7)
    sweepd.wait_state(other, "done")
    reason = ("the sweep was stopped: 5 jobs in a row failed at once in the same way (data: no file here); mend it, then:"
              " sweepctl resume s1")
    assert sweepd.reason_of(12) == reason
    assert sweepd.sql("SELECT sweep, detail ->> 'paused', detail ->> 'reason' FROM event WHERE kind = 'breaker'") == [
        (1, 7, reason)]
    sweepd.wait_log("circuit breaker tripped")
    sweepd.restart()
    assert states(sweepd)[:12] == ["failed"] * 5 + ["paused"] * 7
    sweepd.ctl("resume", "s1")  # not mended: five more until it trips again
    sweepd.wait(lambda: states(sweepd)[:12] == ["failed"] * 10 + ["paused"] * 2)
    sweepd.script()
    sweepd.ctl("resume", "s1")
    sweepd.wait(lambda: states(sweepd)[:12] == ["failed"] * 10 + ["done"] * 2)
    sweepd.stop()


def test_retries_do_not_hide_it(sweepd):
    """Kinds that are tried again: all jobs wait for their retry when it trips."""
    sweepd.script({n: [[["failed", "internal", "no"]]] * 9 for n in range(1, 10)})
    sweepd.submit(n=9, retries=50)
    sweepd.wait(lambda: states(sweepd) == ["paused"] * 9)
    assert len(sweepd.sql("SELECT DISTINCT job FROM attempt")) == 5
    sweepd.stop()


def test_grid_points_that_rightly_fail_do_not_stop_it(sweepd):
    """Some at once, some after an epoch, never five jobs in a row that did nothing."""
    at_once, late = [["failed", "oom", "too large"]], [["epoch", 1], ["failed", "diverged", "nan"]]
    script = {n: [at_once] for n in (1, 2, 3, 4, 6, 7, 8, 9)}
    script.update({n: [late] for n in range(11, 20)})
    sweepd.script(script)
    sweepd.submit(n=20, retries=0)
    sweepd.wait(lambda: set(states(sweepd)) == {"failed", "done"})
    assert states(sweepd).count("failed") == 17


def test_it_can_be_turned_off(place):
    place.script({n: [FAILS] for n in range(1, 9)})
    place.start("--breaker-jobs", 0)
    place.submit(n=8)
    place.wait(lambda: states(place) == ["failed"] * 8)
    place.stop()
