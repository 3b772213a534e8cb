"""The control socket: what it is sent is bounded and checked (invariant 9), who may change what."""
import json
import os
import shutil
import socket
import subprocess

import pytest

from conftest import SWEEPCTL, SWEEPD, WORKER, Connection, wait_until

ROOT_ONLY = pytest.mark.skipif(os.getuid() != 0, reason="needs other uids: root")
NOBODY, STRANGER = 65534, 65533


@pytest.mark.parametrize("line", [
    b"garbage\n", b"\n", b"\0\n", b"{\"verb\":\"status\0\"}\n", b"\xff\xfe\n", b'{"verb": "\xc3\x28"}\n', b"[]\n", b"5\n",
    b'"status"\n', b"[" * 100000 + b"\n", b'{"a":' * 3000 + b"1" + b"}" * 3000 + b"\n", b'{"verb":"status","verb":"stop"}\n',
    b'{"verb":"\\u0000"}\n', b'{"verb":"status"', b'{"verb":"submit"}\n', b'{"verb":"cancel"}\n',
    b'{"verb":"cancel","jobs":["1"]}\n', b'{"verb":"cancel","jobs":[1.5]}\n', b'{"verb":"cancel","jobs":{"a":1}}\n',
    b'{"verb":"cancel","jobs":[99999999999999999999]}\n', b'{"verb":"submit","text":null}\n', b"x" * (5 << 20),
])
def test_a_bad_request_costs_its_connection(sweepd, line):
    with sweepd.connect() as c:
        try:
            c.send(line)
            c.socket.shutdown(socket.SHUT_WR)
        except OSError:  # it did not wait for the end of too long a line
            pass
        answer = c.receive()
        assert answer is None or (answer["ok"] is False and answer["code"] == 2 and c.receive() is None)
    sweepd.submit(n=1)
    sweepd.stop()


def test_an_unknown_verb_is_refused_and_the_connection_stays(sweepd):
    with sweepd.connect() as c:
        for verb in ("explode", "", "ä" * 100):
            assert c.ask(verb)["code"] == 2
        assert c.ask("status", more={"un": "known"})["ok"]


def test_several_requests_on_one_connection(sweepd):
    with sweepd.connect() as c:
        c.send(b'{"verb":"status"}\n{"verb":"status"}\n{"ve')
        assert c.receive()["ok"] and c.receive()["ok"]
        c.send(b'rb":"status"}\n')
        assert c.receive()["ok"]


def test_one_request_at_a_time(sweepd):
    text = json.dumps({"parameters": {"seed": {"values": [1]}}})
    with sweepd.connect() as c:
        c.send(b"".join(json.dumps({"verb": "submit", "text": text, "again": True}).encode() + b"\n" for _ in range(3)))
        answers = [c.receive() for _ in range(3)]
    assert sorted(a["ok"] for a in answers) == [False, False, True]
    assert "one request at a time" in next(a for a in answers if not a["ok"])["error"]


def test_a_client_that_goes_before_its_answer_keeps_its_sweep(sweepd):
    text = json.dumps({"parameters": {"seed": {"values": list(range(1500))}}})
    with sweepd.connect() as c:
        c.send({"verb": "submit", "text": text})
    sweepd.wait(lambda: sweepd.sql("SELECT 1 FROM sweep WHERE state = 'active'"))
    assert sweepd.one("SELECT n_jobs, owner_uid FROM sweep") == (1500, os.getuid())


def test_a_watcher_that_does_not_read_is_dropped(sweepd):
    sweepd.script({1: [[["progress"]] * 12000 + [["train"]]]})
    slow = sweepd.connect()
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    assert slow.ask("watch")["ok"]
    job = sweepd.submit(epochs=1)
    wait_until(lambda: sweepd.state_of(job) == "done", "the job's end")
    sweepd.wait_log("does not read what it asked for")
    slow.close()
    sweepd.stop()


def test_watch_asked_for_again_and_again_without_reading(sweepd):
    with sweepd.connect() as c:
        c.socket.setblocking(False)
        line = b'{"verb":"watch"}\n' * 1000
        try:
            while True:
                if not c.socket.send(line):
                    break
        except OSError:
            pass
        sweepd.wait(lambda: sweepd.ask("status")["ok"])
    sweepd.submit()
    sweepd.stop()


def test_more_connections_than_there_is_room_for(sweepd):
    connections, answered = [], 0
    for _ in range(300):
        connections.append(sweepd.connect())
        try:
            answered += connections[-1].ask("status") is not None
        except OSError:
            pass
    assert answered == 256
    for c in connections:
        c.close()
    wait_until(lambda: sweepd.ask("status"), "room")
    sweepd.stop()


# --- who may ---

ASK = """
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(sys.argv[2].encode() + b"\\n")
print(s.makefile().readline())
"""


def ask_as(sweepd, uid, verb, gid=0, **members):
    done = subprocess.run(["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "/usr/bin/python3", "-c", ASK,
                           str(sweepd.state / "control.sock"), json.dumps({"verb": verb, **members})],
                          text=True, capture_output=True, check=False)
    return json.loads(done.stdout) if done.returncode == 0 else done.stderr


@ROOT_ONLY
def test_who_is_not_in_the_group_is_not_heard(sweepd):
    assert "PermissionError" in ask_as(sweepd, NOBODY, "status", gid=NOBODY)


@ROOT_ONLY
def test_a_member_reads_and_changes_only_what_is_his(sweepd):
    sweepd.script({1: [[["wait", "never"]]]})
    job = sweepd.submit(n=2)
    sweepd.wait_state(job, "running")
    assert ask_as(sweepd, NOBODY, "status")["ok"]
    answer = ask_as(sweepd, NOBODY, "cancel", jobs=[job])
    assert answer["code"] == 7 and answer["error"] == f"job {job} belongs to uid 0"
    assert ask_as(sweepd, NOBODY, "stop")["code"] == 7
    assert sweepd.state_of(job) == "running" and sweepd.alive()
    text = json.dumps({"parameters": {"seed": {"value": 1}}})
    his = ask_as(sweepd, NOBODY, "submit", text=text)
    assert his["ok"] and sweepd.one("SELECT owner_uid FROM sweep WHERE id = ?", his["sweep"]) == (NOBODY,)
    assert ask_as(sweepd, STRANGER, "cancel", jobs=[his["first_job"]])["code"] == 7
    assert ask_as(sweepd, NOBODY, "cancel", jobs=[his["first_job"]])["ok"]
    again = ask_as(sweepd, STRANGER, "submit", text=text)
    assert again["existing"] is False  # the same configurations of somebody else are another sweep
    assert sweepd.ask("cancel", sweep=again["sweep"])["ok"]  # root may


@ROOT_ONLY
def test_another_uid_is_no_worker(sweepd):
    (sweepd.state / "worker.sock").chmod(0o666)
    hello = {"protocol": 1, "worker": 1, "token": (sweepd.state / "worker.token").read_text().strip(), "type": "hello"}
    script = ASK.replace("sys.argv[2]", repr(json.dumps(hello)))
    done = subprocess.run(["setpriv", f"--reuid={NOBODY}", "--regid=0", "--clear-groups", "/usr/bin/python3", "-c", script,
                           str(sweepd.state / "worker.sock")], text=True, capture_output=True, check=True)
    assert done.stdout == "\n"
    sweepd.wait_log("wrong uid or token")


@ROOT_ONLY
def test_a_daemon_of_a_plain_user(place):
    """With XDG directories, as sweepctl starts it."""
    home = place.dir / "home"
    home.mkdir()
    os.chown(home, NOBODY, NOBODY)
    programs = place.dir / "bin"  # the build may lie where only its owner can look
    programs.mkdir()
    for program in (SWEEPCTL, SWEEPD, WORKER):
        shutil.copy(program, programs)
    env = {**place.env, "HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    del env["SWEEPD_DIR"]
    def ctl(*args):
        return subprocess.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
                               programs / "sweepctl", *args],
                              env=env, text=True, capture_output=True, check=False)
    assert ctl("daemon", "start").returncode == 0
    with Connection(home / "sweepd/control.sock") as c:
        status = c.ask("status")
    assert status["state_dir"] == str(home / ".local/share/sweepd")
    assert (home / "sweepd").stat().st_mode & 0o777 == 0o700
    assert ctl("daemon", "stop").returncode == 0
