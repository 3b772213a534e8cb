"""pause, resume, retry, priority: waiting jobs at once, running ones through their worker."""
from test_4_cancel import jobs_of


def test_waiting_jobs_are_paused_and_resumed(sweepd):
    sweepd.script({1: [[["wait", "go"], ["train"]]]})
    job = sweepd.submit(n=3)
    sweepd.wait_state(job, "running")
    answer = sweepd.ask("pause", jobs=[job + 1, job + 2])
    assert answer["ok"] and jobs_of(answer) == [(2, "paused", "queued"), (3, "paused", "queued")]
    assert sweepd.reason_of(2) == "paused by uid 0"
    sweepd.go("go")
    sweepd.wait_state(job, "done")
    assert [sweepd.state_of(j) for j in (2, 3)] == ["paused", "paused"]
    again = sweepd.ask("pause", jobs=[2])
    assert again["code"] == 6 and "job 2 is paused already" in again["error"]
    assert jobs_of(sweepd.ask("resume", jobs=[3])) == [(3, "queued", "paused")]
    sweepd.wait_state(3, "done")
    assert sweepd.state_of(2) == "paused" and sweepd.attempts(2) == []


def test_a_paused_job_stays_paused_over_a_restart(sweepd):
    sweepd.script({1: [[["wait", "never"]]]})
    sweepd.submit(n=2)
    sweepd.wait_state(1, "running")
    sweepd.ask("pause", jobs=[2])
    sweepd.ask("pause", jobs=[1])
    sweepd.restart()
    assert [sweepd.state_of(j) for j in (1, 2)] == ["paused", "paused"]


def test_a_running_job_releases_its_device(sweepd):
    sweepd.script({1: [[["epoch", 1], ["wait", "never"]], [["train"]]]})
    job = sweepd.submit(n=2)
    sweepd.wait(lambda: sweepd.epochs(job) == [1])
    assert jobs_of(sweepd.ask("pause", jobs=[job])) == [(job, "paused", "running")]
    assert sweepd.attempts(job) == ["released"] and sweepd.reason_of(job) == "paused by uid 0"
    assert sweepd.wait_received(type="release")[0]["why"] == "pause"
    sweepd.wait_state(job + 1, "done")
    assert len(sweepd.pids()) == 1
    sweepd.ask("resume", jobs=[job])
    sweepd.wait_state(job, "done")
    assert sweepd.one("SELECT retries_used FROM job WHERE id = ?", job) == (0,)


def test_a_job_that_ends_while_it_is_asked_to_pause(sweepd):
    sweepd.script({1: [[["ignore", "release"], ["touch", "up"], ["wait", "go"], ["train"]]]})
    job = sweepd.submit()
    sweepd.wait(lambda: (sweepd.fake / "up").exists())
    with sweepd.connect() as c:
        c.send({"verb": "pause", "jobs": [job]})
        sweepd.wait_received(type="release")
        sweepd.go("go")
        answer = c.receive()
    assert answer["code"] == 6 and "job 1 is done already" in answer["error"]


def test_a_worker_lost_while_it_is_asked_to_pause(sweepd):
    sweepd.script({1: [[["ignore", "release"], ["touch", "up"], ["wait", "go"], ["signal", 9]]]})
    job = sweepd.submit()
    sweepd.wait(lambda: (sweepd.fake / "up").exists())
    with sweepd.connect() as c:
        c.send({"verb": "pause", "jobs": [job]})
        sweepd.wait_received(type="release")
        sweepd.go("go")
        assert jobs_of(c.receive()) == [(job, "paused", "running")]
    assert sweepd.attempts(job) == ["lost"]


def test_cancel_is_stronger_than_pause(sweepd):
    sweepd.script({1: [[["ignore", "release"], ["touch", "up"], ["wait", "never"]]]})
    job = sweepd.submit()
    sweepd.wait(lambda: (sweepd.fake / "up").exists())
    with sweepd.connect() as c:
        c.send({"verb": "pause", "jobs": [job]})
        sweepd.wait_received(type="release")
        assert jobs_of(sweepd.ask("cancel", jobs=[job])) == [(job, "cancelled", "running")]
        answer = c.receive()
    assert answer["code"] == 6 and "job 1 is cancelled already" in answer["error"]
    assert sweepd.state_of(job) == "cancelled"


def test_failed_and_cancelled_jobs_are_retried_with_all_their_retries(sweepd):
    sweepd.script({1: [[["failed", "internal"]], [["failed", "internal"]], [["failed", "internal"]], [["train"]]]})
    job = sweepd.submit(n=2, retries=1)
    sweepd.wait_state(job, "failed")
    sweepd.wait_state(job + 1, "done")
    assert sweepd.one("SELECT retries_used FROM job WHERE id = ?", job) == (1,)
    refused = sweepd.ask("retry", jobs=[job + 1])
    assert refused["code"] == 6 and "is done; only a failed or cancelled job is retried" in refused["error"]
    assert jobs_of(sweepd.ask("retry", jobs=[job])) == [(job, "queued", "failed")]
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["failed", "failed", "failed", "done"]


def test_a_higher_priority_starts_first(sweepd):
    sweepd.script({1: [[["wait", "go"], ["train"]]]})
    job = sweepd.submit(n=3)
    sweepd.wait_state(job, "running")
    assert sweepd.ask("priority", jobs=[3], priority=5)["ok"]
    assert sweepd.ask("priority", jobs=[3], priority=5000)["code"] == 2
    sweepd.go("go")
    sweepd.wait_state(2, "done")
    order = [row[0] for row in sweepd.sql("SELECT job FROM attempt ORDER BY id")]
    assert order == [1, 3, 2]
    assert sweepd.ask("priority", jobs=[3], priority=1)["code"] == 6
    assert sweepd.sql("SELECT detail FROM event WHERE kind = 'priority'") == [('{"priority":5,"was":0}',)]
