#!/usr/bin/python3 -SE
"""A sweep-worker that does what a script says: $FAKE/script.json, read at every job.

    {"jobs": {"1": [[ACTION, ...], [ACTION, ...]]},   actions of job 1's first, second ... attempt
     "devices": {"cpu:0": [ACTION, ...]},              actions of every attempt on that device
     "pace_s": 0.02,                                   how long an epoch takes
     "hello": {"token": "bad"},                        members of hello that differ
     "found": {...}, "find": "hang"}                   the answer to --devices, see say_devices()

Without a script for an attempt it trains: the epochs that are left, then done.  An action is a list of a verb and its
arguments (the methods do_*).  ["wait", NAME] goes on when a byte is written to the FIFO $FAKE/NAME; until then, and
between jobs, messages are heeded.  What it was told is appended to $FAKE/received.jsonl, its pid to $FAKE/pids.
"""
import json
import os
import select
import signal
import socket
import sys
import time

FAKE = os.environ["FAKE"]
OPTIONS = dict(zip(sys.argv[1::2], sys.argv[2::2]))
HEARTBEAT_S = 0.1


def note(name, text):
    fd = os.open(f"{FAKE}/{name}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(fd, text.encode() + b"\n")
    os.close(fd)


def script():
    try:
        with open(f"{FAKE}/script.json", encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


class Job:
    def __init__(self, run):
        self.attempt, self.number, self.dir, self.config = run["attempt"], run["job"], run["job_dir"], run["config"]
        before = sum(name.startswith("events.") for name in os.listdir(self.dir))
        self.path = f"{self.dir}/events.{self.attempt}.jsonl"
        open(self.path, "x", encoding="utf-8").close()
        self.seq, self.ended = 0, False
        self.position = f"{self.dir}/position"
        self.epoch = int(open(self.position, encoding="utf-8").read()) if os.path.exists(self.position) else 0
        scripts = script().get("jobs", {}).get(str(self.number), [])
        self.actions = list(scripts[before]) if before < len(scripts) else [["train"]]
        self.actions = list(script().get("devices", {}).get(OPTIONS["--device"], self.actions))

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            return file.readlines()


class Worker:
    def __init__(self):
        self.job, self.socket, self.input = None, None, b""
        self.fifo, self.ignored, self.stopping = None, set(), False
        self.welcomed, self.busy_until = False, 0
        signal.signal(signal.SIGTERM, self.on_term)

    def on_term(self, *_):
        if "term" not in self.ignored:
            self.stopping = True

    # --- the wire ---

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        try:
            s.connect(OPTIONS["--socket"])
        except OSError:
            s.close()
            time.sleep(0.02)  # sweepd is away; there is nothing to wait for
            return
        self.socket, self.input, self.welcomed = s, b"", False
        with open(OPTIONS["--token-file"], encoding="utf-8") as file:
            token = file.read().strip()
        jobs = [{"attempt": self.job.attempt, "next_seq": self.job.seq + 1}] if self.job else []
        hello = {"type": "hello", "protocol": 1, "worker": int(OPTIONS["--worker"]), "token": token, "pid": os.getpid(),
                 "device": {"id": OPTIONS["--device"], "kind": "cpu", "name": "fake", "bf16": False, "threads": 1},
                 "slots": 1, "jobs": jobs}
        self.send({**hello, **script().get("hello", {})})

    def send_bytes(self, data):
        try:
            if self.socket:
                self.socket.sendall(data)
        except OSError:
            self.disconnect()

    def send(self, message):
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def disconnect(self):
        if self.socket:
            self.socket.close()
        self.socket = None

    def emit(self, kind, send=True, **members):
        job = self.job
        job.seq += 1
        event = {"type": kind, "attempt": job.attempt, "seq": job.seq, "at_ms": int(time.time() * 1000), **members}
        line = json.dumps(event) + "\n"
        with open(job.path, "a", encoding="utf-8") as file:
            file.write(line)
        if send and self.welcomed:
            self.send_bytes(line.encode())
        job.ended = job.ended or kind in ("done", "failed", "cancelled", "released")

    # --- messages ---

    def heed(self, message):
        kind = message["type"]
        ours = self.job and message.get("attempt") == self.job.attempt
        if kind == "run":
            self.job = Job(message)
            self.stop_waiting()
            self.emit("started", start_epoch=self.job.epoch, start_step=0, backend="fake", device="fake")
        elif kind == "welcome":
            self.welcomed = True
            if self.job:
                acks = {ack["attempt"]: ack["seq"] for ack in message["acks"]}
                for line in self.job.lines()[acks.get(self.job.attempt, 0):]:
                    self.send_bytes(line.encode())
        elif kind == "ack":
            if self.job and self.job.ended and message["acks"][0]["seq"] >= self.job.seq:
                self.job = None
        elif kind == "fence" and ours:
            self.job = None
        elif kind == "cancel" and ours and "cancel" not in self.ignored:
            self.stop_waiting()
            self.job.actions = []
            self.emit("cancelled")
        elif kind == "release" and ours and "release" not in self.ignored:
            self.stop_waiting()
            self.job.actions = []
            self.emit("released", why=message["why"], epoch=self.job.epoch, step=0)
        elif kind == "stop" and "stop" not in self.ignored:
            self.stopping = True

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.disconnect()
            return
        self.input += data
        *lines, self.input = self.input.split(b"\n")
        for line in lines:
            note("received.jsonl", line.decode())
            self.heed(json.loads(line))

    # --- the script ---

    def do_train(self):
        """The epochs that are left."""
        for epoch in range(self.job.epoch + 1, self.job.config["epochs"] + 1):
            self.job.actions += [["work"], ["epoch", epoch]]
        self.job.actions.append(["done"])

    def do_work(self):
        self.busy_until = time.monotonic() + script().get("pace_s", 0)

    def do_epoch(self, epoch, *flags, **values):
        numbers = {"lr": 0.1, "batch_size": 16, "train_loss": 1.0, "train_accuracy": 50.0, "test_loss": 1.5,
                   "test_accuracy": 10.0 * epoch, "train_seconds": 1.0, "test_seconds": 0.5, "images_per_second": 100.0,
                   "ram_mib": 10}
        self.emit("epoch", send="file" not in flags, epoch=epoch, **{**numbers, **values})
        if "forget" not in flags:
            self.job.epoch = epoch
            with open(self.job.position + ".new", "w", encoding="utf-8") as file:
                file.write(str(epoch))
            os.rename(self.job.position + ".new", self.job.position)

    def do_epoch_with(self, epoch, values):
        self.do_epoch(epoch, **values)

    def do_event(self, kind, members):
        self.emit(kind, **members)

    def do_fill(self, size, times):
        """Events that need room."""
        for _ in range(times):
            self.emit("checkpoint", epoch=0, step=0, seconds=0, ballast="x" * size)

    def do_done(self, *flags):
        self.emit("done", send="file" not in flags, epochs=self.job.epoch, note=None)

    def do_failed(self, fail_class, reason="as the script says"):
        self.emit("failed", **{"class": fail_class, "reason": reason})

    def do_progress(self):
        self.send({"type": "progress", "attempt": self.job.attempt, "epoch": 1, "step": 1, "steps": 2, "phase": "train",
                   "train_loss": "nan", "images_per_second": 5.0})

    def do_say(self, text):
        print(text, file=sys.stderr, flush=True)

    def do_eat(self):
        """Memory, until somebody minds."""
        eaten = []
        while True:
            eaten.append(bytearray(os.urandom(4096) * 256))

    def do_exit(self, code):
        os._exit(code)

    def do_signal(self, number):
        os.kill(os.getpid(), number)

    def do_hang(self):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        signal.pause()

    def do_raw(self, text, times=1):
        self.send_bytes(text.encode("latin-1") * times)

    def do_shutdown(self):
        self.disconnect()

    def do_file(self, text):
        """Something else in the event file."""
        with open(self.job.path, "a", encoding="utf-8") as file:
            file.write(text)

    def do_again(self):
        for line in self.job.lines():
            self.send_bytes(line.encode())

    def do_skip(self):
        self.job.seq += 1

    def do_ignore(self, *what):
        self.ignored |= set(what)

    def do_grandchild(self, own_session=False):
        """A process that holds the connection open."""
        ready, theirs = os.pipe()
        pid = os.fork()
        if pid:
            os.close(theirs)
            os.read(ready, 1)
            os.close(ready)
            note("pids", str(pid))
            return
        if own_session:
            os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.write(theirs, b"1")
        signal.pause()

    def do_touch(self, name):
        note(name, "")

    def do_wait(self, name):
        self.fifo = os.open(f"{FAKE}/{name}", os.O_RDWR | os.O_NONBLOCK)

    def stop_waiting(self):
        if self.fifo is not None:
            os.close(self.fifo)
        self.fifo = None

    def step(self):
        while self.job and self.fifo is None and self.job.actions and time.monotonic() >= self.busy_until:
            verb, *arguments = self.job.actions.pop(0)
            getattr(self, "do_" + verb)(*arguments)

    # --- the loop ---

    def release_and_end(self):
        """The real one waits for the acknowledgement; the event file is as good."""
        if self.job and not self.job.ended:
            self.emit("released", why="stop", epoch=self.job.epoch, step=0)
        sys.exit(0)

    def turn(self):
        if not self.socket:
            self.connect()
        fds = [fd for fd in (self.socket, self.fifo) if fd is not None]
        work_s = max(self.busy_until - time.monotonic(), 0) or HEARTBEAT_S
        readable, _, _ = select.select(fds, [], [], min(work_s, HEARTBEAT_S))
        if self.fifo is not None and self.fifo in readable:
            os.read(self.fifo, 1)
            self.stop_waiting()
        elif self.socket in readable:
            self.receive()
        if self.stopping:
            self.release_and_end()
        self.send({"type": "heartbeat"})
        self.step()


def say_devices():
    """sweep-worker --devices --json.  script: "found" {...} is the answer, "find" an action instead of it."""
    note("asked", "devices")
    verb = script().get("find")
    if verb == "hang":
        signal.pause()
    elif verb:
        sys.exit(verb) if isinstance(verb, int) else os.write(1, verb.encode())
    else:
        cpu = {"id": "cpu", "kind": "cpu", "name": "fake", "trains": True, "reason": None}
        print(json.dumps(script().get("found", {"devices": [cpu], "nvml": {"driver": None, "problem": None}})))


if "--devices" in OPTIONS:
    say_devices()
    sys.exit(0)
note("pids", str(os.getpid()))
note("options", json.dumps(OPTIONS))
worker = Worker()
while True:
    worker.turn()
