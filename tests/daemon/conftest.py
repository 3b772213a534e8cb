"""Runs the real sweepd ($SWEEPD_BUILD/daemon/sweepd) with a scripted worker (fake_worker.py) in a directory of its own.

Nothing here sleeps for a fixed time: `wait` follows the daemon's own watch stream, the rest waits for pidfds, FIFOs and
file contents with a deadline.  Whatever a test leaves behind is killed; the daemon's log is printed when it fails."""
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SWEEPD_BUILD", ROOT / "build-tests"))
PLAIN = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", BUILD))
SWEEPD, SWEEPCTL, WORKER = BUILD / "daemon/sweepd", BUILD / "ctl/sweepctl", PLAIN / "worker/sweep-worker"
FAKE_WORKER = pathlib.Path(__file__).with_name("fake_worker.py")
DEADLINE_S = 20
FAST = ["--retry-ms", "1", "--ask-ms", "1000", "--drain-ms", "5000"]


def leaks_can_be_found():
    """LeakSanitizer needs ptrace, which a container may refuse."""
    env = {**os.environ, "ASAN_OPTIONS": "detect_leaks=1"}
    return subprocess.run([SWEEPD, "--version"], env=env, capture_output=True, check=False).returncode == 0


ASAN = "detect_leaks=1" if leaks_can_be_found() else "detect_leaks=0:abort_on_error=1"


class Connection:
    """One connection to the control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else json.dumps(data).encode() + b"\n")

    def receive(self):
        """The next line's object, or None at the end of the stream."""
        try:
            line = self.file.readline()
        except ConnectionResetError:
            return None
        return json.loads(line) if line else None

    def ask(self, verb, **members):
        self.send({"verb": verb, **members})
        return self.receive()

    def close(self):
        self.file.close()
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def wait_until(condition, what):
    """For what has no event to wait for: a file another process writes."""
    end = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
        select.select([], [], [], 0.01)
    return value


def open_files(pid):
    """What a process has open now; a descriptor may go while one looks."""
    paths = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            paths.append(os.readlink(link))
    return paths


class Sweepd:
    def __init__(self, directory):
        self.dir = directory
        self.state = directory / "state"
        self.fake = directory / "fake"
        self.fake.mkdir()
        self.state.mkdir(mode=0o750)
        self.log_path = directory / "sweepd.log"
        self.process, self.held = None, []
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "LANG": "C.UTF-8", "FAKE": str(self.fake),
                    "SWEEPD_DIR": str(self.state), "ASAN_OPTIONS": ASAN,
                    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}

    # --- its life ---

    def command(self, *options, worker=FAKE_WORKER):
        return [SWEEPD, "--worker-program", worker, *FAST, *map(str, options)]

    def start(self, *options, worker=FAKE_WORKER, env=None, popen=None):
        ready, theirs = os.pipe()
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command(*options, "--ready-fd", theirs, worker=worker),
                                            pass_fds=[theirs], env={**self.env, **(env or {})},
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, **(popen or {}))
        os.close(theirs)
        readable, _, _ = select.select([ready], [], [], DEADLINE_S)
        byte = os.read(ready, 1) if readable else b""
        os.close(ready)
        assert byte == b"1", "sweepd did not start"
        return self

    def refused(self, *options, worker=FAKE_WORKER, env=None):
        """Starts one that must not start; what it said."""
        done = subprocess.run(self.command(*options, worker=worker), env={**self.env, **(env or {})}, text=True,
                              capture_output=True, timeout=DEADLINE_S, check=False)
        assert done.returncode == 1, (done.returncode, done.stderr)
        return done.stderr

    def stop(self, number=signal.SIGTERM):
        """Asks it to end and waits; with leaks or another sanitizer's finding the code is not 0."""
        self.process.send_signal(number)
        assert self.process.wait(DEADLINE_S) == 0
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.process = None

    def restart(self, *options):
        self.stop()
        return self.start(*options)

    def log(self):
        return self.log_path.read_text() if self.log_path.exists() else ""

    def wait_log(self, text):
        """A line is written after what it tells of can be seen."""
        return wait_until(lambda: text in self.log(), f"the log to say {text!r}")

    def alive(self):
        return self.process.poll() is None

    # --- asking it ---

    def connect(self):
        return Connection(self.state / "control.sock")

    def ask(self, verb, **members):
        with self.connect() as c:
            return c.ask(verb, **members)

    def ctl(self, *args, code=0):
        done = subprocess.run([SWEEPCTL, *map(str, args)], env=self.env, text=True, capture_output=True,
                              timeout=DEADLINE_S, check=False)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    def submit(self, n=1, epochs=3, retries=2, again=True, code=None, resources=None, **members):
        """A sweep of n jobs; the id of its first job, or with `code` the refusal."""
        text = json.dumps({"name": "tiny", "method": "grid", "parameters": {"seed": {"values": list(range(n))}},
                           "defaults": {"epochs": epochs}, "resources": {"retries": retries, **(resources or {})}})
        answer = self.ask("submit", **{"text": text, "file_name": "s.json", "again": again, **members})
        assert answer["ok"] is (code is None) and answer.get("code") == code, answer
        return answer["first_job"] if code is None else answer

    # --- what is stored ---

    def sql(self, text, *args):
        with contextlib.closing(sqlite3.connect(f"file:{self.state}/results.db?mode=ro", uri=True)) as db:
            return db.execute(text, args).fetchall()

    def one(self, text, *args):
        rows = self.sql(text, *args)
        assert len(rows) == 1, rows
        return rows[0]

    def state_of(self, job):
        return self.one("SELECT state FROM job WHERE id = ?", job)[0]

    def reason_of(self, job):
        return self.one("SELECT reason FROM job WHERE id = ?", job)[0]

    def attempts(self, job):
        return [row[0] for row in self.sql("SELECT state FROM attempt WHERE job = ? ORDER BY id", job)]

    def epochs(self, job):
        return [row[0] for row in self.sql("SELECT epoch FROM epoch WHERE job = ? ORDER BY attempt, epoch", job)]

    def wait(self, condition, what="a state"):
        """Until condition() is true: asked after each word of the daemon, and for what it says no word of (a worker
        has connected) every 50 ms."""
        end = time.monotonic() + DEADLINE_S
        with self.connect() as c:
            assert c.ask("watch")["ok"]
            while not (value := condition()):
                assert time.monotonic() < end, f"waited {DEADLINE_S} s for {what}"
                readable, _, _ = select.select([c.socket], [], [], 0.05)
                assert not readable or c.receive() is not None, f"sweepd ended before {what}"
        return value

    def wait_state(self, job, *states):
        self.wait(lambda: self.state_of(job) in states, f"job {job} to be {' or '.join(states)}")

    # --- its workers ---

    def script(self, jobs=None, **members):
        """jobs: {job: [actions of the first attempt, of the second, ...]}; "wait" actions get their FIFOs."""
        for attempts in (jobs or {}).values():
            for verb, *arguments in (action for actions in attempts for action in actions):
                if verb == "wait" and not (self.fake / arguments[0]).exists():
                    os.mkfifo(self.fake / arguments[0])
        text = json.dumps({"jobs": jobs or {}, **members})
        (self.fake / "new.json").write_text(text)
        (self.fake / "new.json").rename(self.fake / "script.json")

    def go(self, name):
        """Lets a ["wait", name] go on."""
        fd = os.open(self.fake / name, os.O_RDWR | os.O_NONBLOCK)
        os.write(fd, b"1")
        self.held.append(fd)  # a FIFO without readers and writers forgets its bytes

    def received(self):
        path = self.fake / "received.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def wait_received(self, **members):
        def find():
            return [m for m in self.received() if members.items() <= m.items()]
        return wait_until(find, f"a worker to be told {members}")

    def pids(self):
        path = self.fake / "pids"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def wait_idle(self):
        """A worker is connected and has nothing to do."""
        def idle():
            return all(d["state"] == "ready" and d["job"] is None for d in self.ask("status")["devices"])
        self.wait(idle, "an idle worker")

    def worker_pid(self):
        return self.one("SELECT pid FROM worker WHERE state <> 'gone'")[0]

    def end(self):
        for fd in self.held:
            os.close(fd)
        if self.process:
            self.process.kill()
            self.process.wait()
        for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):  # every worker names its socket
            with contextlib.suppress(OSError):
                if os.fsencode(self.state) + b"/worker.sock" in path.read_bytes():
                    os.kill(int(path.parent.name), signal.SIGKILL)


def is_running(pid):
    """Not gone, and not a dead child that nobody has collected."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_dead(pid):
    wait_until(lambda: not is_running(pid), f"process {pid} to end")


@pytest.fixture
def place():
    """A sweepd that has not been started; in a short path that other users may enter."""
    directory = pathlib.Path(tempfile.mkdtemp(prefix="sweepd-"))
    directory.chmod(0o755)
    sweepd = Sweepd(directory)
    yield sweepd
    print(sweepd.log())
    for log in sorted((sweepd.state / "workers").glob("*.log")):
        print(f"--- {log.name}\n{log.read_text()}")
    sweepd.end()
    shutil.rmtree(directory)


@pytest.fixture
def sweepd(place):
    return place.start()
