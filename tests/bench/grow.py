"""How the daemon's figures grow with its store; `daemon_bench.py grow` calls it, plot.py draws what it keeps.

For each size two stores are made, measured and removed.  One is submitted to a sweepd: N jobs, nearly all queued.  The other is
made by big_store.py: nine jobs in ten done, with three epochs each, for those who read.  A store's figures are kept together
once all of them are there, so a run that was cut short goes on with the store it was at."""
import contextlib
import json
import pathlib
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

from harness import ROOT, Daemon, Figures, end_with_parent, load, machine, median_ms, now, percentile, remove_later

LIVE = 8
EPOCHS = 3
SHARE_DONE = 0.9
VIEWS = ["results", "leaderboard", "curves", "queue"]
COMMANDS = {"sweepctl list": ["list"], "sweepctl list s1": ["list", "s1"], "sweepctl results s1": ["results", "s1"]}
BYTES_A_JOB = 1500  # of the larger store's file, roughly


def recover(d, live, times):
    """Seconds from exec to ready of a sweepd after kill -9, and until it has its live workers again; so often."""
    ready, adopted = [], []
    for _ in range(times):
        d.kill()
        begin = time.perf_counter()
        ready.append(d.start())
        while d.adopted() < live:
            time.sleep(0.001)
        adopted.append(time.perf_counter() - begin)
    return ready, adopted


def database_mib(state):
    return sum(path.stat().st_size for path in state.glob("results.db*")) / 2**20


class Growth:
    def __init__(self, options, size):
        self.options, self.size, self.figures = options, size, []

    def add(self, name, value, unit):
        self.figures.append((name, value, unit))

    @contextlib.contextmanager
    def daemon(self, place, **more):
        with contextlib.closing(Daemon(self.options, state=place, **more)) as d:
            d.start()
            yield d

    # --- a store of queued jobs ---

    def held(self, place):
        """Workers that stay in their first job."""
        with self.daemon(place, devices=LIVE, INSTANT_HOLD=1) as d:
            self.add("resident, idle", d.rss_mib(), "MiB")
            begin = time.perf_counter()
            d.submit(self.size)
            self.add("submit", time.perf_counter() - begin, "s")
            self.add("resident, submitted", d.rss_mib(), "MiB")
            d.wait("SELECT count(*) FROM attempt WHERE state = 'running'", LIVE)
            ready, adopted = recover(d, LIVE, 3)
            self.add("recover, ready", median_ms(ready), "ms")
            self.add("recover, adopted", median_ms(adopted), "ms")
            self.add("resident, restarted", d.rss_mib(), "MiB")
            starts = []
            for _ in range(5):
                d.stop()
                starts.append(d.start())
            self.add("start", median_ms(starts), "ms")
            self.add("database, queued", database_mib(d.state), "MiB")

    def working(self, place):
        """Jobs that end at once, on one device."""
        with self.daemon(place) as d:
            d.wait("SELECT count(*) FROM job WHERE state = 'done'", min(2000, self.size // 2))
            d.stop()
            gaps = d.gaps_ms()
        self.add("next, p50", percentile(gaps, 0.50), "ms")
        self.add("next, p99", percentile(gaps, 0.99), "ms")

    def metrics(self, place):
        with self.daemon(place, devices=LIVE, INSTANT_METRICS=10**7) as d:
            events = "SELECT max(id) FROM event"
            d.wait(events, d.count(events) + 1000)
            first, begin = d.count(events), time.perf_counter()
            time.sleep(self.options.window_s)
            self.add("metric lines", (d.count(events) - first) / (time.perf_counter() - begin), "lines/s")

    def queued(self):
        place = tempfile.mkdtemp(prefix="grow.", dir=self.options.dir)
        try:
            self.held(place)
            self.working(place)
            self.metrics(place)
        finally:
            remove_later(place)

    # --- a store of finished jobs ---

    def view(self, file, name):
        times = []
        for _ in range(5):
            with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as db:
                begin = time.perf_counter()
                db.execute(f"SELECT * FROM {name} LIMIT 50").fetchall()
                times.append(time.perf_counter() - begin)
        self.add(f"first page, {name}", median_ms(times), "ms")

    def command(self, state, name, words):
        times = []
        while len(times) < 3 and sum(times) < 20:
            begin = time.perf_counter()
            subprocess.run([self.options.build / "ctl/sweepctl", f"--dir={state}", *words], check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=end_with_parent)
            times.append(time.perf_counter() - begin)
        self.add(name, median_ms(times), "ms")

    def finished(self):
        place = pathlib.Path(tempfile.mkdtemp(prefix="grow.", dir=self.options.dir))
        file = place / "results.db"
        try:
            subprocess.run([sys.executable, ROOT / "tests/bench/big_store.py", file, "--jobs", str(self.size), "--epochs",
                            str(EPOCHS), "--share-done", str(SHARE_DONE)], check=True, preexec_fn=end_with_parent)
            self.add("database, finished", database_mib(place), "MiB")
            for name in VIEWS:
                self.view(file, name)
            for name, words in COMMANDS.items():
                self.command(place, name, words)
        finally:
            shutil.rmtree(place, ignore_errors=True)


def kept(path):
    """{(size, store): when} whose figures are in the file."""
    if not path.exists():
        return {}
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return {(row["jobs"], row["store"]): row["at"] for row in rows}


def room(options, size):
    free = shutil.disk_usage(options.dir).free
    needed = 2 * size * BYTES_A_JOB
    if free < needed:
        print(f"{size:,} jobs: left out, {options.dir} has {free >> 20} MiB free and {needed >> 20} are needed")
    return free >= needed


def measure(options, size, store, about):
    growth, began = Growth(options, size), time.monotonic()
    getattr(growth, store)()
    same = {"load": load(), "at": now(), "machine": about}
    rows = [{"jobs": size, "store": store, "name": name, "value": float(f"{value:.4g}"), "unit": unit, **same}
            for name, value, unit in growth.figures]
    with open(options.growth, "a", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    for row in rows:
        Figures().row(f"{size:,} jobs", row["name"], f"{row['value']:g} {row['unit']}")
    print(f"{size:,} jobs, {store}: {time.monotonic() - began:.0f} s", file=sys.stderr)


def run(options):
    sizes = [int(size) for size in options.sizes.split(",")]
    options.growth.parent.mkdir(exist_ok=True)
    about = machine(options.dir)
    Figures().table("store", "figure", "measured")
    for size in sizes:
        for store in ("queued", "finished"):
            before = kept(options.growth).get((size, store))
            if before:
                print(f"{size:,} jobs, {store}: kept from {before} (remove {options.growth.name} to measure again)",
                      file=sys.stderr)
            elif room(options, size):
                measure(options, size, store, about)
