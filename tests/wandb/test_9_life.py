"""sweep-forward's own life: a private sweepd starts it when a sweep wants W&B, and again when it ends."""
import json
import os
import signal
import subprocess

import pytest
from campaign import FAST
from place import FORWARD, is_running, wait_until


@pytest.fixture
def spawned(place):
    """sweepd starts sweep-forward itself, impatient as the tests are."""
    script = place.dir / "sweep-forward"
    script.write_text(f'#!/bin/sh\nexec {FORWARD} "$@" {" ".join(map(str, FAST))}\n')
    script.chmod(0o755)

    def start():
        place.start("--forward-program", script, env=place.forward_env)

    place.start_with = start
    start()
    yield place
    if pid := forwarder(place):
        os.kill(pid, signal.SIGKILL)


def forwarder(place):
    """The pid of the one that is connected."""
    if not place.process:
        return None
    found = place.ask("status")["forward"]
    return found["pid"] if found and found["connected"] else None


def test_it_comes_when_it_is_wanted(spawned):
    spawned.submit(2)
    spawned.wait_state(2, "done")
    assert spawned.ask("status")["forward"] is None and "sweep-forward" not in spawned.log()
    spawned.submit_wandb(1, 2, wandb={"mode": "disabled"})
    spawned.wait_state(3, "done")
    assert spawned.ask("status")["forward"] is None
    spawned.submit_wandb(1, 2)
    spawned.wait_forwarded(4)
    assert spawned.compare(4) == [] and spawned.sql("SELECT job FROM wandb_run") == [(4,)]


def test_it_comes_again_when_it_is_killed(spawned):
    spawned.submit_wandb(1, 2)
    pid = spawned.wait(lambda: forwarder(spawned), "sweep-forward")
    os.kill(pid, signal.SIGKILL)
    again = spawned.wait(lambda: (now := forwarder(spawned)) != pid and now, "another sweep-forward")
    spawned.submit_wandb(1, 2, name="more")
    spawned.wait_forwarded(1, 2)
    assert is_running(again)


def test_it_ends_with_a_stop_and_outlives_a_kill(spawned):
    spawned.submit_wandb(1, 2)
    pid = spawned.wait(lambda: forwarder(spawned), "sweep-forward")
    spawned.kill()
    assert is_running(pid)
    spawned.start_with()
    assert spawned.wait(lambda: forwarder(spawned), "it to connect") == pid  # the other found the lock taken
    spawned.stop()
    wait_until(lambda: not is_running(pid), "sweep-forward to end")


def test_one_a_store(place):
    place.start()
    place.forward(*FAST)
    place.wait_said("follows")
    first, place.forwarder = place.forwarder, None
    place.forward(*FAST)
    assert place.forwarder.wait(20) == 6
    assert "another sweep-forward" in place.said()
    place.forwarder = first


def test_who_may_report(place):
    place.start()
    assert place.ask("forward", runs=[{"job": 1}])["code"] == 2  # root may, but that is no report
    assert place.ask("forward", ask="priority", jobs=[1])["ok"] is False
    nobody = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "/usr/bin/python3", "-c",
              "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]);"
              "s.sendall(b'{\"verb\": \"forward\"}\\n'); print(s.makefile().readline())", place.state / "control.sock"]
    (place.state / "control.sock").chmod(0o666)
    place.state.chmod(0o755)
    answer = json.loads(subprocess.run(nobody, text=True, capture_output=True, check=True).stdout)
    assert answer["code"] == 7 and "sweepd-forward" in answer["error"]


def test_positions_never_go_back(place):
    place.start()
    place.submit(1)
    place.wait_state(1, "done")
    row = {"job": 1, "run_id": "r", "phase": "open", "last_event": 5, "last_epoch": 2, "last_step": 0, "history": 2, "events": 0, "output": 0,
           "output_bytes": 0, "stopped": 0}
    assert place.ask("forward", runs=[row])["ok"]
    assert place.ask("forward", runs=[{**row, "last_event": 4, "history": 1, "last_epoch": 1}])["ok"]
    assert place.sql("SELECT last_event, history, last_epoch FROM wandb_run") == [(5, 2, 2)]
    assert place.ask("forward", runs=[{**row, "job": 99, "run_id": "s"}])["ok"] is False


def test_the_last_row_is_there_whatever_log_every_says(place, fake):
    """Of five epochs with log_every 3: the third and the last; the end comes early, is retried, and comes once."""
    early = [["epoch", 1], ["epoch", 2], ["epoch", 3], ["epoch", 4], ["failed", "config"]]
    place.script({"1": [early, [["failed", "config"]], [["train"]]]})
    place.start()
    place.forward(*FAST)
    place.submit_wandb(1, 5, wandb={"log_every": 3})
    for reopened, expected in enumerate(([3, 4], [3, 4], [3, 4, 5])):
        place.wait(lambda n=reopened: (run := place.run_of(1)) and run["reopened"] == n and run["complete"], "the run's end")
        assert [json.loads(line)["_step"] for line in place.run_of(1)["history"]] == expected
        if reopened < 2:
            place.ctl("retry", 1)


def test_files_of_a_run(place, fake):
    place.start()
    place.forward(*FAST)
    place.submit_wandb(1, 2, wandb={"tags": ["a", "b"], "group": "g", "notes": "n"})
    place.wait_forwarded(1)
    run = place.run_of(1)
    assert {"config.yaml", "wandb-metadata.json", "wandb-summary.json", "media/images/learning_curves.png"} <= set(run["uploaded"])
    assert (run["fields"]["tags"], run["fields"]["groupName"], run["fields"]["notes"]) == (["a", "b"], "g", "n")
    with fake.lock:
        (held,) = fake.records.runs.values()
        assert held.files["wandb-summary.json"].decode() == run["summary"]
        assert held.files["media/images/learning_curves.png"].startswith(b"\x89PNG\r\n")
        assert b"epochs:\n  value: 2\n" in held.files["config.yaml"]


def test_what_fits_no_single_request(place, fake):
    """Hundreds of rows and a long log that wait until the job is over: several requests, the end in the last."""
    epochs = [["epoch_with", n, {"note": "x" * 1000}] for n in range(1, 301)]
    place.script({"1": [[*epochs, ["done"]]]})
    place.start()
    place.submit_wandb(1, 300, wandb={"log_every": 7})
    place.wait_state(1, "done")
    lines = [f"2026-01-02 03:04:05 line {n} " + "y" * 90 for n in range(4000)]
    (place.state / "jobs/1/log.txt").write_text("\n".join(lines))  # the last one without its newline
    place.forward(*FAST)
    place.wait_forwarded(1)
    run = place.run_of(1)
    steps = [json.loads(line)["_step"] for line in run["history"]]
    assert steps == [*range(7, 301, 7), 300]
    assert [line.split(" ", 1)[1] for line in run["output"]] == [line.split(" ", 2)[2] for line in lines]
    with fake.lock:
        sizes = [int(r["headers"]["Content-Length"]) for r in fake.requests if r["channel"] == "file_stream"]
    assert len(sizes) > 3 and max(sizes) < 300_000
    assert place.sql("SELECT output, output_bytes FROM wandb_run") == [(4000, (place.state / "jobs/1/log.txt").stat().st_size)]
