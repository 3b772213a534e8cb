#!/usr/bin/python3
"""Times what sweepctl reads of a large store, with a fresh process each time, and the first page of each view.

    tests/bench/pages.py [--build BUILD] [--jobs N] [--epochs N] [--runs N] [--store DIR]

Makes the store with big_store.py (100,000 jobs of 100 epochs: two minutes, 2 GB below BUILD, removed at the end) unless --store
names a directory that has one.  Prints a table: median of the runs, most memory (GNU time's), whether the goal is met.
"""
import argparse
import os
import pathlib
import pty
import shutil
import socket
import sqlite3
import statistics
import subprocess
import tempfile
import threading
import time

import big_store

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGE_MS, PAGE_MIB = 100, 30
WHOLE_S = 10  # everything: streamed

VIEWS = ["results", "leaderboard", "curves", "queue", "resources", "samples", "steps"]


def pages(jobs):
    """What answers with a page or about one job; then what goes through everything."""
    return (["list", "list s1 --limit 100", "list s1 --state queued --limit 100", f"list {jobs // 2}-{jobs // 2 + 50}",
             "results --limit 100", "results --csv --limit 100", "leaderboard --limit 100", "show 5", "log 5", "wait 5",
             "watch 5", "compare 3 5", "report 1-8 -o -", "events", "events --after 1000 -n 100",
             "devices", "wandb status", "manual targets show", "manual targets resume", f"cancel {jobs}"],
            ["list s1", "list s1 --json", "results", "results --json", "results --csv", "leaderboard --json", "compare s1",
             "report --best 100 -o -"])


class Daemon:
    """Says yes to everything, for the verbs that ask one."""

    def __init__(self, path):
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(path))
        self.server.listen()
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.server.accept()
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    @staticmethod
    def answer(connection):
        for _ in connection.makefile("rb"):
            connection.sendall(b'{"ok": true, "jobs": [], "devices": []}\n')


def run(sweepctl, env, words):
    """Seconds of one run, its output thrown away."""
    start = time.monotonic()
    done = subprocess.run([sweepctl, *words.split()], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"sweepctl {words}: {done.stderr.decode()}")
    return time.monotonic() - start


def peak_mib(sweepctl, env, words):
    if not shutil.which("time"):
        return None
    with tempfile.NamedTemporaryFile("r") as file:
        subprocess.run([shutil.which("time"), "-q", "-f", "%M", "-o", file.name, sweepctl, *words.split()], env=env,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return int(file.read().split()[-1]) / 1024


def picture(sweepctl, env, words):
    """Seconds until a terminal shows the jobs; then it is left with q."""
    start = time.monotonic()
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(sweepctl, [sweepctl, *words.split()], {**os.environ, **env, "TERM": "xterm"})
    seen = b""
    while b"more" not in seen:
        seen += os.read(fd, 65536)
    seconds = time.monotonic() - start
    os.write(fd, b"q")
    try:
        while os.read(fd, 65536):
            pass
    except OSError:  # the end of a terminal
        pass
    os.waitpid(pid, 0)
    os.close(fd)
    return seconds


def view(path, name):
    start = time.monotonic()
    db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    rows = db.execute(f"SELECT * FROM {name} LIMIT 25").fetchall()
    db.close()
    return time.monotonic() - start, rows


def row(what, seconds, mib, goal_ms, goal_mib=PAGE_MIB):
    ms = statistics.median(seconds) * 1000
    met = "" if ms <= goal_ms and (mib is None or mib <= goal_mib) else ": missed"
    memory = "" if mib is None else f"{mib:.1f}"
    print(f"| {what} | {ms:.1f} | {memory} | {goal_ms:,} ms{'' if mib is None else f', {goal_mib} MiB'}{met} |", flush=True)


def measure(sweepctl, directory, jobs, runs):
    env = {"PATH": os.environ["PATH"], "HOME": str(directory), "SWEEPD_DIR": str(directory), "LANG": "C.UTF-8"}
    first, whole = pages(jobs)
    print("| what | median, ms | peak MiB | goal |\n| --- | --- | --- | --- |")
    for words in first:
        run(sweepctl, env, words)
        row(f"`{words}`", [run(sweepctl, env, words) for _ in range(runs)], peak_mib(sweepctl, env, words), PAGE_MS)
    row("`watch s1`, until the picture", [picture(sweepctl, env, "watch s1") for _ in range(runs)], None, PAGE_MS)
    for name in VIEWS:
        row(f"view {name}, 25 rows", [view(directory / "results.db", name)[0] for _ in range(runs)], None, PAGE_MS)
    for words in whole:
        row(f"`{words}`, everything", [run(sweepctl, env, words)], peak_mib(sweepctl, env, words), WHOLE_S * 1000)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build")
    parser.add_argument("--jobs", type=int, default=100000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--store", type=pathlib.Path)
    a = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=a.build, prefix="pages-") as directory:
        directory = a.store or pathlib.Path(directory)
        path = directory / "results.db"
        if not path.exists():
            big_store.make(path, a.jobs, a.epochs, 0.9)
        (directory / "jobs/5").mkdir(parents=True, exist_ok=True)
        (directory / "jobs/5/log.txt").write_text("a line\n" * 20)
        (directory / "control.sock").unlink(missing_ok=True)
        Daemon(directory / "control.sock")
        db = sqlite3.connect(path)
        jobs, epochs = (db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("job", "epoch"))
        db.close()
        print(f"{jobs:,} jobs, {epochs:,} epochs, {path.stat().st_size / 2**30:.1f} GiB\n")
        measure(a.build / "ctl/sweepctl", directory, jobs, a.runs)


if __name__ == "__main__":
    main()
