"""The store's own sums: job_epochs equals what one computes from the epochs that count, whatever order they come in; and
the views give their first page without reading everything."""
import pathlib
import random
import re
import sqlite3
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/bench"))
import big_store  # noqa: E402

QUERIES = re.findall(r"-- name: (\w+)\n(.*?;)\n", (ROOT / "schema/queries.sql").read_text(), re.S)

VIEWS = ["results", "leaderboard", "curves", "queue", "resources", "samples", "steps"]
METRICS = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
OTHER = "val_accuracy"  # without a column of its own


def empty_store(metric="test_accuracy", goal="maximize"):
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript((ROOT / "schema/001-init.sql").read_text())
    db.executescript((ROOT / "schema/views.sql").read_text())
    db.execute("""INSERT INTO sweep (id, name, project, state, metric, goal, swept, base, n_jobs, text, overrides, hash,
        retries, owner_uid, submitted_ms) VALUES (1, 'a', 'b', 'active', ?, ?, '[]', '{}', 1, '', '[]', 'h', 2, 0, 0)""", (metric, goal))
    db.execute("""INSERT INTO job (id, sweep, position, kind, own, swept, state, created_ms)
        VALUES (1, 1, 0, 'train', '{}', '{}', 'done', 0)""")
    return db


def add_epochs(db, attempt, first, last, rng):
    for epoch in range(first, last + 1):
        event = db.execute("INSERT INTO event (at_ms, kind) VALUES (0, 'epoch')").lastrowid
        *numbers, other = [None if rng.random() < .15 else round(rng.random() * 5) for _ in [*METRICS, OTHER]]
        db.execute("INSERT INTO metric (attempt, epoch, name, value, event) VALUES (?, ?, ?, ?, ?)",
                   (attempt, epoch, OTHER, other, event))
        db.execute(f"""INSERT INTO epoch (attempt, epoch, job, event, train_seconds, test_seconds, ram_mib,
            {', '.join(METRICS)}) VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)""",
                   (attempt, epoch, event, rng.choice([None, 1, 2]), 0.5, rng.choice([None, epoch]), *numbers))


def best_of(rows, column, sign):
    return min(((sign * row[column], row["epoch"], row[column]) for row in rows if row[column] is not None),
               default=(None, None, None))


@pytest.mark.parametrize("goal", ["maximize", "minimize"])
@pytest.mark.parametrize("metric", [*METRICS, OTHER])
def test_sums_follow_the_epochs(metric, goal):
    for seed in range(40):
        rng = random.Random(seed)
        db = empty_store(metric, goal)
        highest = 0
        for attempt in range(1, rng.randint(2, 4)):
            db.execute("INSERT INTO attempt (id, job, number, state, started_ms) VALUES (?, 1, ?, 'lost', 0)",
                       (attempt, attempt))
            first = rng.randint(1, highest + 1)  # it goes on from some checkpoint
            last = rng.randint(first, first + 6)
            add_epochs(db, attempt, first, last, rng)
            highest = max(highest, last)
        db.row_factory = sqlite3.Row
        rows = db.execute("""SELECT e.*, m.value AS val_accuracy FROM counted_epoch AS e
            JOIN metric AS m ON m.attempt = e.attempt AND m.epoch = e.epoch ORDER BY e.epoch""").fetchall()
        sums = db.execute("SELECT * FROM job_epochs").fetchone()
        sign = -1 if goal == "maximize" else 1
        value = rows[-1][metric]
        assert sums["epoch"] == highest == len(rows), seed
        assert sums["seconds"] == sum((r["train_seconds"] or 0) + r["test_seconds"] for r in rows), seed
        assert sums["ram_mib"] == max((r["ram_mib"] for r in rows if r["ram_mib"]), default=None), seed
        assert (sums["value"], sums["test_accuracy"]) == (value, rows[-1]["test_accuracy"]), seed
        assert sums["cost"] == (float("inf") if value is None else sign * value), seed
        assert (sums["best_epoch"], sums["best"]) == best_of(rows, metric, sign)[1:], seed
        assert (sums["best_test_epoch"], sums["best_test_accuracy"]) == best_of(rows, "test_accuracy", -1)[1:], seed


def test_a_first_page_reads_a_page():
    """No view sorts or reads a whole table before its first row: every step of its plan is a walk along an index or a
    search in one."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    big_store.fill(db, jobs=40, epochs=3, share_done=0.5)
    for view in VIEWS:
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {view} LIMIT 25")]
        assert not [step for step in plan if "TEMP B-TREE" in step or "MATERIALIZE" in step], (view, plan)
        scans = [step for step in plan if step.startswith("SCAN") and "INDEX" not in step and "subquery" not in step]
        assert set(scans) <= {"SCAN job", "SCAN s", "SCAN p", f"SCAN {view}"}, (view, plan)  # by key, in order; co-routines


@pytest.mark.parametrize("name, sql", QUERIES, ids=[name for name, _ in QUERIES])
def test_no_statement_of_the_daemon_reads_a_table(name, sql):
    """Each turn runs them: what walks along a table costs more with every job that ever was.  Few things are few."""
    db = empty_store()
    plan = [row[3] for row in db.execute("EXPLAIN QUERY PLAN " + sql, [None] * len(set(re.findall(r"\?\d+", sql))))]
    few = ("SCAN device", "SCAN s", "SCAN attempt USING INDEX attempt_live", "SCAN worker USING INDEX worker_alive",
           "SCAN sweep USING INDEX sweep_expanding")
    assert not [step for step in plan if step.startswith("SCAN") and step not in few], plan
    if name == "next_start":
        assert plan[0].startswith("SEARCH job USING INDEX job_waiting"), plan


def test_a_question_about_a_job_reads_that_job():
    db = sqlite3.connect(":memory:", isolation_level=None)
    big_store.fill(db, jobs=40, epochs=3, share_done=0.5)
    for view in set(VIEWS) - {"queue", "leaderboard"}:  # places among others
        plan = [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {view} WHERE job = 5")]
        assert not [step for step in plan if step.startswith("SCAN") and step != f"SCAN {view}"], (view, plan)


def test_no_insert_fills_a_table_of_its_own():
    """CHECK (x IN (...)) of three values or more does, each time.  (add_epoch's trigger sorts, once an epoch.)"""
    db = empty_store()
    for name, sql in QUERIES:
        if sql.startswith(("INSERT", "UPDATE")) and name != "add_epoch":
            steps = [row[1] for row in db.execute("EXPLAIN " + sql, [None] * len(set(re.findall(r"\?\d+", sql))))]
            assert "OpenEphemeral" not in steps, name
