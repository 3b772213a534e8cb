#!/usr/bin/python3 -SE
"""A sweep-worker that finishes epochs as fast as sweepd takes them, each with numbers of its own, so that a row at the
wrong place shows.  Where the job has log_steps, an epoch has STEPS steps, and samples of them in two events; an attempt that
fails is in the middle of an epoch then, and the next one repeats steps too.  $FAST is a JSON object:

    repeat: one job in so many fails in its first attempt, and the second repeats the last two epochs with other numbers
    odd: one job in so many has numbers that are not finite
    telemetry: an event of it after each so many epochs
    metrics: names of further numbers of each epoch
    log: a line in the job's log.txt for each epoch
    pace_s: between epochs
    wait: for each epoch's acknowledgement, whose delay in seconds is written to this file
"""
import json
import os
import random
import select
import signal
import socket
import sys
import time

OPTIONS = dict(zip(sys.argv[1::2], sys.argv[2::2]))
PLAN = {"repeat": 0, "odd": 0, "telemetry": 0, "metrics": [], "log": False, "pace_s": 0, "wait": None,
        **json.loads(os.environ.get("FAST", "{}"))}
HEARTBEAT_S, AHEAD, STEPS = 0.5, 500, 10  # AHEAD: unacknowledged events that may be on their way


def one_in(n, job):
    return bool(n) and random.Random(job).randrange(n) == 0


def numbers(job, attempt, epoch):
    rng = random.Random(f"{job} {attempt} {epoch}")
    row = {"lr": rng.random() / 10, "batch_size": 16 + job % 7, "train_loss": rng.random(),
           "test_loss": rng.random() * 1e-7, "train_accuracy": rng.random() * 100,
           "test_accuracy": rng.random() * 100, "train_seconds": rng.random(),
           "test_seconds": 0.1 + 0.2, "images_per_second": 1e6 * rng.random(), "ram_mib": epoch}
    if one_in(PLAN["odd"], job):
        row.update(test_loss="nan", train_loss="inf", test_accuracy="-inf" if epoch % 2 else row["test_accuracy"])
    return row


def samples(job, attempt, epoch, steps):
    """Of the job's steps that many; a norm now and then is not finite, as fp16 has it."""
    rngs = [random.Random(f"{job} {attempt} step {step}") for step in steps]
    return {"epoch": epoch, "step": steps, "train_loss": [rng.random() * 1e-3 for rng in rngs],
            "lr": [rng.random() for rng in rngs],
            "grad_norm": ["inf" if rng.random() < 0.1 else rng.random() * 1e9 for rng in rngs]}


class Job:
    def __init__(self, run):
        self.attempt, self.number, self.dir = run["attempt"], run["job"], run["job_dir"]
        self.epochs, self.every = run["config"]["epochs"], run["config"].get("log_steps", 0)
        self.before = sum(name.startswith("events.") for name in os.listdir(self.dir))
        self.file = open(f"{self.dir}/events.{self.attempt}.jsonl", "xb", buffering=0)  # noqa: SIM115
        self.position, self.epoch = f"{self.dir}/position", 0
        if os.path.exists(self.position):
            with open(self.position, encoding="utf-8") as file:
                self.epoch = int(file.read())
        self.lines, self.acked, self.ended, self.next_at = [], 0, False, 0
        self.fails_after = self.epochs * 2 // 3 if self.before == 0 and one_in(PLAN["repeat"], self.number) else None

    def remember(self):
        """Where the next attempt goes on: a checkpoint."""
        epoch = max(self.epoch - 2, 0) if self.fails_after is not None else self.epoch
        with open(self.position + ".new", "w", encoding="utf-8") as file:
            file.write(str(epoch))
        os.rename(self.position + ".new", self.position)


class Worker:
    def __init__(self):
        self.job, self.socket, self.input, self.welcomed, self.stopping = None, None, b"", False, False
        self.sent_at, self.beat_at = None, 0
        self.delays = open(PLAN["wait"], "a", encoding="utf-8") if PLAN["wait"] else None  # noqa: SIM115
        signal.signal(signal.SIGTERM, self.on_term)

    def on_term(self, *_):
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
        jobs = [{"attempt": self.job.attempt, "next_seq": len(self.job.lines) + 1}] if self.job else []
        self.send({"type": "hello", "protocol": 1, "worker": int(OPTIONS["--worker"]), "token": token,
                   "pid": os.getpid(), "slots": 1, "jobs": jobs, "device": {
                       "id": OPTIONS["--device"], "kind": "cpu", "name": "fake", "bf16": False, "threads": 1}})

    def send_bytes(self, data):
        try:
            if self.socket:
                self.socket.sendall(data)
        except OSError:
            self.disconnect()

    def send(self, message):
        self.send_bytes(json.dumps(message).encode() + b"\n")

    def disconnect(self):
        self.socket.close()
        self.socket = None

    def emit(self, kind, **members):
        job = self.job
        event = {"type": kind, "attempt": job.attempt, "seq": len(job.lines) + 1, "at_ms": int(time.time() * 1000),
                 **members}
        line = json.dumps(event).encode() + b"\n"
        job.file.write(line)
        job.lines.append(line)
        job.ended = job.ended or kind in ("done", "failed", "cancelled", "released")
        if job.ended:
            job.remember()
        if self.welcomed:
            self.send_bytes(line)

    # --- messages ---

    def heed(self, message):
        kind = message["type"]
        ours = self.job and message.get("attempt") == self.job.attempt
        if kind == "run":
            self.job = Job(message)
            self.emit("started", start_epoch=self.job.epoch, start_step=0, backend="fake", device="fake")
        elif kind == "welcome":
            self.welcomed = True
            if self.job:
                acks = {ack["attempt"]: ack["seq"] for ack in message["acks"]}
                self.job.acked = acks.get(self.job.attempt, 0)
                self.send_bytes(b"".join(self.job.lines[self.job.acked:]))
        elif kind == "ack" and self.job:
            self.job.acked = message["acks"][0]["seq"]
            if self.sent_at and self.job.acked >= len(self.job.lines):
                self.delays.write(f"{time.perf_counter() - self.sent_at}\n")
                self.sent_at = None
            if self.job.ended and self.job.acked >= len(self.job.lines):
                self.job = None
        elif kind == "fence" and ours:
            self.job = None
        elif kind == "cancel" and ours and not self.job.ended:
            self.emit("cancelled")
        elif kind == "release" and ours and not self.job.ended:
            self.emit("released", why=message["why"], epoch=self.job.epoch, step=0)
        elif kind == "stop":
            self.stopping = True

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            self.disconnect()
            return
        *lines, self.input = (self.input + data).split(b"\n")
        for line in lines:
            self.heed(json.loads(line))

    # --- training ---

    def may_go_on(self):
        job = self.job
        if not job or job.ended or self.sent_at or len(job.lines) - job.acked >= AHEAD:
            return False
        return time.monotonic() >= job.next_at

    def emit_samples(self, first, last):
        """Of the epoch to come, steps after first up to last."""
        job, before = self.job, self.job.epoch * STEPS
        steps = [step for step in range(before + first + 1, before + last + 1) if job.every and step % job.every == 0]
        if steps:
            self.emit("steps", **samples(job.number, job.before, job.epoch + 1, steps))

    def step(self):
        job = self.job
        if job.fails_after is not None and job.epoch == job.fails_after:
            self.emit_samples(0, STEPS // 2)
            self.emit("failed", **{"class": "internal", "reason": "as planned"})
            return
        if job.epoch == job.epochs:
            self.emit("done", epochs=job.epoch, note=None)
            return
        self.emit_samples(0, STEPS // 2)
        self.emit_samples(STEPS // 2, STEPS)
        job.epoch += 1
        for name in PLAN["metrics"]:
            self.emit("metric", epoch=job.epoch, name=name, value=random.Random(f"{name} {job.before} {job.epoch}").random())
        self.sent_at = time.perf_counter() if self.delays else None
        step = {"step": job.epoch * STEPS} if job.every else {}
        self.emit("epoch", epoch=job.epoch, **step, **numbers(job.number, job.before, job.epoch))
        job.next_at = time.monotonic() + PLAN["pace_s"]
        if PLAN["log"]:
            with open(f"{job.dir}/log.txt", "a", encoding="utf-8") as file:
                file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} job {job.number} epoch {job.epoch}\n")
        if PLAN["telemetry"] and job.epoch % PLAN["telemetry"] == 0:
            self.emit("telemetry", values={"cpu_percent": 50.0 + job.epoch, "ram_mib": job.number})

    def turn(self):
        if not self.socket:
            self.connect()
        wait_s = 0 if self.may_go_on() else HEARTBEAT_S if not self.job else max(
            min(self.job.next_at - time.monotonic(), HEARTBEAT_S), 0.002 if not self.sent_at else HEARTBEAT_S)
        if self.socket and select.select([self.socket], [], [], wait_s)[0]:
            self.receive()
        if self.stopping:
            if self.delays:
                self.delays.flush()
            if self.job and not self.job.ended:
                self.emit("released", why="stop", epoch=self.job.epoch, step=0)
            sys.exit(0)
        if time.monotonic() > self.beat_at + HEARTBEAT_S and self.welcomed:
            self.beat_at = time.monotonic()
            self.send({"type": "heartbeat"})
        if self.may_go_on():
            self.step()


if "--devices" in OPTIONS:
    cpu = {"id": "cpu", "kind": "cpu", "name": "fake", "trains": True, "reason": None}
    print(json.dumps({"devices": [cpu], "nvml": {"driver": None, "problem": None}}))
    sys.exit(0)
worker = Worker()
while True:
    worker.turn()
