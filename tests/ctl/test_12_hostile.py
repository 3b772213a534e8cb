"""What others wrote never drives the terminal, tables fit 80 columns, and every error is a sentence, for every verb."""
import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import unicodedata

import pytest

import conftest

READING = [["list"], ["list", "s1"], ["show", "1"], ["show", "4"], ["results"], ["results", "--csv"],
           ["results", "--markdown"], ["leaderboard"], ["compare"], ["compare", "1", "2", "4"], ["events"], ["devices"],
           ["log", "1"], ["doctor"], ["report", "--markdown", "-o", "-"], ["watch", "1-2"], ["wait", "1-2"]]
EVIL = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202egnp\r\n"
DRIVES = re.compile("\x1b\\[2J|\x1b\\]|[\u0080-\u009f\u202e\x07]")


def on_terminal(place, *args, columns=80, cwd=None, **env):
    """Runs sweepctl on a terminal; what it wrote, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen([conftest.SWEEPCTL, *map(str, args)], stdin=slave, stdout=slave, stderr=slave, cwd=cwd,
                               env={**place.env, "TERM": "xterm", "NO_COLOR": "1", **env})
    os.close(slave)
    output = b""
    while True:
        try:
            more = os.read(master, 65536)
        except OSError:
            break
        if not more:
            break
        output += more
    os.close(master)
    return output.decode(errors="replace"), process.wait()


def columns_of(line):
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).replace("\r", "")
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in plain)


@pytest.fixture
def nasty(grid):
    """The grid with text of an attacker, or of somebody with a long name in Japanese, wherever the store holds text."""
    grid.sql("UPDATE sweep SET name = ?, note = ?", "\u65e5\u672c\u8a9e" * 20 + EVIL, "note" + EVIL)
    grid.set_state(4, "failed", "reason " + EVIL + "\u6f22\u5b57 " * 40, conftest.T0 + 9)
    grid.sql("UPDATE attempt SET device = 'cpu' || ?1, reason = ?1 WHERE job = 4", EVIL)
    grid.sql("UPDATE job SET own = json_set(own, '$.model', ?1), swept = json_set(swept, '$.model', ?1)"
             " WHERE id IN (1, 5)", "\u30e2\u30c7\u30eb" * 8 + EVIL)
    grid.sql("INSERT INTO event (at_ms, sweep, job, kind, detail) VALUES (1, 1, 1, ?, ?)", "k" + EVIL,
             json.dumps({"x": EVIL}, ensure_ascii=False))
    grid.sql("UPDATE device SET name = ?1, reason = ?1, state = 'set_aside'", "device" + EVIL)
    directory = grid.directory / "jobs" / "1"
    directory.mkdir(parents=True)
    (directory / "log.txt").write_bytes(("one\t1\n" + EVIL).encode() + b"\xff\xfe raw\n")
    return grid


@pytest.mark.parametrize("lang", ["C.UTF-8", "C"])
def test_text_of_others_never_drives_the_terminal(nasty, lang):
    for args in READING:
        out, _ = on_terminal(nasty, *args, LANG=lang)
        assert not DRIVES.search(out), (args, out)
        if args[0] == "log":
            assert "one\t1" in out and "?? raw" in out
            continue
        done = subprocess.run([conftest.SWEEPCTL, *args], env=nasty.env, capture_output=True, check=False)
        assert not DRIVES.search((done.stdout + done.stderr).decode()), args
    assert "\x1b" not in nasty.run("list", "s9" + EVIL, code=4).stderr


def test_a_log_in_a_pipe_is_the_log(nasty):
    raw = subprocess.run([conftest.SWEEPCTL, "log", "1"], env=nasty.env, capture_output=True, check=True).stdout
    assert raw == (nasty.directory / "jobs/1/log.txt").read_bytes()


def test_tables_fit_80_columns_and_say_what_is_cut(nasty):
    for args in (["list"], ["list", "s1"], ["results"], ["leaderboard"], ["compare"], ["compare", "1-6"], ["events"],
                 ["devices"], ["params"], ["doctor"]):
        out, _ = on_terminal(nasty, *args)
        assert max(map(columns_of, out.splitlines())) <= 80, (args, out)
        assert args[0] not in ("list", "results", "devices") or ".." in out
    wide, _ = on_terminal(nasty, "list", "s1", columns=400)
    assert "DEVICE" in wide and "\u6f22\u5b57 " * 40 in wide + " "
    assert "\u6f22\u5b57 " * 39 in nasty.run("list", "s1").stdout  # a pipe gets all


def test_columns_of_double_width_line_up(nasty):
    rows = nasty.run("list", "s1").stdout.splitlines()
    places = {columns_of(row[:row.index("Re" if "Reduce" in row else "StepLR")]) for row in rows[1:]}
    assert len(places) == 1


def test_json_has_the_text_as_it_is(nasty):
    assert nasty.json("list")[0]["name"].endswith(EVIL)
    assert nasty.json("show", 4)[0]["reason"].startswith("reason " + EVIL)


@pytest.mark.parametrize("args", READING, ids=" ".join)
def test_reading_needs_no_daemon(grid, args):
    directory = grid.directory / "jobs" / "1"
    directory.mkdir(parents=True)
    (directory / "log.txt").write_text("hello\n")
    assert grid.run(*args).returncode == 0


EACH = READING + [["cancel", "s1"], ["pause", "s1"], ["resume", "s1"], ["retry", "s1"], ["priority", "5", "s1"]]


@pytest.mark.parametrize("args", [a for a in EACH if a[0] != "doctor"], ids=" ".join)
def test_stores_that_cannot_be_read(grid, args):
    def told(sentence, code=7):
        error = grid.run(*args, code=code).stderr
        assert sentence in error and "do this:" in error, error
    grid.sql("PRAGMA user_version = 99")
    told("is of schema 99")
    grid.store.write_bytes(b"this is no database" * 1000)
    told("put the newest backup in the place of ")
    for name in ("results.db", "results.db-wal", "results.db-shm"):
        (grid.directory / name).unlink(missing_ok=True)
    grid.store.mkdir()
    told("is a directory; a database was expected")


@pytest.mark.parametrize("args", EACH, ids=" ".join)
def test_nothing_there_yet(place, args):
    """An empty directory, then an empty store: never an unexplained silence, never a crash."""
    for _ in range(2):
        done = subprocess.run([conftest.SWEEPCTL, *args], env=place.env, text=True, capture_output=True, check=False)
        assert done.returncode in conftest.documented_exits()[args[0]]
        assert done.stdout + done.stderr
        assert args[0] in ("doctor", "events", "devices") or re.search("no sweeps yet|there are none|no job is done",
                                                                       done.stdout + done.stderr)
        if not place.store.exists():
            place.make_store()


def test_numbers_of_jobs_that_cannot_be(grid):
    for word in ("0", "99999999999999999999", "1-99999999999999999999", "7-9"):
        error = grid.run("show", word, code=4).stderr
        assert re.match(r"error: (no job|not all of jobs|\"?)", error), error
    assert "--dir needs a directory" in grid.run("--dir=", "list", code=2).stderr


def test_metrics_that_are_not_numbers(grid):
    grid.sql("UPDATE epoch SET test_accuracy = NULL, test_loss = NULL, train_loss = NULL, train_accuracy = NULL,"
             " images_per_second = NULL, ram_mib = NULL, nonfinite = 'test_loss'")
    grid.sql("UPDATE job SET reason = 'it diverged' WHERE id = 4")
    grid.sql("UPDATE attempt SET reason = 'it diverged' WHERE job = 4")
    for args in READING:
        if args[0] not in ("log", "doctor"):
            assert not re.search(r"\bnan\b|\binf\b|\(null\)", grid.run(*args).stdout, re.I), args


def test_zero_epochs(place):
    place.make_store()
    place.add_sweep(epochs=0)
    for job in range(1, 9):
        place.set_state(job, "done", None, conftest.T0)
    for args in READING:
        if args[0] not in ("log", "doctor"):
            assert not re.search(r"\bnan\b|\binf\b|-2147483648", place.run(*args).stdout, re.I), args
