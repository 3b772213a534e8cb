"""What needs a daemon: submit, cancel, daemon, against a scripted one."""
import json
import os
import pathlib
import stat
import time

import pytest

from conftest import ROOT

SWEEP = {
    "name": "small", "method": "grid", "metric": {"name": "test_accuracy", "goal": "maximize"},
    "parameters": {"lr": {"values": [0.1, 0.05]}},
    "defaults": {"model": "resnet18", "dataset": "cifar100", "epochs": 2, "use_wandb": True},
}


@pytest.fixture
def data(place):
    directory = place.directory / "data"
    directory.mkdir()
    for name in ("train.bin", "test.bin"):
        (directory / name).write_bytes(b"")
    return directory


@pytest.fixture
def sweep(place):
    path = place.directory / "small.json"
    path.write_text(json.dumps(SWEEP, indent=2))
    return path


def stored(_request):
    return {"ok": True, "sweep": 1, "name": "small", "jobs": 2, "first_job": 1, "last_job": 2, "existing": False}


def test_submit_sends_the_text_and_prints_what_was_stored(place, sweep, data):
    daemon = place.daemon(submit=stored)
    out = place.run("submit", sweep, "--data", data, "--override", "epochs=5", "--note", "hello").stdout
    request = next(r for r in daemon.requests if r["verb"] == "submit")
    assert request["text"] == sweep.read_text() and request["file_name"] == "small.json"
    assert request["overrides"] == [["epochs", "5"]] and request["note"] == "hello"
    assert request["data_dir"] == str(data) and request["again"] is False
    assert len(request["submission"]) == 36 and request["submission"][14] == "4"
    assert out.startswith("s1 small: 2 jobs queued (1-2), on disk\n")
    assert "swept    lr" in out and "metric  test_accuracy, maximize" in out and "devices  cpu" in out
    assert "  wandb    sweepd; " in out
    assert request["file_dir"] == str(sweep.parent) and request["wandb"] == {}
    assert "follow: sweepctl watch s1" in out and "stop: sweepctl cancel s1" in out
    assert max(map(len, out.splitlines())) <= 80


def test_submit_reads_standard_input_yaml_and_the_environments_data(place, data):
    daemon = place.daemon(submit=stored)
    text = "name: small\nmethod: grid\nparameters:\n  lr: {values: [0.1, 5e-2]}\n"
    assert place.run("submit", "-", "-q", text=text, SWEEPD_DATA=f"/nowhere:{data}").stdout == "s1\n"
    request = next(r for r in daemon.requests if r["verb"] == "submit")
    assert request["text"] == text and request["data_dir"] == str(data)


def test_data_that_no_option_named_is_not_sent(place, sweep):
    daemon = place.daemon(submit=stored)
    directory = place.directory / "share" / "sweepd" / "datasets"
    directory.mkdir(parents=True)
    for name in ("train.bin", "test.bin"):
        (directory / name).write_bytes(b"")
    place.run("submit", sweep, XDG_DATA_HOME=str(place.directory / "share"))
    assert next(r for r in daemon.requests if r["verb"] == "submit")["data_dir"] is None


def test_errors_of_the_file_name_the_place_and_store_nothing(place, sweep, data):
    daemon = place.daemon(submit=stored)
    sweep.write_text('{\n "parameters": {"lr": {"values": [0.1]}},\n "defaults": {"weight_decy": 5e-4}\n}\n')
    done = place.run("submit", sweep, "--data", data, code=5)
    assert f"{sweep}:3:" in done.stderr and "error: " in done.stderr and "weight_decay" in done.stderr
    assert done.stderr.endswith("1 error; nothing was stored.\n") and done.stdout == ""
    assert not [r for r in daemon.requests if r["verb"] == "submit"]


def test_missing_data_is_an_error_at_its_line(place, sweep):
    if os.path.exists("/usr/share/datasets/cifar-100-binary") or os.path.exists("/var/lib/sweepd/datasets"):
        pytest.skip("cifar100 is installed on this machine")
    place.daemon(submit=stored)
    line = next(i for i, text in enumerate(sweep.read_text().splitlines(), 1) if '"dataset"' in text)
    done = place.run("submit", sweep, code=5)
    assert f"{sweep}:{line}:" in done.stderr and "cifar100" in done.stderr and "expected:" in done.stderr


def test_dry_run_needs_no_daemon_and_stores_nothing(place, data):
    done = place.run("submit", "--dry-run", "--override", "epochs=50", "--data", data, ROOT / "sweeps/grid.json")
    lines = done.stdout.splitlines()
    assert lines[0].split() == "# MODEL LR SCHEDULER BATCH_SIZE".split()
    assert lines[1].split() == "1 resnet18 0.1 StepLR 128".split()
    assert lines[8].split() == "8 resnet50 0.05 ReduceLROnPlateau 64".split()
    assert "epochs 50 (override)" in done.stdout and "8 jobs; nothing was stored (--dry-run)" in done.stderr
    assert max(map(len, lines)) <= 80
    jobs = place.json("submit", "--dry-run", "--data", data, ROOT / "sweeps/grid.json")["jobs"]
    assert len(jobs) == 8 and jobs[7]["config"]["batch_size"] == 64
    assert not place.store.exists()


def test_an_existing_sweep_is_said(grid, sweep, data):
    grid.daemon(submit=lambda r: {**stored(r), "name": "grid", "jobs": 8, "existing": True})
    out = grid.run("submit", sweep, "--data", data).stdout
    assert "s1 grid holds these 8 configurations already (4 queued, 1 running, 2 done, 1 failed)" in out
    assert "submit --again" in out


def test_a_lost_answer_is_asked_for_again_with_the_same_id(place, sweep, data):
    answers = iter(["close", {**stored(None)}])
    daemon = place.daemon(submit=lambda r: next(answers))
    assert place.run("submit", "-q", sweep, "--data", data).stdout == "s1\n"
    ids = [r["submission"] for r in daemon.requests if r["verb"] == "submit"]
    assert len(ids) == 2 and ids[0] == ids[1]


def test_a_refusal_keeps_the_daemons_code(place, sweep, data):
    place.daemon(submit=lambda r: {"ok": False, "code": 7, "error": "not your sweep"})
    assert place.run("submit", sweep, "--data", data, code=7).stderr == "error: not your sweep\n"


@pytest.mark.parametrize("args, sentence, code", [
    (["/nowhere.json"], "/nowhere.json", 5),
    (["small.json", "--override", "epochs"], "KEY=VALUE", 2),
    (["small.json", "--data", "/nowhere"], "--data /nowhere", 5),
    (["small.json", "--override", "epochs=many"], "epochs", 5),
])
def test_submit_refuses(place, sweep, data, args, sentence, code):
    args = [str(sweep) if a == "small.json" else a for a in args]
    extra = [] if "--data" in args else ["--data", data]
    assert sentence in place.run("submit", *args, *extra, code=code).stderr


def test_cancel_groups_by_former_state(grid):
    answer = {"ok": True, "jobs": [{"job": 3, "state": "cancelled", "was": "running"},
                                   {"job": 7, "state": "cancelled", "was": "queued"},
                                   {"job": 8, "state": "cancelled", "was": "queued"}]}
    daemon = grid.daemon(cancel=lambda r: answer)
    out = grid.run("cancel", 3, "7-8").stdout
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        "jobs 7-8: cancelled (were queued) undo: sweepctl retry 7-8",
        "job 3: cancelled (was running) undo: sweepctl retry 3"]
    assert daemon.requests[-1] == {"verb": "cancel", "jobs": [3, 7, 8]}


def test_cancel_of_a_sweep_leaves_out_what_is_over(grid):
    daemon = grid.daemon(cancel=lambda r: {"ok": True, "jobs": []})
    grid.run("cancel", "grid")
    assert daemon.requests[-1]["jobs"] == [3, 5, 6, 7, 8]


def test_cancel_mixed_gives_the_highest_code(grid):
    error = "job 1 is done already; nothing was changed"
    grid.daemon(cancel=lambda r: {"ok": False, "code": 6, "error": error,
                                  "jobs": [{"job": 1, "state": "done", "was": "done", "error": error}]})
    done = grid.run("cancel", 1, 99, code=6)
    assert f"error: {error}\n" in done.stderr and "no job 99; the newest is 8" in done.stderr and done.stdout == ""


def test_cancel_says_why_it_takes_long(grid):
    def slow(_request):
        time.sleep(2.3)  # the daemon's answer comes late: that is what is tested
        return {"ok": True, "jobs": [{"job": 3, "state": "cancelled", "was": "running"}]}
    grid.daemon(cancel=slow)
    assert "waiting: the worker was asked to stop" in grid.run("cancel", 3).stderr


def test_list_says_which_daemon(grid):
    grid.daemon()
    assert "private daemon, 1 of 1 device busy" in grid.run("list").stderr


def test_a_silent_daemon_is_exit_3_after_5_seconds(grid):
    grid.daemon(status=lambda r: None)
    start = time.monotonic()
    assert "does not answer" in grid.run("daemon", "status", code=3).stderr
    assert 4.5 < time.monotonic() - start < 9


def test_garbage_from_the_daemon_is_no_crash(grid):
    grid.daemon(status=lambda r: [1, 2])
    assert "no JSON object" in grid.run("daemon", "status", code=7).stderr


FAKE_SWEEPD = """#!/usr/bin/python3
import json, os, socket, sys
fd = int(sys.argv[sys.argv.index("--ready-fd") + 1])
if os.environ.get("FAIL"):
    sys.exit("the lock is held by pid 4711")
server = socket.socket(socket.AF_UNIX)
server.bind(os.environ["SWEEPD_DIR"] + "/control.sock")
server.listen(8)
os.write(fd, b"1")
while True:
    connection, _ = server.accept()
    for line in connection.makefile("rb"):
        request = json.loads(line)
        answer = {"ok": True, "pid": os.getpid(), "started_ms": 0, "devices": [], "sweep": 1, "name": "small",
                  "jobs": 2, "first_job": 1, "last_job": 2, "session": os.getsid(0)}
        connection.sendall(json.dumps(answer).encode() + b"\\n")
        if request["verb"] == "stop":
            os.unlink(os.environ["SWEEPD_DIR"] + "/control.sock")
            sys.exit(0)
"""


@pytest.fixture
def fake_sweepd(place):
    """A directory for PATH with a sweepd that takes requests."""
    directory = place.directory / "bin"
    directory.mkdir()
    program = directory / "sweepd"
    program.write_text(FAKE_SWEEPD)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    # sweepctl looks beside itself first: a copy elsewhere finds only this one
    place.env["PATH"] = f"{directory}:/usr/bin:/bin"
    import conftest
    import shutil
    shutil.copy(conftest.SWEEPCTL, directory / "sweepctl")
    original, conftest.SWEEPCTL = conftest.SWEEPCTL, str(directory / "sweepctl")
    yield place
    place.run("daemon", "stop")
    conftest.SWEEPCTL = original


def test_daemon_start_status_stop(fake_sweepd):
    place = fake_sweepd
    assert "stop: sweepctl daemon stop" in place.run("daemon", "start").stderr
    status = place.json("daemon", "status")
    assert status["session"] == status["pid"] != os.getsid(0)
    assert "runs already" in place.run("daemon", "start").stderr
    assert f"pid {status['pid']}" in place.run("daemon", "status").stdout
    place.run("daemon", "stop")
    try:  # gone, or dead and not collected by whoever adopted it
        assert pathlib.Path(f"/proc/{status['pid']}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        pass
    assert "not running" in place.run("daemon", "stop").stderr


def test_submit_starts_a_private_daemon_and_says_so(fake_sweepd, sweep, data):
    done = fake_sweepd.run("submit", sweep, "--data", data)
    assert "s1 small: 2 jobs queued" in done.stdout
    assert "started one for you" in done.stderr and "sweepctl daemon stop" in done.stderr


def test_a_daemon_that_cannot_start_says_why(fake_sweepd):
    assert "the lock is held by pid 4711" in fake_sweepd.run("daemon", "start", code=3, FAIL="1").stderr


@pytest.mark.parametrize("words, verb, jobs", [
    (["pause", "s1"], "pause", [5, 6, 7, 8]),
    (["pause", "--now", "s1"], "pause", [3, 5, 6, 7, 8]),
    (["pause", "1"], "pause", [1]),
    (["retry", "s1"], "retry", [4]),
    (["priority", "10", "7-8"], "priority", [7, 8]),
])
def test_which_jobs_a_change_is_about(grid, words, verb, jobs):
    daemon = grid.daemon(**{verb: lambda r: {"ok": True, "jobs": [
        {"job": j, "state": "paused", "was": "queued"} for j in r["jobs"]]}})
    out = grid.run(*words).stdout
    assert daemon.requests[-1]["jobs"] == jobs and daemon.requests[-1].get("priority") == (10 if verb == "priority" else None)
    if verb == "pause":
        assert "undo: sweepctl resume " in out


def test_changes_with_nothing_to_change(grid):
    assert "no job is paused" in grid.run("resume", "s1", code=6).stderr
    assert "first a number" in grid.run("priority", "s1", "7", code=2).stderr
    assert "which job" in grid.run("priority", "7", code=2).stderr
