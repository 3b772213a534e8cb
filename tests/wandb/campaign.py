#!/usr/bin/python3
"""Forwards a sweep of fast scripted runs through random faults while sweepd and sweep-forward are killed; then the
server must hold the store's rows, row for row, and every rule must have been kept.

    tests/wandb/campaign.py --runs 1000 --epochs 200 --kills 20 --seed 1

Faults: every kind of faults.TRANSIENT, counts of the server that lag behind, the server gone for a moment; SIGKILL to
sweepd and to sweep-forward, --kills times each, spread over the work; runs that are tried again and repeat epochs, runs
with numbers that are not finite.  Prints its figures; exit code 1 if anything differs."""
import argparse
import collections
import json
import random
import shutil
import sys
import time

import place as places
from fake_wandb import FakeWandb
from records import HISTORY

FAST_WORKER = places.ROOT / "tests/wandb/fast_worker.py"
STEPS = 10  # of an epoch of fast_worker.py
FAST = ["--interval-ms", 50, "--retry-ms", 20, "--heartbeat-ms", 2000, "--poll-ms", 500, "--rate", 1000]


class Campaign:
    def __init__(self, options):
        self.options, self.rng = options, random.Random(options.seed)
        self.fake = FakeWandb(seed=options.seed).up()
        self.place = places.Place(self.fake)
        self.kills, self.peaks_kib, self.began = collections.Counter(), [], time.monotonic()
        steps = STEPS // options.log_steps if options.log_steps else 0
        self.total = options.runs * options.epochs * (1 + steps)

    def say(self, text):
        if self.options.verbose:
            print(f"{time.monotonic() - self.began:7.1f} s  {self.progress() / self.total:4.0%}  {text}", flush=True)

    def progress(self):
        with self.fake.lock:
            return sum(len(run.lines[HISTORY]) for run in self.fake.records.runs.values())

    # --- lives ---

    def start_sweepd(self):
        plan = {"repeat": 8, "odd": 8, "telemetry": 10, "log": True, "pace_s": self.options.pace,
                "metrics": ["test_top5_accuracy", "val_loss", "mirror_test_accuracy"]}
        self.place.start("--devices", self.options.workers, "--threads", 1, "--retry-ms", 0, "--device-faults", 1000,
                         worker=FAST_WORKER, env={"FAST": json.dumps(plan)})

    def kill_sweepd(self):
        self.place.kill()
        self.kills["sweepd"] += 1
        self.start_sweepd()

    def start_forward(self):
        self.place.forward(*FAST, "--interval-ms", self.options.interval_ms)

    def note_peak(self):
        peak = places.resident_kib(self.place.forwarder.pid)
        self.peaks_kib += [peak] if peak else []

    def kill_forward(self):
        self.note_peak()
        self.place.kill_forward()
        self.fake.forget_silence()
        self.kills["sweep-forward"] += 1
        self.start_forward()

    def server_goes(self):
        self.fake.down()
        self.pause(self.rng.uniform(0.1, 0.5))
        self.fake.up()
        self.kills["server away"] += 1

    def pause(self, seconds):
        time.sleep(seconds)
        if self.place.forwarder.poll() is not None:
            self.fail(f"sweep-forward ended with {self.place.forwarder.returncode}")
        if not self.place.alive():
            self.fail(f"sweepd ended with {self.place.process.returncode}")

    def fail(self, text):
        raise AssertionError(f"{text}\n{self.place.said()[-4000:]}")

    # --- the work ---

    def mishaps(self):
        """In random order, each at its share of the progress."""
        todo = [kind for kind in (self.kill_sweepd, self.kill_forward) for _ in range(self.options.kills)]
        todo += [self.server_goes] * (self.options.kills // 4)
        self.rng.shuffle(todo)
        for i, mishap in enumerate(todo):
            self.fake.records.stale_by = self.rng.choice((0, 0, 1, 5))
            self.wait_progress(self.total * 0.95 * i / len(todo))
            self.pause(self.rng.uniform(0, 0.1))
            mishap()
            self.say(mishap.__name__)

    def wait_progress(self, lines):
        moved, last = time.monotonic(), -1
        while (now := self.progress()) < lines:
            if now > last:
                moved, last = time.monotonic(), now
            if time.monotonic() - moved > self.options.patience:
                self.fail(f"no progress for {self.options.patience} s at {now} of {self.total} lines")
            self.pause(0.02)

    def finished(self):
        count, = self.place.one("SELECT count(*) FROM wandb_run WHERE phase = 'finished'")
        return count

    def wait_end(self):
        moved, last = time.monotonic(), None
        while (now := (self.finished(), self.progress()))[0] < self.options.runs:
            if now != last:
                moved, last = time.monotonic(), now
            if time.monotonic() - moved > self.options.patience:
                refused = self.place.sql("SELECT job, phase, problem FROM wandb_run WHERE phase <> 'finished' LIMIT 9")
                self.fail(f"stuck: {now[0]} of {self.options.runs} runs finished, {now[1]} lines; {refused}")
            self.pause(0.05)

    def run(self):
        self.fake.random_faults(self.options.chance)
        self.start_sweepd()
        self.start_forward()
        self.place.submit_wandb(self.options.runs, self.options.epochs, defaults={"log_steps": self.options.log_steps})
        self.mishaps()
        self.wait_progress(self.total * 0.98)
        self.fake.no_more_faults()
        self.fake.records.stale_by = 0
        self.wait_end()
        self.note_peak()
        took_s = time.monotonic() - self.began
        self.place.stop_forward()
        wrong = [text for job in range(1, self.options.runs + 1) for text in self.place.compare(job)]
        state = self.fake.state()
        wrong += [f"{len(state['runs'])} runs at the server"] * (len(state["runs"]) != self.options.runs)
        wrong += [f"{len(state['sweeps'])} sweeps at the server"] * (len(state["sweeps"]) != 1)
        return wrong + state["violations"], self.figures(state, took_s)

    def figures(self, state, took_s):
        return {"runs": self.options.runs, "epochs": self.options.epochs, "seconds": round(took_s, 1),
                "lines": sum(len(run["history"]) for run in state["runs"].values()), "killed": dict(self.kills),
                "requests": state["counts"], "faults": state["faults"],
                "reopened": sum(run["reopened"] for run in state["runs"].values()),
                "sweep_forward_peak_kib": max(self.peaks_kib, default=None)}

    def end(self):
        self.place.end()
        self.fake.down()
        shutil.rmtree(self.place.dir)


def parse(arguments=None):
    parser = argparse.ArgumentParser(description="forwarding through faults and kills")
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20, help="of each of the two programs")
    parser.add_argument("--log-steps", type=int, default=0, help="0, or 1, 2, 5: every so many steps are sampled")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--chance", type=float, default=0.1, help="that a request meets a fault")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--pace", type=float, default=0, help="seconds that an epoch takes")
    parser.add_argument("--interval-ms", type=int, default=50, help="between two requests of a run")
    parser.add_argument("--patience", type=float, default=120, help="seconds without progress that are a failure")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(arguments)


def main(arguments=None):
    campaign = Campaign(parse(arguments))
    try:
        wrong, figures = campaign.run()
    finally:
        campaign.end()
    print(json.dumps(figures, indent=1))
    print("\n".join(wrong[:50]) or "the server holds the store's rows, row for row")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
