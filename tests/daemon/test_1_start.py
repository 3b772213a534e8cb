"""Starting and stopping, without a job."""
import os
import socket
import stat
import subprocess

import pytest

from conftest import BUILD, ROOT, SWEEPD


def run(*args):
    return subprocess.run([SWEEPD, *args], text=True, capture_output=True, timeout=20, check=False)


def test_help_comes_from_the_table():
    out = run("--help")
    assert out.returncode == 0
    for option in ("--dir", "--devices", "--worker-program", "--ready-fd", "--drain-ms", "--heartbeat-lost-ms"):
        assert option in out.stdout
    assert run("--version").stdout.startswith("sweepd ")


@pytest.mark.parametrize("args, sentence", [
    (["--devices", "0"], "--devices: expected a whole number from 1 to 64"),
    (["--retry-ms", "1s"], "--retry-ms"),
    (["--log-level", "loud"], "--log-level is error, warn, info or debug"),
    (["--ready-fd", "99"], "--ready-fd 99"),
    (["stray"], "takes no arguments"),
])
def test_wrong_options_are_usage_errors(args, sentence):
    done = run(*args)
    assert done.returncode == 2 and sentence in done.stderr


def test_it_serves_and_ends(sweepd):
    status = sweepd.ask("status")
    assert status["ok"] and status["pid"] == sweepd.process.pid and status["stopping"] is False
    assert status["state_dir"] == str(sweepd.state) and [d["id"] for d in status["devices"]] == ["cpu"]
    sweepd.wait_idle()
    assert sweepd.ask("status")["devices"][0]["name"] == "fake"
    assert sweepd.one("SELECT id, kind, name, state FROM device") == ("cpu", "cpu", "fake", "ready")
    sweepd.stop()
    assert not list(sweepd.state.glob("*.sock"))
    assert sweepd.one("SELECT state, reason FROM worker") == ("gone", "exit status 0")


def test_files_have_the_modes_of_the_design(sweepd):
    modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in sweepd.state.iterdir()}
    assert modes["results.db"] == modes["results.db-wal"] == modes["results.db-shm"] == 0o640
    assert modes["control.sock"] == 0o660 and modes["worker.sock"] == modes["worker.token"] == 0o600
    assert modes["jobs"] == modes["workers"] == 0o750


def test_devices_share_the_cores(place):
    place.start("--devices", 3, "--threads", 1)
    place.wait_idle()
    devices = place.ask("status")["devices"]
    assert [(d["id"], d["threads"]) for d in devices] == [("cpu:0", 1), ("cpu:1", 1), ("cpu:2", 1)]
    assert len(set(place.pids())) == 3
    place.restart()
    place.wait_idle()
    assert place.sql("SELECT id FROM device WHERE state = 'ready'") == [("cpu",)]
    place.stop()


def test_a_stop_by_request(sweepd):
    assert sweepd.ask("stop")["ok"]
    assert sweepd.process.wait(20) == 0


def test_a_second_one_is_refused(sweepd):
    said = sweepd.refused()
    assert f"another sweepd, pid {sweepd.process.pid} works in {sweepd.state}" in said
    assert sweepd.ask("status")["ok"]


def test_what_kill_9_leaves_does_not_hinder(sweepd):
    sweepd.kill()
    assert (sweepd.state / "control.sock").exists()
    sweepd.start()
    sweepd.wait_idle()
    sweepd.stop()


def test_a_socket_path_that_is_too_long(place):
    assert "longer than 107 bytes" in place.refused("--dir", "/tmp/" + "x" * 120)


def test_a_path_that_is_not_utf8(place):
    done = subprocess.run([*place.command("--dir"), os.fsencode(place.dir) + b"/\xff"], env=place.env, timeout=20,
                          capture_output=True, check=False)
    assert done.returncode == 1 and b"is not UTF-8" in done.stderr


def test_no_worker_program(place):
    assert "cannot run /nowhere/worker" in place.refused(worker="/nowhere/worker")


def test_a_worker_program_that_cannot_work(place):
    place.start("--device-faults", 1000, worker="/bin/false")
    place.wait(lambda: place.sql("SELECT 1 FROM worker WHERE state = 'gone' AND reason = 'exit status 1'"))
    place.wait(lambda: place.ask("status")["devices"][0]["state"] == "restarting")
    place.wait(lambda: place.ask("status")["devices"][0]["reason"] == "exit status 1")
    place.stop()


def test_a_newer_database_is_refused(sweepd):
    sweepd.stop()
    subprocess.run(["sqlite3", sweepd.state / "results.db", "PRAGMA user_version = 99"], check=True)
    assert "is of a newer sweepd (schema 99; this one knows 1)" in sweepd.refused()


def test_something_else_than_a_database_is_refused(place):
    (place.state / "results.db").write_text("this is not a database, and long enough to be looked at\n" * 40)
    assert "results.db: file is not a database" in place.refused()


def test_the_service_manager_is_told(place):
    address = place.dir / "notify.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.settimeout(20)
        s.bind(str(address))
        place.start(env={"NOTIFY_SOCKET": str(address)})
        assert s.recv(100) == b"READY=1"
        place.stop()
        assert s.recv(100) == b"STOPPING=1"


def test_the_unit_is_sound(tmp_path):
    """systemd-analyze also looks for the program it names."""
    text = (BUILD / "systemd/sweepd.service").read_text()
    program = next(line for line in text.splitlines() if line.startswith("ExecStart=")).split("=")[1]
    assert program.endswith("/bin/sweepd") and "@bindir@" not in text and "@docdir@" not in text
    unit = tmp_path / "sweepd.service"
    unit.write_text(text.replace(program, str(SWEEPD)))
    readme = next(line for line in text.splitlines() if line.startswith("Documentation="))
    assert readme.startswith("Documentation=file:///")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    users = (ROOT / "systemd/sweepd.sysusers").read_text().splitlines()
    assert [line for line in users if line.startswith("u sweepd ")]
