"""Runs the real sweepctl ($SWEEPCTL) against a store made by SQL and, where a daemon is needed, a scripted one."""
import contextlib
import functools
import json
import os
import pathlib
import signal
import socket
import sqlite3
import subprocess
import threading

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
SWEEPCTL = os.environ.get("SWEEPCTL", str(ROOT / "build/ctl/sweepctl"))
T0 = 1_790_000_000_000  # when the prepared sweep was submitted, in ms
GRID = [(m, lr, s) for m in ("resnet18", "resnet50") for lr in (0.1, 0.05) for s in ("StepLR", "ReduceLROnPlateau")]


@functools.cache
def documented_exits():
    """verb -> the codes that --help and the manual say it may end with."""
    lines = subprocess.run([SWEEPCTL, "manual", "exits"], capture_output=True, text=True, check=True).stdout.splitlines()
    return {verb: set(map(int, codes)) for verb, *codes in map(str.split, lines)}


class Daemon:
    """A control socket that answers as `verbs` says: name -> function(request) -> answer, or None to stay silent.
    Every request is kept; `stream` holds the connections that asked for `watch`."""

    def __init__(self, path, verbs):
        self.verbs = {"watch": lambda r: {"ok": True}, **verbs}
        self.requests, self.stream, self.connected = [], [], threading.Event()
        self.path, self.closed = path, False
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen(8)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        for line in connection.makefile("rb"):
            request = json.loads(line)
            self.requests.append(request)
            answer = self.verbs[request["verb"]](request)
            if answer is None:
                continue
            if answer == "close":
                connection.shutdown(socket.SHUT_RDWR)
                return
            connection.sendall(json.dumps(answer).encode() + b"\n")
            if request["verb"] == "watch":
                self.stream.append(connection)
                self.connected.set()
                if self.closed:  # stop() came between the answer and here
                    connection.shutdown(socket.SHUT_RDWR)

    def send(self, **line):
        for connection in self.stream:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has seen the end in the store and left
                connection.sendall(json.dumps(line).encode() + b"\n")

    def stop(self):
        if self.closed:
            return
        self.closed = True
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        os.unlink(self.path)
        for connection in self.stream:
            connection.shutdown(socket.SHUT_RDWR)


class Place:
    """One private sweepd directory."""

    def __init__(self, directory):
        self.directory = directory
        self.daemons = []
        self.env = {
            "PATH": "/usr/bin:/bin", "HOME": str(directory), "SWEEPD_DIR": str(directory), "LANG": "C.UTF-8",
            "TZ": "UTC",
        }

    @property
    def store(self):
        return self.directory / "results.db"

    def run(self, *args, code=0, text=None, cwd=None, **env):
        done = subprocess.run([SWEEPCTL, *map(str, args)], env={**self.env, **env}, input=text, text=True,
                              cwd=cwd, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        verb = next((a for a in map(str, args) if a in documented_exits()), None)
        assert verb is None or code in documented_exits()[verb], f"{verb} is not documented to end with {code}"
        return done

    def json(self, *args, **kw):
        return json.loads(self.run(*args, "--json", **kw).stdout)

    def connect(self):
        """For writing; a test's store need not survive a power cut, and fsync is most of its time."""
        db = sqlite3.connect(self.store)
        db.execute("PRAGMA synchronous = OFF")
        return db

    def sql(self, text, *args):
        with self.connect() as db:
            rows = db.execute(text, args).fetchall()
            if text.startswith(("UPDATE epoch ", "UPDATE sweep SET metric ", "UPDATE sweep SET goal ")):
                self.resum(db)
        db.close()
        return rows

    @staticmethod
    def resum(db):
        """No daemon changes an epoch: the store's sums as if these came in as they are now."""
        epochs = db.execute("SELECT * FROM epoch ORDER BY event").fetchall()
        db.execute("DELETE FROM epoch")
        db.execute("DELETE FROM job_epochs")
        for row in epochs:
            db.execute(f"INSERT INTO epoch VALUES ({', '.join('?' * len(row))})", row)

    def daemon(self, **verbs):
        daemon = Daemon(str(self.directory / "control.sock"), {"status": self.status, **verbs})
        self.daemons.append(daemon)
        return daemon

    @staticmethod
    def status(_request):
        return {"ok": True, "pid": os.getpid(), "version": "0.1.0", "state_dir": "", "started_ms": T0,
                "devices": [{"id": "cpu", "kind": "cpu", "name": "test CPU", "state": "ready", "reason": None,
                             "job": 3}], "stopping": False}

    def make_store(self):
        with self.connect() as db:
            db.execute("PRAGMA journal_mode = WAL")
            for name in ("001-init.sql", "views.sql"):
                db.executescript((ROOT / "schema" / name).read_text())
            db.execute("PRAGMA user_version = 1")
            db.execute("INSERT INTO device (id, kind, name, state) VALUES ('cpu', 'cpu', 'test CPU', 'ready')")
        db.close()

    def add_sweep(self, name="grid", state="active", grid=GRID, epochs=3):
        """A sweep whose jobs are all queued; returns its id."""
        base = {"dataset": "cifar100", "epochs": epochs, "batch_size": 128, "seed": 7, "train_images": 0, "test_images": 0,
                "use_amp": True}
        with self.connect() as db:
            cursor = db.execute(
                "INSERT INTO sweep (name, project, state, metric, goal, swept, base, n_jobs, text, overrides, hash,"
                " retries, owner_uid, submitted_ms) VALUES (?, 'p', ?, 'test_accuracy', 'maximize', ?, ?, ?, '', '[]', 'h',"
                " 2, 0, ?)", (name, state, json.dumps(["model", "lr", "scheduler"]), json.dumps(base), len(grid), T0))
            sweep = cursor.lastrowid
            for position, (model, lr, scheduler) in enumerate(grid):
                swept = {"model": model, "lr": lr, "scheduler": scheduler}
                db.execute("INSERT INTO job (sweep, position, kind, own, swept, state, created_ms) VALUES"
                           " (?, ?, 'train', ?, ?, 'queued', ?)",
                           (sweep, position, json.dumps(swept), json.dumps(swept), T0))
        db.close()
        return sweep

    def attempt(self, job, number=1, state="running", **values):
        """Starts an attempt; the job's own state is the caller's business."""
        columns = {"device": "cpu", "started_ms": T0 + 1000, **values}
        self.sql(f"INSERT INTO attempt (job, number, state, {', '.join(columns)}) VALUES (?, ?, ?"
                 f"{', ?' * len(columns)})", job, number, state, *columns.values())
        return self.sql("SELECT max(id) FROM attempt")[0][0]

    def event(self, job, kind="epoch", attempt=None, at_ms=T0 + 5000):
        self.sql("INSERT INTO event (at_ms, sweep, job, attempt, kind) VALUES (?, (SELECT sweep FROM job WHERE id = ?),"
                 " ?, ?, ?)", at_ms, job, job, attempt, kind)
        return self.sql("SELECT max(id) FROM event")[0][0]

    def epoch(self, job, attempt, epoch, accuracy, seconds=30.0, test_seconds=3.0, **values):
        columns = {"lr": 0.1, "batch_size": 128, "train_loss": 1.0, "train_accuracy": 50.0, "test_loss": 1.5,
                   "test_accuracy": accuracy, "train_seconds": seconds, "test_seconds": test_seconds,
                   "images_per_second": 1234.5, "ram_mib": 655, **values}
        with self.connect() as db:  # one transaction, as the daemon's: a watcher never sees the event without its epoch
            event = db.execute("INSERT INTO event (at_ms, sweep, job, attempt, kind) VALUES (?, (SELECT sweep FROM job"
                               " WHERE id = ?), ?, ?, 'epoch')", (T0 + 5000, job, job, attempt)).lastrowid
            db.execute(f"INSERT INTO epoch (attempt, epoch, job, event, {', '.join(columns)}) VALUES (?, ?, ?, ?"
                       f"{', ?' * len(columns)})", (attempt, epoch, job, event, *columns.values()))
        db.close()
        return event

    def set_state(self, job, state, reason=None, ended_ms=None):
        self.sql("UPDATE job SET state = ?, reason = ?, ended_ms = ? WHERE id = ?", state, reason, ended_ms, job)
        return self.event(job, "state")

    def finish(self, job, accuracies, **kw):
        attempt = self.attempt(job)
        for epoch, accuracy in enumerate(accuracies, 1):
            self.epoch(job, attempt, epoch, accuracy, **kw)
        self.sql("UPDATE attempt SET state = 'done', ended_ms = ? WHERE id = ?", T0 + 200_000, attempt)
        self.set_state(job, "done", None, T0 + 200_000)


@pytest.fixture(autouse=True)
def a_test_ends():
    """What a program never says must fail the test, not stop the run."""
    def late(*_):
        raise TimeoutError("the test took longer than 60 s")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)


@pytest.fixture
def place(tmp_path):
    """A directory without a store."""
    place = Place(tmp_path)
    yield place
    for daemon in place.daemons:
        daemon.stop()


@pytest.fixture
def grid(place):
    """s1 grid: jobs 1 and 2 done, 3 running in its second epoch, 4 failed, the rest queued."""
    place.make_store()
    place.add_sweep()
    place.finish(1, [60.0, 76.5, 75.62])
    place.finish(2, [61.0, 70.0, 75.18], seconds=20.0)
    attempt = place.attempt(3, details=json.dumps({"backend": "cpu", "amp": "bf16", "threads": 2, "batch_size": 128}))
    place.epoch(3, attempt, 1, 40.25)
    place.set_state(3, "running")
    place.attempt(4, state="failed", **{"class": "diverged"}, reason="loss is NaN at epoch 1", ended_ms=T0 + 9000)
    place.set_state(4, "failed", "loss is NaN at epoch 1", T0 + 9000)
    return place
