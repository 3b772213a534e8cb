"""Samples of training steps: rows of their job, of each step the highest attempt's; a list that is none costs its sender
the connection."""
import json

import pytest

from conftest import wait_until


def steps(epoch, *numbers, by=1, **more):
    """An event's members: step n has the loss n / 10 * by."""
    return {"epoch": epoch, "step": list(numbers), "train_loss": [n / 10 * by for n in numbers],
            "lr": [0.5] * len(numbers), **more}


def test_of_a_step_the_highest_attempt_counts(sweepd):
    """Killed after step 6 of an epoch whose last checkpoint was after step 4: steps 5 and 6 come again."""
    first = [["event", "steps", steps(1, 1, 2, 3)], ["epoch", 1], ["event", "steps", steps(2, 4, 5, 6)], ["signal", 9]]
    second = [["event", "steps", steps(2, 5, 6, by=2, grad_norm=["inf", 7.5])], ["epoch", 2], ["done"]]
    sweepd.script({1: [first, second]})
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done")
    rows = sweepd.sql("SELECT * FROM steps")
    assert [(row[0], row[1], row[2], round(row[3], 9), row[4]) for row in rows] == [
        (job, 1, 1, 0.1, 0.5), (job, 1, 2, 0.2, 0.5), (job, 1, 3, 0.3, 0.5), (job, 2, 4, 0.4, 0.5), (job, 2, 5, 1.0, 0.5),
        (job, 2, 6, 1.2, 0.5)]
    assert [row[5] for row in rows] == [None, None, None, None, None, 7.5]
    assert sweepd.sql("SELECT nonfinite FROM step WHERE step = 5 ORDER BY attempt") == [(None,), ("inf",)]
    details = [json.loads(detail) for detail, in sweepd.sql("SELECT detail FROM event WHERE kind = 'steps' ORDER BY id")]
    assert details[2] == {"epoch": 2, "first": 5, "last": 6, "n": 2}
    plan = " ".join(row[-1] for row in sweepd.sql("EXPLAIN QUERY PLAN SELECT * FROM steps WHERE job = 1"))
    assert "SCAN s" not in plan.replace("SCAN sweep", "") and "TEMP B-TREE" not in plan, plan


BAD = {
    "lists of two lengths": {**steps(1, 1, 2), "lr": [0.1]},
    "no step": steps(1),
    "no list": {**steps(1, 1), "step": 1},
    "more than an event holds": steps(1, *range(1, 502)),
    "not rising": steps(1, 2, 2),
    "step 0": steps(1, 0),
    "a loss that is not finite": {**steps(1, 1), "train_loss": ["nan"]},
    "text": {**steps(1, 1), "lr": ["much"]},
    "no epoch": {key: value for key, value in steps(1, 1).items() if key != "epoch"},
    "twice in its attempt": steps(1, 7),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_list_of_samples(sweepd, what):
    line = json.dumps({"type": "steps", "attempt": 1, "seq": 4, **BAD[what]})
    actions = [["event", "steps", steps(1, 7)], ["epoch", 1], ["raw", line + "\n"], ["wait", "back"], ["train"]]
    sweepd.script({1: [actions]})
    job = sweepd.submit(epochs=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    wait_until(lambda: sum(m["type"] == "welcome" for m in sweepd.received()) == 2, "a second welcome")
    sweepd.go("back")
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["done"] and len(sweepd.pids()) == 1
    assert sweepd.sql("SELECT step FROM steps") == [(7,)]
    assert "bad event" in sweepd.log() or what == "twice in its attempt"
    assert "connection of pid" in sweepd.log()
