"""Large stores: what a page costs does not depend on how much there is, and everything streams in a bounded memory.

The steps of SQLite's machine are counted (sql_spy.c) on two stores, one with three times the jobs of the other."""
import csv
import io
import json
import os
import pathlib
import pty
import re
import shutil
import sqlite3
import subprocess
import sys

import pytest

from conftest import ROOT, SWEEPCTL, Place

sys.path.append(str(ROOT / "tests/bench"))
import big_store  # noqa: E402

FEW, MANY, EPOCHS = 2500, 7500, 3

# What may cost a few steps a job: sums over narrow rows, in the order in which they lie; never an epoch or an event.
PER_JOB = {"SELECT state, count(*) FROM job WHERE sweep", "SELECT total(seconds) FROM job_epochs",
           "SELECT e.job, e.seconds, e.test_accuracy, e.best_test_accuracy FROM job"}
STEPS_PER_JOB = 25
LARGE = {"job", "j", "event", "epoch", "e", "l", "attempt", "a", "telemetry", "t", "metric", "step", "job_epochs"}

PAGES = ["list", "list s1 -n 20", "list s1 --state done -n 20", "list --state failed -n 3", "list 5 700-720",
         "results -n 20", "results --csv -n 20", "results 3,5", "leaderboard -n 20", "show 5", "show 5 --json",
         "watch 5", "wait 5", "events", "events --after 100 -n 20", "events s1", "events 5",
         "events s1 --kind epoch,done", "log 5", "devices", "compare 3 5",
         "manual targets show", "manual targets cancel", "manual targets resume"]


def make(directory, jobs):
    directory.mkdir()
    db = sqlite3.connect(directory / "results.db", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    big_store.fill(db, jobs, EPOCHS, 0.9)
    db.execute("ANALYZE")  # as nobody's store has it: plans do not depend on it
    db.execute("DROP TABLE sqlite_stat1")
    db.close()
    (directory / "jobs/5").mkdir(parents=True)
    (directory / "jobs/5/log.txt").write_text("a line\n")
    return Place(directory)


@pytest.fixture(scope="module", name="few")
def few_fixture(tmp_path_factory):
    return make(tmp_path_factory.mktemp("few") / "store", FEW)


@pytest.fixture(scope="module", name="many")
def many_fixture(tmp_path_factory):
    return make(tmp_path_factory.mktemp("many") / "store", MANY)


class Spied:
    """A run of sweepctl: what it printed, {SQL: (steps, plan)}, and the most memory it held."""

    def __init__(self, shim, place, program, *args):
        path = shim.with_name("spied")
        path.unlink(missing_ok=True)
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        env = {**place.env, "LD_PRELOAD": str(shim), "SQL_SPY": str(path), "ASAN_OPTIONS": asan}
        done = subprocess.run([program, *args], env=env, text=True, capture_output=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        self.out, self.statements, self.kib = done.stdout, {}, 0
        for line in path.read_text().splitlines():
            kind, rest = line.split(" ", 1)
            if kind == "S":
                steps, sql = rest.split(" ", 1)
                self.statements[sql] = (int(steps), [])
            elif kind == "P":
                list(self.statements.values())[-1][1].append(rest)
            else:
                self.kib = int(rest)


@pytest.fixture(scope="module", name="shim")
def shim_fixture(tmp_path_factory):
    if not shutil.which("cc"):
        pytest.skip("needs a C compiler")
    shim = tmp_path_factory.mktemp("spy") / "spy.so"
    source = pathlib.Path(__file__).with_name("sql_spy.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, source, "-ldl", "-lsqlite3"], check=True)
    return shim


def is_per_job(sql):
    return any(sql.startswith(start) for start in PER_JOB)


@pytest.mark.parametrize("words", PAGES)
def test_a_page_costs_a_page(few, many, shim, words):
    small, large = (Spied(shim, place, SWEEPCTL, *words.split()).statements for place in (few, many))
    assert small and large.keys() == small.keys()
    for sql, (steps, plan) in large.items():
        scans = [step for step in plan if step.startswith("SCAN") and step.split()[1] in LARGE]
        assert set(scans) <= {"SCAN a USING INDEX attempt_live"} or steps < 50, (sql, plan)  # those that run; the newest row
        if is_per_job(sql):
            assert steps < STEPS_PER_JOB * MANY and not any("epoch " in step or "event" in step for step in plan), (sql, plan)
        else:
            assert steps < 1.25 * small[sql][0] + 300, (sql, steps, small[sql][0])


def test_a_page_has_what_needs_eyes_first(many):
    rows = many.json("list", "s1", "-n", 12)
    assert [r["state"] for r in rows] == ["running"] * 2 + ["failed"] * 8 + ["queued"] * 2
    assert [r["job"] for r in rows] == [6751, 6752, *range(6800, 7501, 100), 6753, 6754]
    assert [r["job"] for r in many.json("list", "s1", "-n", 10, "--state", "done")] == list(range(1, 11))
    err = many.run("list", "s1", "-n", 10).stderr
    assert "... 7,490 more: sweepctl list --limit 0 s1\n" in err
    assert "more" not in many.run("list", "1-10", "-n", 10).stderr


@pytest.mark.parametrize("words, last", [
    ("list s1", "... 7,400 more: sweepctl list --limit 0 s1"), ("list --limit 0 s1", None),
    ("results big", "... 7,400 more: sweepctl results --limit 0 big"),
    ("leaderboard", "... 6,650 more: sweepctl leaderboard --limit 0")])
def test_a_terminal_gets_a_hundred_lines(many, words, last):
    pid, fd = pty.fork()
    if pid == 0:
        os.execve(SWEEPCTL, [SWEEPCTL, *words.split()], {**os.environ, **many.env, "TERM": "dumb"})
    data = b""
    try:
        while part := os.read(fd, 65536):
            data += part
    except OSError:  # the end of a terminal
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    lines = data.decode().splitlines()
    rows = [line for line in lines if re.search(r"resnet(18|50)", line)]
    assert len(rows) == (100 if last else MANY) and (last in lines if last else "more" not in lines[-1])


@pytest.mark.parametrize("words", ["list s1 --json", "results --json", "leaderboard --json", "results --csv", "list s1",
                                   "results --markdown"])
def test_everything_streams(few, many, shim, words):
    program = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", ROOT / "build")) / "ctl/sweepctl"
    if not program.exists():
        pytest.skip(f"no {program}: a sanitizer keeps what is freed")
    small, large = (Spied(shim, place, program, *words.split()) for place in (few, many))
    text = large.out
    if "--json" in words:
        jobs = [row["job"] for row in json.loads(text)]
        expected = range(1, int(MANY * .9) + 1) if "leaderboard" in words else range(1, MANY + 1)
        assert sorted(jobs) == list(expected) and ("leaderboard" in words or jobs == sorted(jobs))
    elif "--csv" in words:
        assert [int(row["job"]) for row in csv.DictReader(io.StringIO(text))] == list(range(1, MANY + 1))
    else:
        assert len(text.splitlines()) - MANY == len(small.out.splitlines()) - FEW
    assert large.kib < small.kib + 2000, (small.kib, large.kib)  # SQLite's page cache is 2 MiB; 5,000 rows would be 20


def test_pages_join_without_a_seam(many):
    ranked = [row["job"] for row in many.json("leaderboard", "--limit", "0")]
    stored = [job for job, in many.sql("SELECT job FROM leaderboard ORDER BY rank")]
    assert ranked == stored and len(stored) == int(MANY * .9)
    assert [r["job"] for r in many.json("leaderboard", "5,9", "1-3")] == [j for j in stored if j in (1, 2, 3, 5, 9)]


def test_no_job_twice_and_none_left_out(many):
    jobs = [row["job"] for row in many.json("list", "7", "s1", "7000-7100", "7")]
    assert jobs[0] == 7 and sorted(jobs) == list(range(1, MANY + 1))
    assert [row["job"] for row in many.json("list", "5-8", "7-10", "2")] == [5, 6, 7, 8, 9, 10, 2]


def test_time_left_of_a_sample_is_that_of_all(many):
    [sweep] = many.json("list")
    assert sweep["states"]["done"] == MANY * .9 and sweep["states"]["running"] == 2
    [[seconds]] = many.sql("SELECT sum(seconds) FROM job_epochs")
    assert sweep["minutes"] == pytest.approx(seconds / 60)
    # two devices; an epoch takes 1.1 s, what a job does beside its epochs 2 s
    left = (sweep["states"]["queued"] * (EPOCHS * 1.1 + 2) + 2 * 1.1) / 2
    assert sweep["minutes_left"] == pytest.approx(left / 60, rel=0.02)
    [[best]] = many.sql("SELECT max(value) FROM job_epochs JOIN job ON job.id = job WHERE state = 'done'")
    assert sweep["best"] == best


def test_compare_reads_all_and_leaves_out_a_seed_a_job(few):
    few.sql("""UPDATE sweep SET swept = '["model", "lr", "seed"]'""")
    [sweep] = few.json("compare", "s1")["sweeps"]
    text = few.run("compare", "s1").stdout
    few.sql("""UPDATE sweep SET swept = '["model", "lr"]'""")
    assert (sweep["jobs"], sweep["counted"]) == (FEW, FEW * .9) and "seed is left out: it has more than 1000 values" in text
    assert {p["name"]: (len(p["values"]), p["left_out"]) for p in sweep["parameters"]} == {
        "model": (2, False), "lr": (7, False), "seed": (0, True)}


def test_a_report_of_too_many_jobs_is_refused_and_one_of_the_best_made(many):
    err = many.run("report", "s1", "-o", "-", code=2).stderr
    assert "these are 7500 jobs; a report holds at most 2000" in err and "sweepctl report --best 100 s1" in err
    text = many.run("report", "--best", 3, "-m", "-o", "-").stdout
    best = [job for job, in many.sql("SELECT job FROM leaderboard LIMIT 3")]
    assert all(f"jobs {','.join(map(str, sorted(best)))}" in text or f"| {job} |" in text for job in best), text


def test_watch_says_what_changes_among_many(few):
    daemon = few.daemon()
    with subprocess.Popen([SWEEPCTL, "watch", "s1", "--interval", "0"], env=few.env, stdout=subprocess.PIPE, text=True) as watch:
        assert re.search(r"s1 done=2250 running=2 queued=245 failed=3 left=\d+", watch.stdout.readline())
        assert daemon.connected.wait(10)
        daemon.send(type="event", id=few.set_state(2300, "cancelled", "by you"))
        assert 'job=2300 state=cancelled reason="by you"' in watch.stdout.readline()
        daemon.send(type="event", id=few.epoch(2251, 2251, 3, 77.0))
        assert re.search(r"job=2251 epoch=3/3 test_accuracy=77.00 ", watch.stdout.readline())
        watch.kill()
    daemon.stop()
