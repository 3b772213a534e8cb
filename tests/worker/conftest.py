"""Runs the real sweep-worker of $SWEEPD_PLAIN_BUILD: by hand (Run) or under a scripted daemon (Daemon)."""
import json
import os
import pathlib
import resource
import socket
import struct
import subprocess

import pytest

BUILD = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", os.environ.get("SWEEPD_BUILD", "build")))
WORKER = str((BUILD / "worker" / "sweep-worker").resolve())
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
TIMEOUT_S = 120  # of anything that is waited for

CONFIG = {  # the last batches of both splits are smaller than the others
    "model": "resnet18", "dataset": "fashion-mnist", "train_images": 56, "test_images": 20, "epochs": 2,
    "batch_size": 16, "lr": 0.02, "scheduler": "StepLR", "step_size": 1, "num_workers": 2, "seed": 5,
    "checkpoint_interval_s": 1000, "use_amp": False,
}

needs_data = pytest.mark.skipif(not FASHION.exists(), reason="dataset-fashion-mnist is not installed")


def pytest_report_header(config):
    return f"sweep-worker: {WORKER}"


class Run:
    """Configuration `config` in the directory tmp/name."""

    def __init__(self, tmp, config=CONFIG, name="run"):
        self.dir = tmp / name
        self.config = tmp / f"{name}.json"
        self.config.write_text(json.dumps(config))

    def start(self, *options, **popen):
        command = [WORKER, "--standalone", "--config", str(self.config), "--dir", str(self.dir), *options]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **popen)

    def finish(self, *options, **popen):
        """Exit code, events, stderr."""
        with self.start(*options, **popen) as process:
            out, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, [json.loads(line) for line in out.splitlines()], err

    def until(self, wanted, action, *options):
        """Starts, does action(process) at the first event that is wanted; the events up to its end, and its exit code."""
        events, acted = [], False
        with self.start(*options) as process:
            for line in process.stdout:
                events.append(json.loads(line))
                if not acted and wanted(events[-1]):
                    action(process)
                    acted = True
        assert acted, events
        return events, process.returncode

    def weights(self, name="final"):
        return tensors(self.dir / f"{name}.safetensors")

    def log(self):
        return (self.dir / "log.txt").read_text()


def limit_files(size):
    """A preexec_fn after which no file grows beyond size, as on a full disk."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def only_started(tmp):
    """A size limit for an event file that leaves room for the first event, but not for a second."""
    run = Run(tmp, dict(CONFIG, train_images=32), name="measured")
    run.until(lambda e: e["type"] == "started", lambda process: process.kill())
    return len((run.dir / "events.1.jsonl").read_bytes().splitlines()[0]) + 20


def tensors(path):
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__")
    data = raw[8 + size:]
    return {name: (t["dtype"], t["shape"], data[slice(*t["data_offsets"])]) for name, t in header.items()}


def types(events):
    """Of all events but telemetry, which comes when its time has come and once before the end, and an epoch's metrics."""
    return [e["type"] for e in events if e["type"] not in ("telemetry", "metric")]


def epochs(events):
    """What must not depend on the machine's mood."""
    keys = ("epoch", "lr", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return [{key: e[key] for key in keys} for e in events if e["type"] == "epoch"]


@pytest.fixture(scope="session", params=["fp32", "bf16"])
def undisturbed(request, tmp_path_factory):
    """(configuration, events, final weights) of a run nobody disturbed."""
    if not FASHION.exists():
        pytest.skip("dataset-fashion-mnist is not installed")
    config = dict(CONFIG, use_amp=request.param == "bf16")
    run = Run(tmp_path_factory.mktemp("undisturbed"), config)
    code, events, err = run.finish()
    assert code == 0, err
    if events[0]["amp"] != request.param:
        pytest.skip("this processor has no bf16")
    return config, events, run.weights()


class Daemon:
    """Listens on a socket and starts one worker that connects to it."""

    def __init__(self, tmp, *options, **popen):
        self.tmp, self.path, self.connection = tmp, str(tmp / "w.sock"), None
        self.listen()
        (tmp / "token").write_text("secret\n")
        command = [WORKER, "--socket", self.path, "--token-file", str(tmp / "token"), "--worker", "3", *options]
        self.worker = subprocess.Popen(command, stderr=open(tmp / "stderr", "w"), **popen)

    def listen(self):
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(self.path)
        self.server.listen(4)
        self.server.settimeout(TIMEOUT_S)

    def accept(self):
        """Takes the next connection; its hello."""
        self.hang_up()
        self.connection, _ = self.server.accept()
        self.connection.settimeout(TIMEOUT_S)
        self.lines = self.connection.makefile("r")
        hello = json.loads(self.lines.readline())
        assert hello["type"] == "hello"
        return hello

    def hang_up(self):
        if self.connection:
            self.lines.close()
            self.connection.close()
        self.connection = None

    def go_away(self):
        self.hang_up()
        self.server.close()
        os.unlink(self.path)

    def send(self, type, **members):
        self.connection.sendall((json.dumps({"type": type, **members}) + "\n").encode())

    def run(self, attempt=1, resume=False, **config):
        job_dir = self.tmp / "job"
        job_dir.mkdir(exist_ok=True)
        self.send("run", attempt=attempt, job=5, job_dir=str(job_dir), data_dir=None, resume=resume,
                  config={**CONFIG, "train_images": 32, "epochs": 1, **config})
        return job_dir

    def until(self, wanted):
        """The durable events up to the first line (of any kind) that is wanted, and that line."""
        events = []
        for line in self.lines:
            message = json.loads(line)
            if "seq" in message:
                events.append(message)
            if wanted(message):
                return events, message
        raise AssertionError(f"the worker hung up after {events}: {self.said()}")

    def said(self):
        return (self.tmp / "stderr").read_text()

    def end(self):
        """The worker's exit code, once it ends by itself."""
        return self.worker.wait(timeout=TIMEOUT_S)

    def close(self):
        self.hang_up()
        self.server.close()
        self.worker.kill()
        self.worker.wait()


@pytest.fixture
def daemon(tmp_path):
    """daemon(*options, **popen) starts a worker under a scripted daemon, killed at the end of the test."""
    started = []

    def start(*options, **popen):
        started.append(Daemon(tmp_path, *options, **popen))
        return started[-1]

    yield start
    for d in started:
        d.close()
