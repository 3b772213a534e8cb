"""What the measurements of the daemon share: a sweepd with a state directory of its own, and where figures go.

Nothing outlives a measurement: SIGTERM and Ctrl-C close what is open, and a sweepd whose measurement was killed is asked
to stop by the kernel."""
import contextlib
import ctypes
import datetime
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_S = 600
PR_SET_PDEATHSIG = 1


def heed_signals():
    """SIGTERM ends a measurement as Ctrl-C does, through every `finally`."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def end_with_parent():
    """In a child: SIGTERM when the process that measures ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def end_process(process, number=signal.SIGTERM, wait_s=WAIT_S):
    """Asks, waits, and kills what does not heed."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        process.wait(wait_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


RUBBISH = []  # directories


def remove_later(directory):
    """When all is measured: for a minute ext4 looks at each inode that was freed before it makes a new one."""
    RUBBISH.append(directory)


@contextlib.contextmanager
def tidy():
    try:
        yield
    finally:
        for directory in RUBBISH:
            shutil.rmtree(directory, ignore_errors=True)


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def load():
    return round(os.getloadavg()[0], 1)


def machine(directory):
    """One line: processor, cores, memory, kernel, file system."""
    lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    best = next((name for name, flag in (("AVX-512", "avx512f"), ("AVX2", "avx2")) if flag in about.get("flags", "").split()),
                "no AVX2")
    cpu = f"{about.get('model name', platform.machine())}, family {about.get('cpu family', '?')} model {about.get('model', '?')}"
    mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") >> 20
    kind = subprocess.run(["df", "--output=fstype", directory], capture_output=True, text=True, check=True).stdout.split()[1]
    return f"{cpu} ({best}), {os.cpu_count()} cores, {mib} MiB, Linux {platform.release()}, {kind}"


def now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def number(value):
    """Four digits that count, and no exponent."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


class Figures:
    """Prints a table of Markdown, row by row, as docs/performance.md has it; keeps the figures as lines of JSON."""

    def __init__(self, path=None):
        self.path = path

    def table(self, *columns):
        print("\n| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns), flush=True)

    def row(self, *cells):
        print("| " + " | ".join(cells) + " |", flush=True)

    def say(self, name, value, unit, goal="", spread=()):
        between = f" ({number(min(spread))} to {number(max(spread))})" if len(spread) > 1 else ""
        self.row(name, f"{number(value)}{between} {unit}", goal)
        self.keep(name=name, value=value, unit=unit)

    def keep(self, **members):
        if self.path:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({**members, "load": load(), "at": now()}) + "\n")


class Daemon:
    """A sweepd with its own state directory, and its workers.  state: of an earlier one, kept; None: a new one."""

    def __init__(self, options, devices=1, state=None, **env):
        self.build, self.devices, self.kept = options.build, devices, bool(state)
        self.root = pathlib.Path(state or tempfile.mkdtemp(prefix="bench.", dir=options.dir))
        self.root.mkdir(exist_ok=True)
        self.state = self.root / "state"
        self.state.mkdir(mode=0o750, exist_ok=True)
        self.gap_file = self.root / "gaps"
        self.gap_file.unlink(missing_ok=True)
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.root), "SWEEPD_DIR": str(self.state),
                    "INSTANT_LOG": str(self.gap_file), **{k: str(v) for k, v in env.items()}}
        self.env.update({k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_"))})
        self.process = None

    def start(self):
        """Seconds from exec to ready."""
        ready, theirs = os.pipe()
        begin = time.perf_counter()
        with open(self.root / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self.build / "daemon/sweepd", "--worker-program", self.build / "tests/bench/instant_worker",
                 "--devices", str(self.devices), "--ready-fd", str(theirs)], pass_fds=[theirs], env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=end_with_parent)
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

    def submit(self, n):
        """A grid of n jobs (above 1,000: of the thousands in it); the last job's number."""
        repeat = min(n, 1000)
        rates = [1e-6 * (i + 1) for i in range(n // repeat)]
        text = json.dumps({"name": "bench", "method": "grid", "defaults": {"epochs": 1}, "repeat": repeat,
                           "parameters": {"lr": {"values": rates}}})
        answer = self.ask("submit", text=text, file_name="bench.json", again=True)
        if not answer["ok"]:
            raise SystemExit(answer["error"])
        return answer["last_job"]

    @contextlib.contextmanager
    def reader(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.state}/results.db?mode=ro", uri=True, timeout=10)) as db:
            yield db

    def count(self, sql):
        with self.reader() as db:
            return db.execute(sql).fetchone()[0]

    def wait(self, sql, reached):
        """Until the statement's one value is at least that."""
        end = time.monotonic() + WAIT_S
        with self.reader() as db:
            while db.execute(sql).fetchone()[0] < reached:
                if time.monotonic() > end:
                    raise SystemExit(f"waited {WAIT_S} s for {sql}")
                time.sleep(0.002)

    def wait_done(self, last):
        """Until every job up to that one is done.  Cheap, for it is asked often: they start in their order, so first the
        last one is looked at, and then they are counted."""
        self.wait(f"SELECT state = 'done' FROM job WHERE id = {last}", 1)
        self.wait(f"SELECT NOT EXISTS (SELECT 1 FROM job WHERE state IN ('queued', 'running') AND id <= {last})", 1)
        failed = "FROM job WHERE state = 'failed'"
        if self.count(f"SELECT count(*) {failed}"):
            raise SystemExit(f"jobs failed: {self.count(f'SELECT reason {failed}')}")

    def status_kib(self, name):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
        return 0

    def rss_mib(self):
        return self.status_kib("VmRSS") / 1024

    def adopted(self):
        return sum(device["state"] == "ready" for device in self.ask("status")["devices"])

    def stop(self):
        if self.process:
            end_process(self.process)
        self.process = None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def gaps_ms(self, begin=0.0, end=float("inf")):
        """Of jobs that said `done` between these moments of time.monotonic()."""
        rows = [line.split() for line in self.gap_file.read_text().splitlines()]
        return [float(us) / 1000 for _, at_us, us in rows if begin <= float(at_us) / 1e6 <= end]

    def close(self):
        self.stop()
        if not self.kept:
            remove_later(self.root)


def median_ms(seconds):
    return 1000 * statistics.median(seconds)
