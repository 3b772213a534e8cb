#!/usr/bin/python3
"""What happens to sweepd.service under a real systemd (run by boot.sh): crash, restart, stop, memory.  Prints `ok WHAT`
line by line, and `end` when all went well; an exception otherwise."""
import base64
import fcntl
import http.server
import json
import os
import pathlib
import random
import select
import signal
import sqlite3
import struct
import subprocess
import threading
import time

STATE = pathlib.Path("/var/lib/sweepd")


def run(*args, code=0):
    done = subprocess.run(args, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
    return done.stdout


def show(name):
    return run("systemctl", "show", "-P", name, "sweepd").strip()


def wait(condition, what, seconds=40):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"waited for {what}\n{journal()}"
        select.select([], [], [], 0.05)
    return value


def journal():
    return subprocess.run(["journalctl", "-u", "sweepd", "--no-pager", "-n", "60"], text=True, capture_output=True,
                          check=False).stdout


def sql(text):
    db = sqlite3.connect(f"file:{STATE}/results.db?mode=ro", uri=True)
    rows = db.execute(text).fetchall()
    db.close()
    return rows


def alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def worker():
    """The pid of the one that is connected and alive."""
    rows = sql("SELECT pid FROM worker WHERE state = 'ready'")
    return rows[0][0] if len(rows) == 1 and alive(rows[0][0]) else None


def score(pid):
    return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text())


def main_pid():
    return int(show("MainPID"))


def serves():
    done = subprocess.run(["sweepctl", "daemon", "status"], capture_output=True, check=False)
    return done.returncode == 0


def submit(name, **config):
    text = {"name": name, "parameters": {"seed": {"value": 1}},
            "defaults": {"model": "resnet8", "dataset": "mnist", "batch_size": 16, "num_workers": 0, **config}}
    path = pathlib.Path(f"/tmp/{name}.json")
    path.write_text(json.dumps(text))
    return json.loads(run("sweepctl", "submit", "--json", "--again", str(path)))["first_job"]


def write_images():
    pixels, directory = random.Random(0), STATE / "datasets/mnist"
    directory.mkdir(parents=True)
    for name, n in (("train", 4000), ("t10k", 16)):
        (directory / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">IIII", 0x803, n, 28, 28) + pixels.randbytes(n * 784))
        (directory / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, n) + pixels.randbytes(n).translate(
            bytes(i % 10 for i in range(256))))


def trains(job):
    return sql(f"SELECT 1 FROM attempt WHERE job = {job} AND state = 'running' AND last_seq > 0")


def ok(what):
    print("ok", what, flush=True)


run("systemd-sysusers")
run("systemctl", "daemon-reload")
run("systemctl", "start", "sweepd")  # Type=notify: it serves when this returns
assert serves()
write_images()
ok("start")

job = submit("long", epochs=100000)
wait(lambda: trains(job), "training in the sandbox")
ok("training in the sandbox, generated code too")

# Locks of GPUs: the same file inside the sandbox, as the unit's user, and outside.
user = STATE.stat()
inside = ["nsenter", "-t", str(main_pid()), "-m", "-r", "setpriv", f"--reuid={user.st_uid}", f"--regid={user.st_gid}",
          "--clear-groups"]
run(*inside, "sh", "-c", "umask 0027; set -C; : > /run/lock/sweepd-aa.lock && chmod 0444 /run/lock/sweepd-aa.lock")
with open("/run/lock/sweepd-aa.lock", encoding="utf-8") as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    run(*inside, "flock", "-n", "/run/lock/sweepd-aa.lock", "true", code=1)
run(*inside, "flock", "-n", "/run/lock/sweepd-aa.lock", "true")
ok("locks of GPUs are the same inside and outside")

first, pid = main_pid(), wait(worker, "a worker")
os.kill(first, signal.SIGKILL)
wait(lambda: main_pid() not in (0, first) and serves(), "the restart after a crash")
assert worker() == pid and trains(job) and sql("SELECT count(*) FROM attempt") == [(1,)], journal()
assert pathlib.Path(f"/proc/{pid}/cgroup").read_text().count("sweepd.service") > 0
ok("crash: systemd restarts sweepd, its worker trains on")

first = main_pid()
run("sweepctl", "daemon", "restart")
wait(lambda: main_pid() not in (0, first) and serves(), "the restart that was asked for")
assert worker() == pid and sql("SELECT count(*) FROM attempt") == [(1,)] and show("Result") == "success"
ok("sweepctl daemon restart: another sweepd, the same worker")

run("systemctl", "restart", "sweepd")
assert serves() and not alive(pid)
wait(lambda: trains(job), "the job to go on")
assert sql("SELECT state FROM attempt ORDER BY id") == [("released",), ("running",)], journal()
ok("systemctl restart: checkpoint, released, goes on")

# As when memory is short: the kernel shall take the worker; another process in the group makes it short.
pid, first = wait(worker, "a worker"), main_pid()
VERSION_1 = pathlib.Path("/sys/fs/cgroup/memory")
group = (VERSION_1 if VERSION_1.exists() else VERSION_1.parent) / show("ControlGroup").lstrip("/")
limit, used, none = (("memory.limit_in_bytes", "memory.usage_in_bytes", "-1") if VERSION_1.exists() else
                     ("memory.max", "memory.current", "max"))
assert score(pid) == 0 and score(first) in (-500, 0)  # 0: this machine does not let systemd lower it
pathlib.Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
hog = subprocess.Popen(["/usr/bin/python3", "-c", "input(); hog = bytearray(512 << 20)\nfor i in range(0, len(hog), 4096):"
                        " hog[i] = 1\ninput()"], stdin=subprocess.PIPE, text=True)
(group / "cgroup.procs").write_text(str(hog.pid))
(group / limit).write_text(str(int((group / used).read_text()) + (16 << 20)))
hog.stdin.write("go\n")
hog.stdin.flush()
wait(lambda: not alive(pid), "the kernel to kill the worker")
hog.kill()
hog.wait()
(group / limit).write_text(none)
wait(lambda: worker() not in (None, pid) and trains(job), "another worker")
assert main_pid() == first and serves() and show("ActiveState") == "active", journal()
assert "memory" in sql("SELECT reason FROM attempt WHERE state = 'lost' ORDER BY id DESC")[0][0]
ok("a worker killed for memory: the unit stays, the job goes on")

pid = wait(worker, "a worker")
run("systemctl", "stop", "sweepd")
assert show("ActiveState") == "inactive" and show("Result") == "success", journal()
assert not alive(pid) and sql("SELECT 1 FROM attempt WHERE state = 'running'") == []
assert sql(f"SELECT state FROM job WHERE id = {job}") == [("queued",)]
left = [p.parent.name for p in pathlib.Path("/proc").glob("[0-9]*/cmdline") if b"sweep" in p.read_bytes() and b"live" not in p.read_bytes()]
assert not left, left
assert not os.path.exists("/run/sweepd"), "a stop removes the runtime directory"
ok("stop: everything has ended, the job waits")

run("systemctl", "start", "sweepd")
wait(lambda: trains(job), "the job to go on")
run("sweepctl", "cancel", str(job))
assert "all well" in run("sweepctl", "db", "check")
ok("start again: it goes on, the database holds together")


# sweep-forward.service: another user, who reads the store and reports, with the network and a credential.
class Wandb(http.server.BaseHTTPRequestHandler):
    """As much of W&B as one run needs; keeps what it was told."""
    lines, keys, ended, files = [], set(), [], set()
    answers = {"Viewer": {"viewer": {"id": "u", "entity": "me", "username": "me"}},
               "UpsertBucket": {"upsertBucket": {"bucket": {"id": "b", "name": "r", "sweepName": None, "project": {
                   "name": "p", "entity": {"name": "me"}}}, "inserted": True}}}

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.keys.add(base64.b64decode(self.headers["Authorization"].split()[1]).decode())
        self.lines.extend(body.get("files", {}).get("wandb-history.jsonl", {}).get("content", []))
        self.ended.extend([body["exitcode"]] if body.get("complete") else [])
        if body.get("operationName") == "CreateRunFiles":  # the run ends without files
            self.files.update(body["variables"]["files"])
            return self.answer(410, {"error": "no files here"})
        return self.answer(200, {"data": self.answers[body["operationName"]]} if "query" in body else {})

    def answer(self, status, what):
        data = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


key = "k" * 40
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Wandb)
threading.Thread(target=server.serve_forever, daemon=True).start()
pathlib.Path("/etc/credstore").mkdir(mode=0o700, exist_ok=True)
pathlib.Path("/etc/credstore/wandb_api_key").write_text(key + "\n")
pathlib.Path("/etc/credstore/wandb_api_key").chmod(0o600)
drop_in = pathlib.Path("/run/systemd/system/sweep-forward.service.d")
drop_in.mkdir(parents=True)
(drop_in / "test.conf").write_text(f"[Service]\nEnvironment=WANDB_BASE_URL=http://127.0.0.1:{server.server_port}\n")
run("systemctl", "daemon-reload")
run("systemctl", "start", "sweep-forward")
job = submit("sent", epochs=2, train_images=32, use_wandb=True)


def forward_journal():
    return subprocess.run(["journalctl", "-u", "sweep-forward", "--no-pager", "-n", "60"], text=True, capture_output=True,
                          check=False).stdout


def is_sent():
    return sql(f"SELECT 1 FROM wandb_run WHERE job = {job} AND phase = 'finished'")


try:
    wait(is_sent, "the run to be sent")
except AssertionError as e:
    raise AssertionError(f"{e}\n{forward_journal()}\n{sql('SELECT * FROM wandb_sweep')}") from e
assert Wandb.keys == {f"api:{key}"} and Wandb.ended == [0] and len(Wandb.lines) == 2, (Wandb.ended, Wandb.lines)
assert "media/images/confusion_matrix.png" in Wandb.files, "it does not read the job's directory"
pid = int(run("systemctl", "show", "-P", "MainPID", "sweep-forward").strip())
assert os.stat(f"/proc/{pid}").st_uid not in (0, user.st_uid)
assert os.stat(f"/proc/{pid}").st_uid not in {p.stat().st_uid for p in STATE.rglob("*")}, "it has written to the store"
assert json.loads(run("sweepctl", "show", "--json", str(job)))[0]["wandb"]["phase"] == "finished"
ok("sweep-forward.service: reads as a member of the group, reports, and has the credential")
run("systemctl", "stop", "sweep-forward")
run("systemctl", "stop", "sweepd")
print("end", flush=True)
