"""Submitting, running, failing, trying again."""
import json

import pytest


def test_a_job_runs_to_its_end(sweepd):
    job = sweepd.submit(epochs=3)
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2, 3] and sweepd.attempts(job) == ["done"]
    row = sweepd.one("SELECT model, test_accuracy, minutes, notes, best_epoch FROM results")
    assert row == ("resnet18", 30.0, 0.075, "", 3)
    run = sweepd.wait_received(type="run")[0]
    assert run["resume"] is True and run["config"]["epochs"] == 3 and run["job_dir"] == f"{sweepd.state}/jobs/{job}"
    assert sweepd.received()[0] == {"type": "welcome", "acks": []}
    kinds = [k for k, in sweepd.sql("SELECT kind FROM event ORDER BY id")]
    assert kinds == ["submitted", "state", "started", "epoch", "epoch", "epoch", "done", "state"]
    sweepd.wait_received(type="ack", acks=[{"attempt": 1, "seq": 5}])
    sweepd.stop()


def test_sweepctl_submits_and_shows(sweepd, tmp_path):
    path = tmp_path / "grid.json"
    path.write_text(json.dumps({"parameters": {"lr": {"values": [0.1, 0.05]}}, "defaults": {
        "dataset": "fashion-mnist", "epochs": 2}}))
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (data / f"{name}-ubyte").write_bytes(b"")
    assert "s1 grid: 2 jobs queued (1-2), on disk" in sweepd.ctl("submit", path, "--data", data).stdout
    sweepd.wait_state(2, "done")
    assert sweepd.wait_received(type="run")[0]["data_dir"] == str(data)
    lines = sweepd.ctl("results").stdout.splitlines()
    assert len(lines) == 4 and "20.00 %" in lines[2]
    assert "1 device" in sweepd.ctl("list").stderr


def test_several_devices_run_at_once(place):
    place.script({n: [[["wait", "go"], ["train"]]] for n in (1, 2)})
    place.start("--devices", 2)
    job = place.submit(n=3)
    place.wait(lambda: [place.state_of(job + i) for i in range(3)] == ["running", "running", "queued"])
    assert len({d["job"] for d in place.ask("status")["devices"]}) == 2
    place.go("go")
    place.go("go")
    place.wait(lambda: all(place.state_of(job + i) == "done" for i in range(3)))
    place.stop()


def test_higher_priority_first_then_the_lower_id(sweepd):
    sweepd.script({1: [[["wait", "go"], ["train"]]]})
    first = sweepd.submit()
    sweepd.wait_state(first, "running")
    low, high = sweepd.submit(n=2), sweepd.submit(n=2, priority=5)
    sweepd.go("go")
    sweepd.wait(lambda: sweepd.one("SELECT count(*) FROM job WHERE state = 'done'") == (5,))
    order = [j for j, in sweepd.sql("SELECT job FROM attempt ORDER BY id")]
    assert order == [first, high, high + 1, low, low + 1]


@pytest.mark.parametrize("fail_class, again", [
    ("config", False), ("data", False), ("diverged", False), ("oom", True), ("device", True), ("internal", True),
])
def test_what_a_failure_leads_to(sweepd, fail_class, again):
    sweepd.script({1: [[["epoch", 1], ["failed", fail_class, "because"]], [["train"]]]})
    job = sweepd.submit(epochs=2)
    sweepd.wait_state(job, "done", "failed")
    assert sweepd.attempts(job) == (["failed", "done"] if again else ["failed"])
    assert sweepd.one("SELECT class, reason FROM attempt WHERE number = 1") == (fail_class, "because")
    assert sweepd.reason_of(job) == (None if again else "because")
    assert sweepd.epochs(job) == ([1, 2] if again else [1])
    if again:
        what = "not its own fault: again" if fail_class == "device" else "retry 1 of 2"
        assert f"because; {what} in 0.001 s" in sweepd.sql(
            "SELECT detail FROM event WHERE kind = 'state' ORDER BY id")[1][0]
        assert sweepd.one("SELECT retries_used FROM job") == (0 if fail_class == "device" else 1,)


def test_retries_end(sweepd):
    sweepd.script({1: [[["failed", "internal", f"no {i}"]] for i in range(5)]})
    job = sweepd.submit(retries=2)
    sweepd.wait_state(job, "failed")
    assert sweepd.attempts(job) == ["failed"] * 3 and sweepd.reason_of(job) == "no 2"


def test_a_failure_without_retries(sweepd):
    sweepd.script({1: [[["exit", 3]]]})
    job = sweepd.submit(retries=0)
    sweepd.wait_state(job, "failed")
    assert sweepd.reason_of(job) == "worker exit status 3"
    other = sweepd.submit()
    sweepd.wait_state(other, "done")


@pytest.mark.parametrize("action, reason", [
    (["exit", 3], "worker exit status 3"), (["exit", 0], "worker exit status 0"),
    (["signal", 9], "worker killed by signal 9 (Killed)"), (["signal", 11], "worker killed by signal 11 (Segmentation"),
])
def test_a_worker_that_vanishes_is_a_lost_attempt_and_tried_again(sweepd, action, reason):
    sweepd.script({1: [[["epoch", 1], action]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait_state(job, "done")
    assert sweepd.attempts(job) == ["lost", "done"] and sweepd.epochs(job) == [1, 2, 3]
    assert sweepd.one("SELECT reason FROM attempt WHERE number = 1")[0].startswith(reason)
    assert len(set(sweepd.pids())) == 2
    assert sweepd.one("SELECT retries_used FROM job") == (1,)
    assert sweepd.one("SELECT notes FROM results") == ("resumed once",)


def test_a_worker_that_cannot_work_does_not_burn_the_queue(sweepd):
    """Ends in a row wait longer and longer for the next start."""
    sweepd.script({n: [[["exit", 1]]] * 9 for n in range(1, 100)})
    sweepd.submit(n=99, retries=0)
    sweepd.wait(lambda: sweepd.one("SELECT count(*) FROM worker WHERE state = 'gone'") == (3,))
    first, last = sweepd.one("SELECT min(started_ms), max(started_ms) FROM worker")
    assert last - first >= 500
    assert sweepd.one("SELECT count(*) FROM job WHERE state = 'failed'") == (3,)
    sweepd.stop()


def test_an_epoch_that_is_repeated_counts_once(sweepd):
    sweepd.script({1: [[["epoch", 1], ["epoch", 2, "forget"], ["signal", 9]]]})
    job = sweepd.submit(epochs=3)
    sweepd.wait_state(job, "done")
    assert sweepd.epochs(job) == [1, 2, 2, 3]
    assert [e for e, in sweepd.sql("SELECT epoch FROM curves")] == [1, 2, 3]
    assert sweepd.one("SELECT minutes FROM results") == (0.075,)


def test_numbers_that_are_not_finite(sweepd):
    sweepd.script({1: [[["epoch_with", 1, {"train_loss": "nan", "test_loss": "inf"}],
                        ["event", "metric", {"epoch": 1, "name": "grad_norm", "value": "-inf"}],
                        ["event", "telemetry", {"values": {"cpu_percent": 97.5, "odd": "nan"}}],
                        ["event", "checkpoint", {"epoch": 1, "step": 0, "seconds": 0.1}], ["done"]]]})
    job = sweepd.submit(epochs=1)
    sweepd.wait_state(job, "done")
    assert sweepd.one("SELECT train_loss, test_loss, test_accuracy, nonfinite FROM epoch") == (
        None, None, 10.0, "train_loss,test_loss")
    assert sweepd.one("SELECT value, nonfinite FROM metric") == (None, "-inf")
    assert sweepd.sql("SELECT name, value FROM telemetry") == [("cpu_percent", 97.5), ("odd", None)]


def test_watchers_hear_of_progress_and_rows(sweepd):
    sweepd.script({1: [[["progress"], ["epoch", 1], ["done"]]]})
    with sweepd.connect() as c:
        assert c.ask("watch") == {"ok": True}
        job = sweepd.submit(epochs=1)
        sweepd.wait_state(job, "done")  # its own connection: what it says comes after the commit, as here
        last = sweepd.one("SELECT max(id) FROM event")[0]
        lines = [c.receive()]
        while lines[-1].get("id", 0) < last:
            lines.append(c.receive())
    progress = [line for line in lines if line["type"] == "progress"]
    assert progress[0]["job"] == job and progress[0]["device"] == "cpu" and progress[0]["train_loss"] == "nan"
    events = [line["id"] for line in lines if line["type"] == "event"]
    assert events == sorted(events)


# --- submitting ---

def test_the_same_submission_twice_is_one_sweep(sweepd):
    assert sweepd.submit(submission="a-b-c") == sweepd.submit(submission="a-b-c")
    assert sweepd.one("SELECT count(*) FROM sweep") == (1,)


def test_the_same_configurations_are_one_sweep_unless_asked(sweepd):
    first = sweepd.submit(n=2, again=False)
    assert sweepd.submit(n=2, again=False, name="other", submission="x") == first
    assert sweepd.submit(n=2, again=True) != first
    assert sweepd.submit(n=3, again=False) != first
    text = '{"parameters": {"seed": {"values": [0, 1]}}, "defaults": {"epochs": 3}}'
    answer = sweepd.ask("submit", text=text)
    assert answer["existing"] is True and answer["first_job"] in (first, 3) and answer["jobs"] == 2
    elsewhere = sweepd.ask("submit", text=text, data_dir="/tmp")
    assert elsewhere["existing"] is False  # other images
    assert sweepd.ask("submit", text=text, data_dir="/tmp")["sweep"] == elsewhere["sweep"]
    assert sweepd.one("SELECT config ->> 'seed' FROM visible_job WHERE job = ?", first) == (0,)


def test_a_large_sweep_appears_whole(sweepd):
    sweepd.script({1: [[["wait", "never"]]]})
    with sweepd.connect() as one, sweepd.connect() as two:
        text = json.dumps({"parameters": {"seed": {"values": list(range(2500))}}})
        request = {"verb": "submit", "text": text, "submission": "big"}
        one.send(request)
        two.send(request)  # a client that lost patience; whichever comes second waits for the other
        seen = set()
        sweepd.wait(lambda: seen.add(sweepd.one("SELECT count(*) FROM queue")[0]) or max(seen))
        answers = one.receive(), two.receive()
    assert seen <= {0, 2500}
    assert {a["existing"] for a in answers} == {False, True} and {a["jobs"] for a in answers} == {2500}
    assert sweepd.one("SELECT count(*), count(DISTINCT position) FROM job") == (2500, 2500)


def test_half_a_large_sweep_is_gone_after_kill_9(sweepd):
    with sweepd.connect() as c:
        c.send({"verb": "submit", "text": json.dumps({"parameters": {"seed": {"values": list(range(6000))}}})})
        sweepd.wait(lambda: sweepd.sql("SELECT 1 FROM sweep"))
        sweepd.kill()
        half = c.receive() is None
    sweepd.start()
    rest = sweepd.one("SELECT count(*) FROM sweep")[0], sweepd.one("SELECT count(*) FROM job")[0]
    assert rest == ((0, 0) if half and rest != (1, 6000) else (1, 6000))


@pytest.mark.parametrize("change, code, sentence", [
    ({"text": '{"parameters": {"lr": {"values": [-1]}}}'}, 5, "s.json:1:"),
    ({"text": '{"parameters": {"weight_decy": {"value": 1}}}'}, 5, "weight_decay"),
    ({"text": "{"}, 5, "not a JSON or YAML document"),
    ({"overrides": [["epochs", "many"]]}, 5, "epochs"),
    ({"name": "s1"}, 5, "cannot be the name"),
    ({"name": "x" * 5000}, 5, "cannot be the name"),
    ({"priority": 10 ** 12}, 5, "priority"),
    ({"data_dir": "relative"}, 5, "absolute"),
    ({"note": "n" * 5000}, 5, "note"),
    ({"text": 5}, 2, '"text": expected a string'),
    ({"overrides": "epochs=5"}, 2, "overrides"),
    ({"overrides": [["epochs"]]}, 2, "overrides"),
    ({"overrides": [["epochs", 5]]}, 2, "overrides"),
    ({"overrides": [["a", "b"]] * 300}, 2, "more than 200"),
])
def test_a_submit_that_is_refused_stores_nothing(sweepd, change, code, sentence):
    assert sentence in sweepd.submit(**change, code=code)["error"]
    assert sweepd.sql("SELECT * FROM sweep") == [] == sweepd.sql("SELECT * FROM job")
    sweepd.submit()


def test_what_the_request_says_wins_over_the_file(sweepd):
    job = sweepd.submit(overrides=[["epochs", "1"]], name="mine", priority=3, note="hello", data_dir="/data")
    row = sweepd.one("SELECT s.name, s.note, s.data_dir, s.overrides, j.priority, coalesce(j.own ->> 'epochs', s.base ->> 'epochs') FROM sweep s"
                     " JOIN job j ON j.sweep = s.id WHERE j.id = ?", job)
    assert row == ("mine", "hello", "/data", '[["epochs","1"]]', 3, 1)
