#!/usr/bin/python3
"""How quick the daemon is: the real sweepd on a real database (synchronous=FULL), with tests/bench/instant_worker.c, which
answers at once, in the trainer's place.

    tests/bench/daemon_bench.py [--build DIR] [--dir DIR] [--jobs N] PART...

    next      done -> next start on one device: alone, while 100,000 jobs are being submitted, while ten readers query
    jobs      N trivial jobs over two devices; the same with a process per job; task-spooler and GNU parallel beside it
    submit    a grid of N jobs, on disk and acknowledged
    start     from exec to ready, with an empty store and with N jobs
    recover   from exec to ready with N rows and eight live workers, and until all eight are adopted
    memory    resident memory idle and with N queued jobs
    metrics   durable metric lines a second from eight workers; a kill -9 in the middle loses none
    grow      all of these at 1,000 to 1,000,000 jobs, as a line of JSON each (plot.py draws them)

Prints one line a figure: name, value, unit, and the goal where there is one.
"""
import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 600


class Daemon:
    """A sweepd with its own state directory, and its workers."""

    def __init__(self, bench, devices=1, **env):
        self.bench, self.devices = bench, devices
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="bench.", dir=bench.dir))
        self.state = self.root / "state"
        self.state.mkdir(mode=0o750)
        self.gap_file = self.root / "gaps"
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.root), "SWEEPD_DIR": str(self.state),
                    "INSTANT_LOG": str(self.gap_file), **{k: str(v) for k, v in env.items()}}
        self.process = None

    def start(self):
        """Seconds from exec to ready."""
        ready, theirs = os.pipe()
        begin = time.perf_counter()
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.bench.build / "daemon/sweepd", "--worker-program", self.bench.build / "tests/bench/instant_worker",
                 "--devices", str(self.devices), "--ready-fd", str(theirs)],
                pass_fds=[theirs], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        os.close(theirs)
        byte = os.read(ready, 1)
        seconds = time.perf_counter() - begin
        os.close(ready)
        if byte != b"1":
            raise SystemExit(f"sweepd did not start: {(self.root / 'log').read_text()[-500:]}")
        return seconds

    def ask(self, verb, **members):
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(WAIT_S)
            s.connect(str(self.state / "control.sock"))
            s.sendall(json.dumps({"verb": verb, **members}).encode() + b"\n")
            return json.loads(s.makefile("rb").readline())

    def submit(self, n, **members):
        repeat = min(n, 1000)
        rates = [1e-6 * (i + 1) for i in range(n // repeat)]
        text = json.dumps({"name": "bench", "method": "grid", "defaults": {"epochs": 1}, "repeat": repeat,
                           "parameters": {"lr": {"values": rates}}})
        answer = self.ask("submit", text=text, file_name="bench.json", again=True, **members)
        if not answer["ok"]:
            raise SystemExit(answer["error"])
        return answer

    @contextlib.contextmanager
    def reader(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.state}/results.db?mode=ro", uri=True, timeout=10)) as db:
            yield db

    def count(self, sql):
        with self.reader() as db:
            return db.execute(sql).fetchone()[0]

    def wait(self, sql, value):
        end = time.monotonic() + WAIT_S
        while self.count(sql) != value:
            if time.monotonic() > end:
                raise SystemExit(f"waited {WAIT_S} s for {sql}")
            time.sleep(0.005)

    def rss_mib(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0

    def stop(self):
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(WAIT_S)
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def gaps_ms(self):
        return [float(line.split()[1]) / 1000 for line in self.gap_file.read_text().splitlines()]

    def close(self):
        self.stop()
        shutil.rmtree(self.root, ignore_errors=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


class Bench:
    def __init__(self, options):
        self.build, self.jobs = pathlib.Path(options.build).resolve(), options.jobs
        self.dir, self.figures = options.dir, []

    def daemon(self, **more):
        return contextlib.closing(Daemon(self, **more))

    def say(self, name, value, unit, goal=None):
        self.figures.append({"name": name, "value": value, "unit": unit})
        print(f"{name:58} {value:12.4g} {unit:8}" + (f" goal {goal}" if goal else ""), flush=True)

    def say_gaps(self, name, gaps):
        self.say(f"{name}, p50 of {len(gaps)}", percentile(gaps, 0.50), "ms", "<= 2")
        self.say(f"{name}, p99", percentile(gaps, 0.99), "ms", "<= 10")

    # --- parts ---

    def part_next(self, jobs=2000):
        with self.daemon() as d:
            d.start()
            d.submit(jobs)
            d.wait("SELECT count(*) FROM job WHERE state = 'done'", jobs)
            d.stop()
            self.say_gaps("done -> next start", d.gaps_ms())
        with self.daemon() as d:
            d.start()
            d.submit(20000)
            big = threading.Thread(target=d.submit, args=(100000,))
            big.start()
            big.join()
            d.stop()
            self.say_gaps("the same while 100,000 jobs are submitted", d.gaps_ms())
        with self.daemon() as d:
            d.start()
            d.submit(jobs)
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
            d.wait("SELECT count(*) FROM job WHERE state = 'done'", jobs)
            over.set()
            for reader in readers:
                reader.join()
            d.stop()
            self.say_gaps(f"the same beside ten readers ({len(queries)} queries)", d.gaps_ms())

    def run_jobs(self, name, n, **env):
        with self.daemon(devices=2, **env) as d:
            d.start()
            begin = time.perf_counter()
            d.submit(n)
            d.wait("SELECT count(*) FROM job WHERE state = 'done'", n)
            self.say(name, n / (time.perf_counter() - begin), "jobs/s")

    def part_jobs(self):
        n = min(self.jobs, 10000)
        self.run_jobs(f"{n} jobs on two devices, workers stay", n)
        self.run_jobs(f"{n // 10} jobs on two devices, a process per job", n // 10, INSTANT_ONCE=1)
        if shutil.which("tsp"):
            with tempfile.TemporaryDirectory(dir=self.dir) as place:
                env = {**os.environ, "TS_SOCKET": f"{place}/socket", "TMPDIR": place, "TS_MAXFINISHED": "100000", "TS_SLOTS": "2"}
                m = n // 10
                begin = time.perf_counter()
                for _ in range(m):
                    subprocess.run(["tsp", "-n", "true"], env=env, check=True, stdout=subprocess.DEVNULL)
                subprocess.run(["tsp", "-n", "-N", "2", "true"], env=env, check=True, stdout=subprocess.DEVNULL)
                subprocess.run(["tsp", "-w"], env=env, check=True, stdout=subprocess.DEVNULL)
                self.say(f"task-spooler, {m} jobs in two slots", m / (time.perf_counter() - begin), "jobs/s")
                subprocess.run(["tsp", "-K"], env=env, check=False)
        if shutil.which("parallel"):
            begin = time.perf_counter()
            subprocess.run(["parallel", "-j2", "true", "{}"], input="\n".join(map(str, range(n // 10))), text=True, check=True,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.say(f"GNU parallel, {n // 10} jobs in two slots", n // 10 / (time.perf_counter() - begin), "jobs/s")

    def part_submit(self):
        times = []
        with self.daemon() as d:
            d.env["INSTANT_HOLD"] = "1"
            d.start()
            for _ in range(3):
                begin = time.perf_counter()
                d.submit(self.jobs)
                times.append(time.perf_counter() - begin)
        self.say(f"submit of {self.jobs} jobs, median of 3", statistics.median(times), "s", "<= 1 at 100,000")

    def part_start(self):
        with self.daemon(INSTANT_HOLD=1) as d:
            times = []
            for _ in range(7):
                times.append(d.start())
                d.stop()
            self.say("start to ready, empty store, median of 7", 1000 * statistics.median(times[1:]), "ms", "<= 50")
            d.start()
            d.submit(self.jobs)
            d.stop()
            times = []
            for _ in range(5):
                times.append(d.start())
                d.stop()
            self.say(f"start to ready, {self.jobs} jobs, median of 5", 1000 * statistics.median(times), "ms", "<= 50")

    def part_recover(self):
        with self.daemon(devices=8, INSTANT_HOLD=1) as d:
            d.start()
            d.submit(self.jobs)
            d.wait("SELECT count(*) FROM attempt WHERE state = 'running'", 8)
            ready, adopted = [], []
            for _ in range(5):
                d.kill()
                begin = time.perf_counter()
                ready.append(d.start())
                while sum(x["state"] == "ready" for x in d.ask("status")["devices"]) < 8:
                    time.sleep(0.001)
                adopted.append(time.perf_counter() - begin)
            self.say(f"kill -9, {self.jobs} jobs, 8 workers: ready, median of 5", 1000 * statistics.median(ready), "ms", "<= 200")
            self.say("the same: all workers adopted", 1000 * statistics.median(adopted), "ms")

    def part_memory(self):
        with self.daemon(INSTANT_HOLD=1) as d:
            d.start()
            self.say("resident memory, idle", d.rss_mib(), "MiB", "<= 10")
            d.submit(self.jobs)
            self.say(f"resident memory after a submit of {self.jobs} jobs", d.rss_mib(), "MiB", "<= 25 at 100,000")
            d.stop()
            d.start()
            self.say(f"resident memory, {self.jobs} jobs queued, restarted", d.rss_mib(), "MiB", "<= 25 at 100,000")

    def part_metrics(self, lines=50000):
        with self.daemon(devices=8, INSTANT_METRICS=lines) as d:
            d.start()
            begin = time.perf_counter()
            d.submit(8)
            d.wait("SELECT count(*) FROM job WHERE state = 'done'", 8)
            self.say(f"durable metric lines, 8 workers x {lines}", 8 * lines / (time.perf_counter() - begin), "lines/s", ">= 100,000")
            stored = d.count("SELECT count(*) FROM metric")
            self.say("of them not stored", 8 * lines - stored, "lines", "0")
        with self.daemon(devices=8, INSTANT_METRICS=lines) as d:
            d.start()
            d.submit(8)
            while d.count("SELECT count(*) FROM metric") < lines:
                time.sleep(0.001)
            d.kill()
            d.start()
            d.wait("SELECT count(*) FROM job WHERE state IN ('done', 'failed')", 8)
            self.say("lost across a kill -9 and a restart", 8 * lines - d.count("SELECT count(*) FROM metric"), "lines", "0")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=ROOT / "build-bench")
    parser.add_argument("--dir", default="/var/tmp", help="where state directories are made; not a tmpfs")
    parser.add_argument("--jobs", type=int, default=100000)
    parser.add_argument("part", nargs="+", choices=["next", "jobs", "submit", "start", "recover", "memory", "metrics"])
    options = parser.parse_args()
    bench = Bench(options)
    for part in options.part:
        getattr(bench, f"part_{part}")()


if __name__ == "__main__":
    main()
