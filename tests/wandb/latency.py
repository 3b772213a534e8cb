#!/usr/bin/python3
"""Does forwarding delay training?  How long a worker waits for the acknowledgement of an epoch's row (written to its
event file, sent, committed by sweepd), with sweep-forward at work, with its server away, and without sweep-forward.

    tests/wandb/latency.py --rounds 5 --epochs 1000

The three take turns, since a shared machine is not the same twice.  The server runs on the same machine: what it costs
is in the figures too."""
import argparse
import json
import shutil
import statistics
import time

import place as places
from campaign import FAST, FAST_WORKER
from fake_wandb import FakeWandb

MODES = {"without sweep-forward": (False, True), "with it": (True, True), "with it, server away": (True, False)}


def delays_ms(forward, server, options):
    """Of every row of a round."""
    fake = FakeWandb()
    if server:
        fake.up()
    else:
        fake.port = 9  # nobody listens there
    place = places.Place(fake)
    try:
        file = place.dir / "delays"
        place.start("--devices", 1, "--threads", 1, worker=FAST_WORKER,
                    env={"FAST": json.dumps({"wait": str(file), "pace_s": options.pace, "telemetry": 10})})
        if forward:
            place.forward(*FAST)
        first = place.submit_wandb(options.runs, options.epochs)
        jobs = range(first, first + options.runs)
        marks = ",".join(map(str, jobs))
        while place.one(f"SELECT count(*) FROM job WHERE id IN ({marks}) AND state <> 'done'") != (0,):
            time.sleep(0.2)
        if forward and server:
            lines = sum(len(run["history"]) for run in fake.state()["runs"].values())
            assert lines > options.runs * options.epochs / 2, f"only {lines} lines were forwarded meanwhile"
        place.stop()  # the worker's file is complete when it has ended
        return [float(line) * 1000 for line in file.read_text().split()]
    finally:
        place.end()
        fake.down()
        shutil.rmtree(place.dir)


def main():
    parser = argparse.ArgumentParser(description="the delay of training rows, with and without sweep-forward")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=500)
    parser.add_argument("--pace", type=float, default=0.005, help="seconds between epochs")
    options = parser.parse_args()
    found = {name: [] for name in MODES}
    medians = {name: [] for name in MODES}
    for _ in range(options.rounds):
        for name, (forward, server) in MODES.items():
            delays = delays_ms(forward, server, options)
            found[name] += delays
            medians[name].append(statistics.median(delays))
    print("| | rows | median, ms (by rounds) | 90 % | 99 % | longest |\n| --- | --- | --- | --- | --- | --- |")
    for name, delays in found.items():
        cuts = statistics.quantiles(delays, n=100)
        print(f"| {name} | {len(delays)} | {statistics.median(delays):.2f} ({min(medians[name]):.2f} to "
              f"{max(medians[name]):.2f}) | {cuts[89]:.2f} | {cuts[98]:.2f} | {max(delays):.1f} |")


if __name__ == "__main__":
    main()
