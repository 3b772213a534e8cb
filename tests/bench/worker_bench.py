#!/usr/bin/python3
"""What a training loses around its steps: the real sweep-worker under a scripted daemon, on the cpu backend.

    tests/bench/worker_bench.py [--build DIR] [--data DIR] [--dir DIR] [--rounds N] [--steps N] PART...

    warm        from `run` to the end of the first training step: the first job of a process, a second one of the same
                network, one of another, and the first network again.  Each is cancelled after a few steps; `lost` is the
                first step's end less the time of a step.
    checkpoint  what a checkpoint costs the training: the same epoch with one after each step and with none, in turns.
                `held up` is the training thread's time outside its steps; the rest of the difference is the writer's
                thread taking the cores.  And how long the last one holds up `done`.
    test        the share of the test in an epoch, with as many test images for each training image as the data set has
    all         these

--data: a directory with cifar-100-binary; without one Debian's Fashion-MNIST (dataset-fashion-mnist).  Prints tables of
Markdown; medians of the rounds, ranges in brackets.  `all` takes six minutes on two cores with ResNet-18, batch 128.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import statistics
import subprocess
import tempfile
import time

from harness import ROOT, Figures, end_process, end_with_parent, heed_signals, load, machine, now, number

PARTS = ["warm", "checkpoint", "test"]
NEVER_S = 1e6
BATCH = {"resnet50": 64}  # of the reference sweep; of other networks: --batch
TEST_SHARE = 5  # training images for each test image: of CIFAR; Fashion-MNIST has 6
WAIT_S = 600


class Worker:
    """One sweep-worker, and the daemon's end of its connection."""

    def __init__(self, options):
        self.options = options
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="worker.", dir=options.dir))
        (self.dir / "token").write_text("secret\n")
        self.attempt = 0
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as server:
            server.bind(str(self.dir / "socket"))
            server.listen(1)
            server.settimeout(WAIT_S)
            begin = time.perf_counter()
            with open(self.dir / "stderr", "wb") as log:
                self.process = subprocess.Popen(
                    [options.build / "worker/sweep-worker", "--socket", self.dir / "socket", "--token-file", self.dir / "token",
                     "--worker", "1", "--backend", "cpu", *(["--threads", str(options.threads)] if options.threads else [])],
                    stderr=log, preexec_fn=end_with_parent)
            self.connection, _ = server.accept()
        self.connection.settimeout(WAIT_S)
        self.lines = self.connection.makefile("r")
        assert self.receive()["type"] == "hello"
        self.start_s = time.perf_counter() - begin
        self.send(type="welcome", acks=[])

    def send(self, **message):
        self.connection.sendall((json.dumps(message) + "\n").encode())

    def receive(self):
        line = self.lines.readline()
        if not line:
            raise SystemExit(f"sweep-worker ended: {(self.dir / 'stderr').read_text()[-500:]}")
        message = json.loads(line)
        if message["type"] == "failed":
            raise SystemExit(f"sweep-worker cannot train: {message['reason']}")
        return message

    def run(self, **config):
        """Sends a job; the moment."""
        self.attempt += 1
        self.job_dir = self.dir / f"job{self.attempt}"
        self.send(type="run", attempt=self.attempt, job=self.attempt, job_dir=str(self.job_dir), data_dir=self.options.data,
                  resume=False, config={"dataset": self.options.dataset, "use_amp": self.options.amp, "num_workers": 1,
                                        "use_wandb": False, "epochs": 1, **config})
        return time.perf_counter()

    def until(self, *types):
        """The next message of one of these types; what has a number is acknowledged."""
        while True:
            message = self.receive()
            if "seq" in message:
                self.send(type="ack", acks=[{"attempt": self.attempt, "seq": message["seq"]}])
            if message["type"] in types:
                return message

    def close(self):
        end_process(self.process, wait_s=30)
        self.lines.close()
        self.connection.close()
        shutil.rmtree(self.dir, ignore_errors=True)


def of(values, digits=2):
    """Median and range."""
    values = list(values)
    between = f" ({min(values):.{digits}f} to {max(values):.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.{digits}f}{between}"


class Bench:
    def __init__(self, options):
        self.options, self.figures = options, Figures(options.out)

    def worker(self):
        return contextlib.closing(Worker(self.options))

    def config(self, model):
        return {"model": model, "batch_size": min(self.options.batch, BATCH.get(model, self.options.batch))}

    # --- warm ---

    def first_steps(self, worker, model):
        """Seconds: from `run` to `started`, to the first step's end, and of a step."""
        sent = worker.run(**self.config(model), checkpoint_interval_s=NEVER_S)
        worker.until("started")
        started = time.perf_counter()
        message = worker.until("progress")
        first, first_step = time.perf_counter(), message["step"]
        while (message := worker.until("progress"))["step"] < first_step + self.options.steps:
            pass
        step = (time.perf_counter() - first) / (message["step"] - first_step)
        worker.send(type="cancel", attempt=worker.attempt)
        worker.until("cancelled")
        return started - sent, first - sent - (first_step - 1) * step, step

    def part_warm(self):
        model, other = self.options.model, self.options.other
        jobs = [(f"{model}, first job of a process", model), (f"{model} again", model), (f"{other} after it", other),
                (f"{model} after that", model)]
        rounds, starts = [], []
        for _ in range(self.options.rounds):
            with self.worker() as worker:
                starts.append(worker.start_s)
                rounds.append([self.first_steps(worker, m) for _, m in jobs])
        self.figures.table("job", "`run` to `started`, s", "to the end of the first step, s", "a step, s", "lost, s")
        for i, (name, _) in enumerate(jobs):
            started, first, step = zip(*(r[i] for r in rounds))
            lost = [f - s for f, s in zip(first, step)]
            self.figures.row(name, of(started), of(first), of(step), of(lost))
            self.figures.keep(name=f"warm, {name}", value=statistics.median(lost), unit="s", started=started, first=first,
                              step=step)
        print(f"\nexec to hello: {of(1000 * s for s in starts)} ms")

    # --- checkpoint ---

    def epoch(self, worker, interval_s):
        """One epoch of --steps steps: what is known of its times, in seconds."""
        images = self.options.steps * self.options.batch
        worker.run(**self.config(self.options.model), train_images=images, test_images=max(images // TEST_SHARE, 1),
                   checkpoint_interval_s=interval_s)
        started = worker.until("started")["at_ms"]
        written = []
        while (message := worker.until("checkpoint", "epoch"))["type"] == "checkpoint":
            written.append(message["seconds"])
        epoch_at = message["at_ms"]
        done = worker.until("done")["at_ms"]
        sizes = sum(path.stat().st_size for path in worker.job_dir.glob("final.safetensors"))
        train, test = message["train_seconds"], message["test_seconds"]
        return {"train": train, "test": test, "outside": (epoch_at - started) / 1000 - train - test, "written": written,
                "final": (done - epoch_at) / 1000, "mib": sizes / 2**20}

    def epochs(self):
        """Pairs of (without, with a checkpoint after each step), in turns in one process that is warm."""
        pairs = []
        with self.worker() as worker:
            self.epoch(worker, NEVER_S)
            for _ in range(self.options.rounds):
                pairs.append((self.epoch(worker, NEVER_S), self.epoch(worker, 0)))
        return pairs

    def part_checkpoint(self):
        pairs = self.epochs()
        n = [len(each["written"]) for _, each in pairs]
        if not all(n):
            raise SystemExit("no checkpoint was reported before the epoch's end; --steps: more")
        held = [1000 * (each["outside"] - none["outside"]) / n for (none, each), n in zip(pairs, n)]
        slower = [1000 * (each["train"] - none["train"]) / n for (none, each), n in zip(pairs, n)]
        wrote = [1000 * statistics.median(each["written"]) for _, each in pairs]
        self.figures.table(f"{self.options.model}, batch {self.options.batch}, {self.options.steps} steps", "ms a checkpoint")
        self.figures.row("training thread held up, the writer's time included where the next one waits for it", of(held, 0))
        self.figures.row("steps beside the writer take longer by", of(slower, 0))
        self.figures.row("the writer's thread: from its start to the name, fsync included", of(wrote, 0))
        final = [1000 * epoch["final"] for pair in pairs for epoch in pair]
        self.figures.row("the last epoch's row to `done` (final weights, fsync)", of(final, 0))
        lost = statistics.median(h + s for h, s in zip(held, slower))
        print(f"\nTogether {number(lost)} ms a checkpoint; at one a minute (the default) {100 * lost / 60000:.2f} % of the time.  "
              f"final.safetensors: {pairs[0][0]['mib']:.0f} MiB.")
        self.figures.keep(name="checkpoint", value=lost, unit="ms", held=held, slower=slower, written=wrote)

    # --- test ---

    def part_test(self):
        with self.worker() as worker:
            rounds = [self.epoch(worker, NEVER_S) for _ in range(self.options.rounds + 1)][1:]
        share = [100 * r["test"] / (r["train"] + r["test"]) for r in rounds]
        self.figures.table("figure", "measured")
        self.figures.row(f"test's share of an epoch, {self.options.model}, one test image for {TEST_SHARE} training images",
                         f"{of(share, 1)} %")
        self.figures.row("between `started` and the epoch's row, neither training nor testing",
                         f"{of((1000 * r['outside'] for r in rounds), 0)} ms")
        self.figures.keep(name="test share", value=statistics.median(share), unit="%")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build-bench")
    parser.add_argument("--data", help="directory with cifar-100-binary; default: Fashion-MNIST where it is installed")
    parser.add_argument("--dir", default="/var/tmp", help="where job directories are made; not a tmpfs")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--other", default="resnet50", help="the other network")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, help="default: as sweep-worker chooses")
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--out", type=pathlib.Path, help="figures are appended to it as lines of JSON")
    parser.add_argument("part", nargs="+", choices=PARTS + ["all"])
    options = parser.parse_args()
    options.dataset = "cifar100" if options.data else "fashion-mnist"
    options.data = os.path.abspath(options.data) if options.data else None
    heed_signals()
    print(f"{machine(options.dir)}; {options.dataset}; load {load()}; {now()}")
    bench = Bench(options)
    for part in PARTS if "all" in options.part else options.part:
        getattr(bench, f"part_{part}")()
    print(f"\nload {load()} at the end")


if __name__ == "__main__":
    main()
