"""Cancelling."""
import pytest

from conftest import wait_dead


def jobs_of(answer):
    return [(j["job"], j["state"], j["was"]) for j in answer["jobs"]]


def test_a_waiting_job_is_cancelled_at_once(sweepd):
    sweepd.script({1: [[["wait", "never"]]]})
    job = sweepd.submit(n=3)
    sweepd.wait_state(job, "running")
    answer = sweepd.ask("cancel", jobs=[job + 1])
    assert answer["ok"] and jobs_of(answer) == [(job + 1, "cancelled", "queued")]
    assert sweepd.reason_of(job + 1) == "cancelled by uid 0" and sweepd.attempts(job + 1) == []
    assert sweepd.state_of(job + 2) == "queued"


def test_a_running_job_is_asked_and_its_worker_stays(sweepd):
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]]]})
    job = sweepd.submit()
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    answer = sweepd.ask("cancel", jobs=[job])
    assert answer["ok"] and answer["code"] == 0 and jobs_of(answer) == [(job, "cancelled", "running")]
    assert sweepd.attempts(job) == ["cancelled"] and sweepd.epochs(job) == [1]
    other = sweepd.submit()
    sweepd.wait_state(other, "done")
    assert len(sweepd.pids()) == 1
    sweepd.stop()


def test_a_sweep(sweepd):
    sweepd.script({2: [[["wait", "never"]]]})
    job = sweepd.submit(n=4)
    sweepd.wait_state(job + 1, "running")
    answer = sweepd.ask("cancel", sweep=1)
    assert answer["ok"] and [j["job"] for j in answer["jobs"]] == [2, 3, 4]
    assert [sweepd.state_of(job + i) for i in range(4)] == ["done"] + ["cancelled"] * 3
    assert sweepd.ask("cancel", sweep=1) == {"ok": True, "code": 0, "jobs": []}


@pytest.mark.parametrize("ignored, word", [(["cancel"], "SIGTERM"), (["cancel", "term"], "SIGKILL")])
def test_a_worker_that_does_not_heed_gets_term_then_kill(sweepd, ignored, word):
    sweepd.script({1: [[["ignore", *ignored], ["grandchild"], ["wait", "never"]]]})
    job = sweepd.submit()
    sweepd.wait_state(job, "running")
    sweepd.wait(lambda: len(sweepd.pids()) == 2)
    answer = sweepd.ask("cancel", jobs=[job])
    assert jobs_of(answer) == [(job, "cancelled", "running")]
    assert word in sweepd.log() and ("SIGKILL" in sweepd.log()) == (word == "SIGKILL")
    for pid in sweepd.pids()[:2]:
        wait_dead(pid)
    assert sweepd.one("SELECT retries_used FROM job") == (0,)
    other = sweepd.submit()
    sweepd.wait_state(other, "done")


def test_a_worker_that_hangs_is_killed(sweepd):
    sweepd.script({1: [[["touch", "hangs"], ["hang"]]]})
    job = sweepd.submit()
    sweepd.wait(lambda: (sweepd.fake / "hangs").exists())
    assert jobs_of(sweepd.ask("cancel", jobs=[job])) == [(job, "cancelled", "running")]
    assert sweepd.attempts(job) == ["lost"]


def test_a_worker_that_crashes_while_asked(sweepd):
    sweepd.script({1: [[["ignore", "cancel"], ["touch", "up"], ["wait", "go"], ["signal", 9]]]})
    job = sweepd.submit()
    sweepd.wait(lambda: (sweepd.fake / "up").exists())
    with sweepd.connect() as c:
        c.send({"verb": "cancel", "jobs": [job]})
        sweepd.wait_received(type="cancel")
        sweepd.go("go")
        assert jobs_of(c.receive()) == [(job, "cancelled", "running")]


def test_a_job_that_fails_or_ends_at_that_moment(sweepd):
    """Its last word and the cancel in one turn, in either order: never queued again, never doubled."""
    for i in range(20):
        sweepd.script({i + 1: [[["wait", f"go{i}"], ["failed", "oom"] if i % 2 else ["done"]], [["wait", "never"]]]})
        job = sweepd.submit()
        sweepd.wait_state(job, "running")
        with sweepd.connect() as c:
            sweepd.go(f"go{i}")
            c.send({"verb": "cancel", "jobs": [job]})
            answer = c.receive()
        state = sweepd.state_of(job)
        assert state in (("cancelled",) if i % 2 else ("done", "cancelled"))
        assert answer["ok"] == (state == "cancelled") and answer["code"] == (0 if answer["ok"] else 6)
        assert len(sweepd.attempts(job)) <= 2


def test_what_is_over_cannot_be_cancelled(sweepd):
    job = sweepd.submit()
    sweepd.wait_state(job, "done")
    answer = sweepd.ask("cancel", jobs=[job])
    assert answer["ok"] is False and answer["code"] == 6
    assert answer["error"] == f"job {job} is done already; nothing was changed" == answer["jobs"][0]["error"]
    assert sweepd.state_of(job) == "done"


def test_each_job_of_a_request_has_its_own_answer(sweepd):
    sweepd.script({2: [[["wait", "never"]]]})
    job = sweepd.submit(n=3)
    sweepd.wait_state(job + 1, "running")
    answer = sweepd.ask("cancel", jobs=[job, job + 2, 99])
    assert answer["code"] == 6 and [j.get("error") for j in answer["jobs"]] == [
        "job 1 is done already; nothing was changed", None, "no job 99"]
    assert sweepd.ask("cancel", jobs=[99])["code"] == 4
    assert sweepd.ask("cancel", sweep=99)["error"] == "no sweep s99"


def test_sweepctl_cancels(sweepd):
    sweepd.script({1: [[["wait", "never"]]]})
    job = sweepd.submit(n=3)
    sweepd.wait_state(job, "running")
    lines = sweepd.ctl("cancel", "s1").stdout.splitlines()
    assert [line[:40].strip() for line in lines] == ["jobs 2-3: cancelled (were queued)",
                                                     "job 1: cancelled (was running)"]


def test_a_client_that_goes_while_it_waits(sweepd):
    sweepd.script({1: [[["ignore", "cancel", "term"], ["wait", "never"]]]})
    job = sweepd.submit()
    sweepd.wait_state(job, "running")
    with sweepd.connect() as c:
        c.send({"verb": "cancel", "jobs": [job]})
        sweepd.wait_received(type="cancel")
    sweepd.wait_state(job, "cancelled")
    sweepd.stop()


def test_a_cancelled_job_stays_cancelled_over_a_restart(sweepd):
    sweepd.script({1: [[["wait", "never"]]]})
    job = sweepd.submit(n=2)
    sweepd.wait_state(job, "running")
    sweepd.ask("cancel", jobs=[job])
    sweepd.wait_state(job + 1, "done")
    sweepd.restart()
    sweepd.wait_idle()
    assert sweepd.state_of(job) == "cancelled"
