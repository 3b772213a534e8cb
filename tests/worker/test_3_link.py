"""sweep-worker under a daemon that does as the test says: nothing is lost or told twice, every wish is heeded."""
import json
import signal
import time

from conftest import limit_files, needs_data, only_started, tensors, types

pytestmark = needs_data


def of_type(*types):
    return lambda message: message["type"] in types


def on_file(job_dir, attempt=1):
    return [json.loads(line) for line in (job_dir / f"events.{attempt}.jsonl").read_text().splitlines()]


def ended(d):
    """Acknowledges the end of the attempt, then stops the worker."""
    events, last = d.until(of_type("done", "failed", "cancelled", "released"))
    d.send("ack", acks=[{"attempt": last["attempt"], "seq": last["seq"]}])
    d.send("stop")
    assert d.end() == 0, d.said()
    return events


def begin(d, **config):
    d.accept()
    d.send("welcome", acks=[])
    return d.run(**config)


def test_a_job_from_hello_to_stop(daemon):
    d = daemon("--threads", "2")
    hello = d.accept()
    assert hello["token"] == "secret" and hello["worker"] == 3 and hello["pid"] == d.worker.pid
    assert hello["device"]["kind"] == "cpu" and hello["slots"] == 1 and hello["jobs"] == []
    d.send("welcome", acks=[])
    job_dir = d.run()
    events = ended(d)
    assert types(events) == ["started", "epoch", "done"]
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    used = [e["values"] for e in events if e["type"] == "telemetry"]  # at least the rest, before the end
    assert used and events[-2]["type"] == "telemetry" and all(v["cpu_percent"] > 0 and v["ram_mib"] > 0 for v in used)
    assert events == on_file(job_dir)
    assert (job_dir / "final.safetensors").exists() and not (job_dir / "last.safetensors").exists()


def test_training_goes_on_without_the_daemon_and_nothing_is_lost_or_told_twice(daemon):
    d = daemon()
    job_dir = begin(d, epochs=2)
    first, _ = d.until(of_type("started"))
    d.go_away()
    d.listen()
    hello = d.accept()
    assert [j["attempt"] for j in hello["jobs"]] == [1] and hello["jobs"][0]["next_seq"] >= 2
    d.send("welcome", acks=[{"attempt": 1, "seq": 1}])
    events = ended(d)
    assert first + events == on_file(job_dir)
    assert events[-1]["type"] == "done"


def test_a_daemon_that_forgot_gets_everything_again(daemon):
    d = daemon()
    job_dir = begin(d)
    d.until(of_type("done"))
    hello = d.accept()
    assert hello["jobs"] == [{"attempt": 1, "next_seq": len(on_file(job_dir)) + 1}]
    d.send("welcome", acks=[])
    assert ended(d) == on_file(job_dir)


def test_a_second_job_after_the_first(daemon):
    d = daemon()
    begin(d)
    _, done = d.until(of_type("done"))
    d.send("ack", acks=[{"attempt": 1, "seq": done["seq"]}])
    d.run(attempt=2, seed=6)
    assert {e["attempt"] for e in ended(d)} == {2}


def test_cancel_is_heeded_in_the_middle_of_a_test(daemon):
    d = daemon()
    job_dir = begin(d, test_images=10000)
    d.until(lambda m: m["type"] == "progress" and m["phase"] == "test" and 0 < m["step"] < m["steps"] / 2)
    d.send("cancel", attempt=1)
    assert types(ended(d)) == ["cancelled"]
    assert not (job_dir / "last.safetensors").exists()


def test_pause_checkpoints_and_a_new_attempt_goes_on_from_there(daemon):
    d = daemon()
    job_dir = begin(d)
    d.until(of_type("started"))
    d.send("release", attempt=1, why="pause")
    _, released = d.until(of_type("released", "done"))
    assert released["type"] == "released" and released["why"] == "pause"
    d.send("ack", acks=[{"attempt": 1, "seq": released["seq"]}])
    d.run(attempt=2, resume=True)
    events = ended(d)
    assert (events[0]["start_epoch"], events[0]["start_step"]) == (released["epoch"], released["step"])
    assert events[-1]["type"] == "done"


def test_checkpoint_on_demand(daemon):
    d = daemon()
    job_dir = begin(d, train_images=160)
    d.until(of_type("started"))
    d.send("checkpoint", attempt=1)
    d.until(of_type("checkpoint"))
    assert "optimizer.momentum.conv1.weight" in tensors(job_dir / "last.safetensors")
    d.send("cancel", attempt=1)
    ended(d)


def test_fenced_attempt_writes_nothing_more(daemon):
    d = daemon()
    job_dir = begin(d, checkpoint_interval_s=0)
    d.until(of_type("checkpoint"))
    d.send("fence", attempt=1)
    d.run(attempt=2, seed=6)  # and the slot is free
    d.until(lambda m: m["type"] == "started" and m["attempt"] == 2)
    told = on_file(job_dir)
    assert told[-1]["type"] in ("checkpoint", "epoch")
    ended(d)
    assert on_file(job_dir) == told


def test_stop_by_signal_releases_the_job(daemon):
    d = daemon()
    begin(d)
    d.until(of_type("started"))
    d.worker.send_signal(signal.SIGTERM)
    _, last = d.until(of_type("released", "done"))
    assert last["type"] == "released" and last["why"] == "stop"
    d.send("ack", acks=[{"attempt": 1, "seq": last["seq"]}])
    assert d.end() == 0, d.said()


def test_a_bad_line_costs_the_connection_only(daemon):
    d = daemon()
    begin(d)
    d.connection.sendall(b"{nonsense\n")
    d.accept()
    d.send("welcome", acks=[])
    assert ended(d)[-1]["type"] == "done"


def test_a_daemon_that_hangs_up_at_once_is_not_stormed(daemon):
    d = daemon()
    d.accept()
    start = time.monotonic()
    for _ in range(3):
        d.accept()  # hangs up on the one before
    assert time.monotonic() - start > 1.2  # half a second between two
    assert d.said().count("connection to sweepd ended") <= 3


def test_orphaned_job_is_released(daemon):
    d = daemon("--orphan-timeout", "1")
    job_dir = begin(d, train_images=20000)
    d.until(of_type("started"))
    d.go_away()
    assert d.end() == 0, d.said()
    assert on_file(job_dir)[-1]["type"] == "released" and "no sweepd for" in d.said()
    assert (job_dir / "last.safetensors").exists()


def test_idle_worker_waits_for_a_daemon_that_restarts(daemon):
    """However long the daemon was silent before: the time runs from the end of the connection."""
    d = daemon("--orphan-timeout", "2")
    d.accept()
    d.send("welcome", acks=[])
    d.until(of_type("heartbeat"))
    d.until(of_type("heartbeat"))
    assert d.accept()["jobs"] == []
    d.send("welcome", acks=[])
    d.go_away()
    assert d.end() == 0 and "no sweepd for" in d.said()


def test_a_job_whose_end_cannot_be_written_ends_the_worker(daemon, tmp_path):
    d = daemon(preexec_fn=limit_files(only_started(tmp_path)))
    begin(d)
    d.until(of_type("started"))
    assert d.end() == 1 and "cannot be recorded" in d.said()


def test_configuration_that_is_refused(daemon):
    d = daemon()
    begin(d, momentum=2)
    events = ended(d)
    assert [(e["type"], e["class"]) for e in events] == [("failed", "config")] and "momentum" in events[0]["reason"]
