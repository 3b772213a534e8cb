#!/usr/bin/python3
"""Fills a fresh results.db with a store of any size, as a daemon that ran for years would have left it.

    tests/bench/big_store.py FILE [--jobs N] [--epochs N] [--share-done F]

One sweep of N jobs; the first share of them done with so many epochs each (an event row each) and some telemetry.  Of the
rest two run (with half their epochs), one in a hundred has failed, the others wait.  SQL does it all, so 100,000 jobs of 100
epochs take two minutes and 2 GB.
"""
import argparse
import pathlib
import sqlite3

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "schema"

OWN = "json_object('model', iif(n % 2, 'resnet18', 'resnet50'), 'lr', 0.1 / (1 + n % 7), 'seed', n)"
BASE = "json_object('model', '', 'lr', 0, 'scheduler', 'StepLR', 'epochs', :epochs, 'batch_size', 128, 'seed', 0)"
SERIES = """(WITH RECURSIVE e(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM e WHERE value < :epochs)
  SELECT value FROM e) AS e"""
RUNNING = 2
NUMBERS = "WITH RECURSIVE n(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM n WHERE n < :last) "


def fill(db, jobs, epochs, share_done):
    if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'sweep'").fetchone():
        db.executescript((SCHEMA / "001-init.sql").read_text())
        db.execute("PRAGMA user_version = 1")
    db.executescript((SCHEMA / "views.sql").read_text())
    done = int(jobs * share_done)
    sweep = db.execute("""INSERT INTO sweep (name, project, state, metric, goal, swept, base, n_jobs, text, overrides, hash,
        retries, owner_uid, submitted_ms) VALUES ('big', 'sweepd', 'active', 'test_accuracy', 'maximize', '["model", "lr"]',
        """ + BASE + """, :jobs, '{}', '[]', 'big', 2, 0, 0)""", {"epochs": epochs, "jobs": jobs}).lastrowid
    db.execute("INSERT OR IGNORE INTO device (id, kind, state) VALUES ('cpu', 'cpu', 'ready')")
    worker = db.execute("""INSERT INTO worker (device, pid, start_time, boot_id, state, started_ms, ended_ms)
        VALUES ('cpu', 1, 1, '', 'gone', 0, 0)""").lastrowid
    base = db.execute("SELECT coalesce(max(id), 0) FROM job").fetchone()[0]
    about = {"first": base + 1, "last": base + jobs, "base": base, "sweep": sweep, "epochs": epochs, "done": base + done,
             "begun": min(base + done + RUNNING, base + jobs), "worker": worker}

    def each(sql, **more):
        values = {**about, **more}
        db.execute(NUMBERS + sql, {k: v for k, v in values.items() if f":{k}" in NUMBERS + sql})

    db.execute("BEGIN")
    each(f"""INSERT INTO job (id, sweep, position, kind, own, swept, state, created_ms, ended_ms)
        SELECT n, :sweep, n - :base - 1, 'train', {OWN}, json_object('lr', 0.1 / (1 + n % 7), 'seed', n),
          CASE WHEN n <= :done THEN 'done' WHEN n <= :begun THEN 'running' WHEN n % 100 = 0 THEN 'failed' ELSE 'queued' END, 0,
          CASE WHEN n <= :done THEN 1 END FROM n""")
    each("""INSERT INTO event (at_ms, sweep, job, kind, detail) SELECT 0, :sweep, n, 'state', '{"state": "queued"}' FROM n""")
    db.execute("COMMIT")
    chunks = [(first, min(first + 999, base + done), epochs) for first in range(base + 1, base + done + 1, 1000)]
    chunks.append((base + done + 1, about["begun"], (epochs + 1) // 2))
    for first, last, about["epochs"] in chunks:
        if last < first:
            continue
        db.execute("BEGIN")
        each("""INSERT INTO attempt (id, job, number, worker, device, state, started_ms, ended_ms, seconds, last_seq)
            SELECT n, n, 1, :worker, 'cpu', iif(n <= :done, 'done', 'running'), n, iif(n <= :done, n + 1, NULL),
              iif(n <= :done, :epochs * 1.1 + 2, NULL), :epochs
            FROM n""", first=first, last=last)
        start = db.execute("SELECT coalesce(max(id), 0) FROM event").fetchone()[0]
        each("""INSERT INTO event (id, at_ms, sweep, job, attempt, seq, kind, detail)
            SELECT :start + (n - :first) * :epochs + e.value, 0, :sweep, n, n, e.value, 'epoch', '{"test_accuracy": 50}'
            FROM n CROSS JOIN """ + SERIES,
             first=first, last=last, start=start)
        each("""INSERT INTO epoch (attempt, epoch, job, event, lr, batch_size, train_loss, train_accuracy, test_loss,
              test_accuracy, train_seconds, test_seconds, images_per_second, ram_mib)
            SELECT n, e.value, n, :start + (n - :first) * :epochs + e.value, 0.1, 128, 1.0 / e.value, 50, 2.0 / e.value,
              50 + (n * 7919 + e.value * 104729) % 4000 / 100.0, 1, 0.1, 1000, 500
            FROM n CROSS JOIN """ + SERIES,
             first=first, last=last, start=start)
        each("""INSERT INTO telemetry (event, attempt, at_ms, name, value)
            SELECT :start + (n - :first) * :epochs + e.value, n, e.value, t.key, t.value
            FROM n CROSS JOIN (SELECT 1 AS value UNION SELECT :epochs) AS e
            CROSS JOIN json_each('{"seconds": 30, "cpu_percent": 180, "ram_mib": 500, "watts": 40}') AS t""",
             first=first, last=last, start=start)
        db.execute("COMMIT")


def make(path, jobs, epochs, share_done):
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = OFF")
    fill(db, jobs, epochs, share_done)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file")
    parser.add_argument("--jobs", type=int, default=100000)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--share-done", type=float, default=1.0)
    a = parser.parse_args()
    make(a.file, a.jobs, a.epochs, a.share_done)


if __name__ == "__main__":
    main()
