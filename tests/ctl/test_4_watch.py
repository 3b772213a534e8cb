"""watch: plain lines, JSON, and the picture on a real terminal (a pty)."""
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
import time

import conftest


def start(place, *args, verb="watch"):
    return subprocess.Popen([conftest.SWEEPCTL, verb, *args], env=place.env, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE)


def finish_all(place, daemon, jobs):
    for job in jobs:
        place.finish(job, [50.0, 60.0, 70.0]) if job != 3 else place.set_state(3, "done", None, conftest.T0 + 300_000)
    daemon.send(type="event", id=place.sql("SELECT max(id) FROM event")[0][0])


def test_lines_one_for_each_change(grid):
    daemon = grid.daemon()
    watch = start(grid, "s1", "--interval", "0")
    assert re.fullmatch(r"\d\d:\d\d:\d\d s1 done=2 running=1 queued=4 failed=1 left=>1m\n", watch.stdout.readline())
    assert daemon.connected.wait(10)
    daemon.send(type="progress", job=3, epoch=2, step=5, steps=10, images_per_second=99.5, phase="train")
    daemon.send(type="event", id=grid.epoch(3, grid.sql("SELECT id FROM attempt WHERE job = 3")[0][0], 2, 55.5))
    assert re.search(r" job=3 epoch=2/3 test_accuracy=55.50 test_loss=1.500 left=33s\n", watch.stdout.readline())
    finish_all(grid, daemon, [3])
    assert re.search(r" job=3 state=done test_accuracy=55.50 minutes=1.10\n", watch.stdout.readline())
    finish_all(grid, daemon, [5, 6, 7])
    daemon.send(type="event", id=grid.set_state(8, "cancelled", "by you"))
    out, err = watch.communicate(timeout=20)
    assert 'job=8 state=cancelled reason="by you"' in out
    assert out.splitlines()[-1].endswith("s1 done=6 running=0 queued=0 failed=1 cancelled=1")
    assert watch.returncode == 0 and err == ""


def test_interval_limits_epoch_lines(grid):
    daemon = grid.daemon()
    watch = start(grid, "s1", "--interval", "3600")
    assert daemon.connected.wait(10)
    attempt = grid.sql("SELECT id FROM attempt WHERE job = 3")[0][0]
    watch.stdout.readline()
    daemon.send(type="event", id=grid.epoch(3, attempt, 2, 55.5))
    assert "epoch=2/3" in watch.stdout.readline()
    daemon.send(type="event", id=grid.epoch(3, attempt, 3, 56.5))
    finish_all(grid, daemon, [3, 5, 6, 7, 8])
    out, _ = watch.communicate(timeout=20)
    assert "job=3 epoch=" not in out and "job=3 state=done" in out


def test_json_lines_and_exit_status(grid):
    daemon = grid.daemon()
    watch = start(grid, "--json", "--exit-status")
    assert daemon.connected.wait(10)
    finish_all(grid, daemon, [3, 5, 6, 7, 8])
    out, _ = watch.communicate(timeout=20)
    rows = [json.loads(line) for line in out.splitlines()]
    assert rows[0]["sweep"] == "s1" and rows[0]["queued"] == 4 and rows[0]["seconds_left"] is None
    assert {r["job"]: r["state"] for r in rows if "state" in r} == dict.fromkeys([3, 5, 6, 7, 8], "done")
    assert watch.returncode == 1  # job 4 failed


def test_what_is_over_needs_no_daemon(grid):
    for job in (3, 5, 6, 7, 8):
        grid.set_state(job, "cancelled")
    assert grid.run("watch").stdout.count("cancelled=5") == 1
    assert grid.run("watch", "--exit-status", "1-2").returncode == 0


def test_something_left_without_a_daemon_is_exit_3(grid):
    assert "sweepctl daemon start" in grid.run("watch", code=3).stderr


def test_wait_goes_on_while_jobs_are_paused_and_says_so_once(grid):
    for job in (5, 6, 7, 8):
        grid.set_state(job, "paused", "paused by uid 0")
    grid.set_state(3, "done", None, conftest.T0 + 300_000)
    daemon = grid.daemon()
    waiting = start(grid, "s1", verb="wait")
    assert waiting.stderr.readline() == "4 jobs are paused; `sweepctl resume s1` lets them go on\n"
    assert daemon.connected.wait(10) and waiting.poll() is None
    daemon.send(type="event", id=grid.set_state(5, "paused", "still"))
    finish_all(grid, daemon, [5, 6, 7, 8])
    out, err = waiting.communicate(timeout=20)
    assert (out, err, waiting.returncode) == ("", "", 1)  # job 4 failed


def test_wait_for_paused_jobs_ends_with_the_time(grid):
    grid.set_state(5, "paused")
    grid.daemon()
    err = grid.run("wait", 5, "--timeout", "0.2", code=124).stderr
    assert "1 job is paused" in err and "the time is up" in err


def test_watch_does_not_take_paused_jobs_for_over(grid):
    daemon = grid.daemon()
    for job in (3, 5, 6, 7, 8):
        grid.set_state(job, "paused")
    watch = start(grid, "s1", "--exit-status")
    assert "paused=5" in watch.stdout.readline()
    assert "5 jobs are paused" in watch.stderr.readline()
    assert daemon.connected.wait(10) and watch.poll() is None
    finish_all(grid, daemon, [3, 5, 6, 7, 8])
    out, _ = watch.communicate(timeout=20)
    assert "done=7" in out and watch.returncode == 1


def test_wait_says_nothing_and_exits_with_the_outcome(grid):
    daemon = grid.daemon()
    waiting = start(grid, "3", verb="wait")
    assert daemon.connected.wait(10)
    assert waiting.poll() is None
    finish_all(grid, daemon, [3])
    assert waiting.communicate(timeout=20) == ("", "")
    assert waiting.returncode == 0
    assert grid.run("wait", 1).stdout == ""
    failed = grid.sql("SELECT id FROM job WHERE state = 'failed'")[0][0]
    grid.run("wait", 1, failed, code=1)
    grid.run("wait", 99, code=4)


def test_wait_gives_up_after_its_timeout(grid):
    grid.daemon()
    assert "the time is up" in grid.run("wait", 3, "--timeout", "0.2", code=124).stderr
    assert "needs seconds" in grid.run("wait", 3, "--timeout", "soon", code=2).stderr


def test_the_daemon_goes_and_comes_back(grid):
    daemon = grid.daemon()
    watch = start(grid, "s1")
    assert daemon.connected.wait(10)
    daemon.stop()
    assert "sweepd is gone" in watch.stderr.readline()
    for job in (3, 5, 6, 7, 8):
        grid.set_state(job, "cancelled")
    grid.daemon()
    out, err = watch.communicate(timeout=20)
    assert "sweepd is back" in err and "cancelled=5" in out and watch.returncode == 0


class Terminal:
    """sweepctl on a pty of a given size; `screen` keeps the bytes it wrote."""

    def __init__(self, place, *args, columns=80, rows=24):
        self.master, slave = pty.openpty()
        self.slave = slave
        self.before = termios.tcgetattr(slave)
        self.resize(columns, rows)
        self.child = subprocess.Popen([conftest.SWEEPCTL, *args], env={**place.env, "TERM": "xterm"}, stdin=slave,
                                      stdout=slave, stderr=slave, preexec_fn=self.take_terminal)
        self.screen = ""

    def take_terminal(self):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def resize(self, columns, rows):
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read_until(self, pattern, timeout=15):
        end = time.monotonic() + timeout
        while not re.search(pattern, self.screen):
            ready, _, _ = select.select([self.master], [], [], max(0, end - time.monotonic()))
            assert ready, f"{pattern!r} did not appear in {self.screen!r}"
            self.screen += os.read(self.master, 65536).decode()
        return self.screen

    def key(self, text):
        os.write(self.master, text.encode())

    def drain(self):
        while select.select([self.master], [], [], 0)[0]:
            self.screen += os.read(self.master, 65536).decode()

    def wait(self):
        end = time.monotonic() + 15
        while self.child.poll() is None and time.monotonic() < end:
            select.select([self.master], [], [], 0.05)
            self.drain()
        self.drain()
        return self.child.wait(timeout=1)

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before and self.screen.rstrip().count("\x1b[?25h") >= 1


def plain(text):
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).replace("\r", "")


def test_picture_and_q(grid):
    grid.daemon()
    terminal = Terminal(grid, "watch")
    text = plain(terminal.read_until("q leave"))
    assert "s1 grid   2 done, 1 running, 4 queued, 1 failed" in text
    assert " 37 % of the jobs   best 75.62  (job 1)" in text
    assert re.search(r"3 +resnet18 +0.05 +StepLR +\[##------\] +1/3", text)
    assert max(map(len, text.splitlines())) <= 80
    terminal.key("q")
    assert terminal.wait() == 0 and terminal.restored()
    assert "training goes on" in terminal.screen


def test_progress_moves_the_bar(grid):
    daemon = grid.daemon()
    terminal = Terminal(grid, "watch")
    assert daemon.connected.wait(10)
    daemon.send(type="progress", job=3, epoch=2, step=99, steps=100, images_per_second=321.0, phase="train")
    terminal.read_until(r"\[#####---\] +1/3 +321")
    terminal.key("q")
    assert terminal.wait() == 0


def test_ctrl_c_restores_the_terminal(grid):
    grid.daemon()
    terminal = Terminal(grid, "watch")
    terminal.read_until("q leave")
    terminal.key("\x03")
    assert terminal.wait() == 130 and terminal.restored()


def test_term_restores_the_terminal(grid):
    grid.daemon()
    terminal = Terminal(grid, "watch")
    terminal.read_until("q leave")
    terminal.child.send_signal(signal.SIGTERM)
    assert terminal.wait() == 130 and terminal.restored()


def test_narrow_terminal_drops_columns_and_wraps_nothing(grid):
    grid.daemon()
    terminal = Terminal(grid, "watch", columns=60, rows=20)
    text = plain(terminal.read_until("q leave"))
    assert max(map(len, text.splitlines())) <= 60 and "IMG/S" not in text and "TEST %" in text
    terminal.screen = ""
    terminal.resize(100, 30)
    terminal.read_until(r"IMG/S(.|\n)*q leave")
    terminal.key("q")
    assert terminal.wait() == 0


def test_a_low_terminal_keeps_the_head(grid):
    """What does not fit would scroll the first lines off, where nothing paints over them."""
    grid.daemon()
    for rows in (12, 8, 5):
        terminal = Terminal(grid, "watch", columns=60, rows=rows)
        text = plain(terminal.read_until("of the jobs(.|\n)*\x1b\\[J"))
        assert text.startswith("s1 grid ") and text.count("\n") < rows
        assert rows < 12 or "q leave" in text
        terminal.key("q")
        assert terminal.wait() == 0


def test_a_state_is_told_once(place):
    """A row may be newer than the events that were read before it; what it tells must not be told again with its own."""
    jobs = range(1, 601)
    place.make_store()
    place.add_sweep(grid=[("resnet18", lr / 10000, "StepLR") for lr in jobs])
    daemon = place.daemon()
    watch = start(place, "s1", "--json")
    lines = []
    reading = threading.Thread(target=lambda: lines.extend(watch.stdout))
    reading.start()
    assert daemon.connected.wait(10)
    for job in jobs:
        for state in ("running", "done"):
            with place.connect() as db:  # both at once, as the daemon's
                db.execute("UPDATE job SET state = ? WHERE id = ?", (state, job))
                event = db.execute("INSERT INTO event (at_ms, sweep, job, kind) VALUES (1, 1, ?, 'state')", (job,)).lastrowid
            db.close()
            daemon.send(type="event", id=event)
    assert watch.wait(20) == 0
    reading.join()
    said = [(row["job"], row["state"]) for row in map(json.loads, lines) if "state" in row]
    assert len(set(said)) == len(said)
    assert [job for job, state in sorted(said) if state == "done"] == list(jobs)


def test_more_jobs_than_rows(grid):
    grid.add_sweep("many", grid=[("resnet18", i / 1000, "StepLR") for i in range(1, 101)])
    grid.daemon()
    terminal = Terminal(grid, "watch", rows=20)
    text = plain(terminal.read_until("q leave"))
    assert len(text.splitlines()) < 20
    assert re.search(r"\n +\d+ more\n", text) and "[##------]" in text and "2 sweeps" in text
    terminal.key("q")
    assert terminal.wait() == 0


def test_the_daemon_gone_is_said_on_top(grid):
    daemon = grid.daemon()
    terminal = Terminal(grid, "watch")
    terminal.read_until("q leave")
    assert daemon.connected.wait(10)
    daemon.stop()
    terminal.screen = ""
    terminal.read_until("sweepd is gone since")
    terminal.key("q")
    assert terminal.wait() == 0


def test_the_end_leaves_the_picture(grid):
    daemon = grid.daemon()
    terminal = Terminal(grid, "watch")
    assert daemon.connected.wait(10)
    finish_all(grid, daemon, [3, 5, 6, 7, 8])
    assert terminal.wait() == 0 and terminal.restored()
    assert "7 done, 1 failed" in plain(terminal.screen)


def test_list_and_results_fit_a_narrow_terminal(grid):
    for args in (["list"], ["list", "s1"], ["results"]):
        terminal = Terminal(grid, *args, columns=60)
        assert terminal.wait() == 0
        rows = plain(terminal.screen).splitlines()
        assert len(rows) > 1 and max(map(len, rows[1:])) <= (60 if args[0] == "list" else 80)
