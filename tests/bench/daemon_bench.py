#!/usr/bin/python3
"""How quick the daemon is: the real sweepd on a real database (synchronous=FULL), with tests/bench/instant_worker.c, which
answers at once, in the trainer's place.

    tests/bench/daemon_bench.py [--build DIR] [--dir DIR] [--jobs N] [--rounds N] [--peers] [--install] PART...

    next      done -> next start on one device: alone, while N jobs are being submitted, while ten readers query
    jobs      5,000 trivial jobs over two devices, and with a process per job; with --peers task-spooler, GNU parallel and
              Slurm (as it comes, and tuned) take turns with it
    submit    a grid of N jobs, on disk and acknowledged
    start     from exec to ready, with an empty store and with N jobs
    recover   from exec to ready with N rows and eight live workers, and until all eight are adopted
    memory    resident memory idle and with N queued jobs
    metrics   durable metric lines a second from eight workers; a kill -9 in the middle loses none
    grow      the figures that may grow with the store, at 1,000 to 1,000,000 jobs (grow.py); goes on where it was left
    all       every one of these

Prints tables of Markdown, as docs/performance.md has them; --out keeps each figure as a line of JSON too.  --peers leaves out
with a sentence what is not installed; --install installs it from Debian.  `all --peers` takes some 15 minutes on two quiet
cores (of them 6 the other queues, 7 growth) and needs 3 GB in --dir; parts can be run one by one.
"""
import argparse
import contextlib
import pathlib
import statistics
import sys
import threading
import time

import grow
import peers
from harness import ROOT, Daemon, Figures, heed_signals, load, machine, median_ms, now, percentile, tidy

PARTS = ["next", "jobs", "submit", "start", "recover", "memory", "metrics", "grow"]
PROGRAM = "/bin/true"


class Bench:
    def __init__(self, options):
        self.options, self.jobs, self.figures = options, options.jobs, Figures(options.out)

    def daemon(self, **more):
        return contextlib.closing(Daemon(self.options, **more))

    def table(self):
        self.figures.table("figure", "measured", "goal")

    def say_gaps(self, name, gaps):
        if gaps:
            self.figures.say(f"{name}, p50 of {len(gaps)}", percentile(gaps, 0.50), "ms", "2")
            self.figures.say(f"{name}, p99", percentile(gaps, 0.99), "ms", "10")
        else:
            print(f"{name}: no job began in that time")

    # --- parts ---

    def gaps_alone(self, jobs):
        with self.daemon() as d:
            d.start()
            d.wait_done(d.submit(jobs))
            d.stop()
            self.say_gaps("done -> next start on the same device", d.gaps_ms())

    def gaps_while_submitting(self):
        """The submit is one request; jobs of a sweep submitted before run meanwhile."""
        with self.daemon() as d:
            d.start()
            last = d.submit(min(20000, max(self.jobs // 5, 1)))
            begin = time.monotonic()
            d.submit(self.jobs)
            end = time.monotonic()
            if d.count(f"SELECT state FROM job WHERE id = {last}") != "queued":
                print(f"the {last} jobs before were over before the submit was; --jobs: more")
            d.stop()
            self.say_gaps(f"the same while {self.jobs:,} jobs are submitted", d.gaps_ms(begin, end))

    def gaps_beside_readers(self, jobs):
        with self.daemon() as d:
            d.start()
            last = d.submit(jobs)
            over = threading.Event()
            queries = []

            def query():
                with d.reader() as db:
                    while not over.is_set():
                        db.execute("SELECT * FROM results LIMIT 50").fetchall()
                        queries.append(len(db.execute("SELECT * FROM leaderboard LIMIT 50").fetchall()))

            readers = [threading.Thread(target=query) for _ in range(10)]
            for reader in readers:
                reader.start()
            try:
                d.wait_done(last)
            finally:
                over.set()
                for reader in readers:
                    reader.join()
            d.stop()
            self.say_gaps("the same beside ten readers that query all the time", d.gaps_ms())

    def part_next(self):
        self.table()
        jobs = min(self.jobs, 2000)
        self.gaps_alone(jobs)
        self.gaps_while_submitting()
        self.gaps_beside_readers(jobs)

    def rate(self, n, **env):
        with self.daemon(devices=2, **env) as d:
            d.start()
            begin = time.perf_counter()
            d.wait_done(d.submit(n))
            return n / (time.perf_counter() - begin)

    def contenders(self):
        """(name, jobs a round, jobs/s of n jobs) each."""
        n = min(self.jobs, 5000)
        found = [(f"sweepd, {PROGRAM} started for each job", max(n // 2, 1),
                  lambda n: self.rate(n, INSTANT_PROGRAM=PROGRAM)),
                 ("sweepd, workers stay", n, self.rate)]
        for peer, most in peers.all_peers(self.options.dir) if self.options.peers else []:
            if peer.missing():
                print(peer.missing())
                continue

            def peer_rate(n, peer=peer):
                with peer:
                    return peer.rate(n)
            found.append((peer.name, min(n, most), peer_rate))
        return found

    def part_jobs(self):
        contenders = self.contenders()
        rounds = []
        for i in range(self.options.rounds):
            rounds.append([rate(n) for _, n, rate in contenders])
            print(f"round {i + 1} of {self.options.rounds}:", *(f"{r:.1f}" for r in rounds[-1]), "jobs/s", file=sys.stderr)
        self.figures.table(f"`true`, two at a time; medians of {self.options.rounds} rounds, in turns", "jobs a round", "jobs/s",
                           "sweepd with a process per job is so many times as fast", "with workers that stay")
        for i, (name, n, _) in enumerate(contenders):
            rates = [r[i] for r in rounds]
            times = [statistics.median(r[of] / r[i] for r in rounds) for of in (0, 1)]
            self.figures.row(name, f"{n:,}", f"{statistics.median(rates):,.1f} ({min(rates):,.1f} to {max(rates):,.1f})",
                             *(f"{t:.2f}" for t in times))
            self.figures.keep(name=name, jobs=n, value=statistics.median(rates), unit="jobs/s", rounds=rates,
                              process_per_job=times[0], workers_stay=times[1])

    def part_submit(self):
        self.table()
        times = []
        with self.daemon(INSTANT_HOLD=1) as d:
            d.start()
            for _ in range(self.options.rounds):
                begin = time.perf_counter()
                d.submit(self.jobs)
                times.append(time.perf_counter() - begin)
        self.figures.say(f"submit of {self.jobs:,} jobs, median of {len(times)}", statistics.median(times), "s",
                         "1 at 100,000", times)

    def starts(self, d, n):
        times = []
        for _ in range(n):
            times.append(d.start())
            d.stop()
        return [1000 * t for t in times]

    def part_start(self):
        self.table()
        with self.daemon(INSTANT_HOLD=1) as d:
            empty = self.starts(d, 7)[1:]
            self.figures.say("start to ready, empty store, median of 6", statistics.median(empty), "ms", "50", empty)
            d.start()
            d.submit(self.jobs)
            d.stop()
            full = self.starts(d, 5)
            self.figures.say(f"start to ready, {self.jobs:,} jobs, median of 5", statistics.median(full), "ms", "50", full)

    def part_recover(self):
        self.table()
        n = min(self.jobs, 8)
        with self.daemon(devices=n, INSTANT_HOLD=1) as d:
            d.start()
            d.submit(self.jobs)
            d.wait("SELECT count(*) FROM attempt WHERE state = 'running'", n)
            ready, adopted = grow.recover(d, n, 5)
            about = f"kill -9, {self.jobs:,} jobs, {n} live workers"
            self.figures.say(f"{about}: ready again, median of 5", median_ms(ready), "ms", "200", [1000 * t for t in ready])
            self.figures.say("the same: all workers adopted", median_ms(adopted), "ms", "", [1000 * t for t in adopted])

    def part_memory(self):
        self.table()
        with self.daemon(INSTANT_HOLD=1) as d:
            d.start()
            self.figures.say("resident memory, idle", d.rss_mib(), "MiB", "10")
            d.submit(self.jobs)
            self.figures.say(f"resident memory after a submit of {self.jobs:,} jobs", d.rss_mib(), "MiB", "25 at 100,000")
            d.stop()
            d.start()
            self.figures.say(f"resident memory, {self.jobs:,} jobs queued, restarted", d.rss_mib(), "MiB", "25 at 100,000")

    def metric_rate(self, workers, lines):
        with self.daemon(devices=workers, INSTANT_METRICS=lines) as d:
            d.start()
            begin = time.perf_counter()
            d.wait_done(d.submit(workers))
            seconds = time.perf_counter() - begin
            return workers * lines / seconds, workers * lines - d.count("SELECT count(*) FROM metric")

    def part_metrics(self, workers=8):
        self.table()
        lines = min(50000, self.jobs)
        rates, lost = zip(*(self.metric_rate(workers, lines) for _ in range(self.options.rounds)))
        self.figures.say(f"durable metric lines, {workers} workers x {lines:,}, median of {len(rates)}",
                         statistics.median(rates), "lines/s", "100,000", rates)
        self.figures.say("of them not stored", sum(lost), "lines", "0")
        with self.daemon(devices=workers, INSTANT_METRICS=lines) as d:
            d.start()
            last = d.submit(workers)
            d.wait("SELECT count(*) FROM metric", lines)
            d.kill()
            d.start()
            d.wait_done(last)
            self.figures.say("lost across a kill -9 and a restart", workers * lines - d.count("SELECT count(*) FROM metric"),
                             "lines", "0")

    def part_grow(self):
        grow.run(self.options)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=lambda text: pathlib.Path(text).resolve(), default=ROOT / "build-bench")
    parser.add_argument("--dir", default="/var/tmp", help="where state directories are made; not a tmpfs")
    parser.add_argument("--jobs", type=int, default=100000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=pathlib.Path, help="figures are appended to it as lines of JSON")
    parser.add_argument("--peers", action="store_true", help="`jobs`: beside other queues")
    parser.add_argument("--install", action="store_true", help="install those queues with apt-get first")
    parser.add_argument("--growth", type=pathlib.Path, default=ROOT / "tests/bench/results/growth.jsonl",
                        help="`grow`: where its figures are kept; those already in it are not measured again")
    parser.add_argument("--sizes", default="1000,10000,100000,1000000", help="`grow`: jobs in the store")
    parser.add_argument("--window-s", type=float, default=5, help="`grow`: metric lines are counted so long")
    parser.add_argument("part", nargs="+", choices=PARTS + ["all"])
    options = parser.parse_args()
    heed_signals()
    if options.install:
        peers.install()
    bench = Bench(options)
    about = machine(options.dir)
    print(f"{about}; load {load()}; {now()}")
    bench.figures.keep(machine=about)
    began = time.monotonic()
    with tidy():
        for part in PARTS if "all" in options.part else options.part:
            getattr(bench, f"part_{part}")()
    print(f"\nload {load()} at the end, after {(time.monotonic() - began) / 60:.1f} min")


if __name__ == "__main__":
    main()
