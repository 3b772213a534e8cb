"""sweepd itself with the real grid of eight configurations, its epochs cut to the time there is: results.db is kept, and
what 200 epochs of each row would take."""
import json
import os
import pathlib
import shutil
import sqlite3
import subprocess

import gpurun

FULL_EPOCHS, FULL_TRAIN, FULL_TEST = 200, 50000, 10000
EPOCHS = 8


class Daemon:
    """sweepd in a directory of its own, until close()."""

    def __init__(self, part):
        self.dir = part.tmp / "sweepd"
        self.dir.mkdir()
        read, write = os.pipe()
        self.log = open(self.dir / "sweepd.log", "w")
        device = ("--device", "cpu" if part.on_host else part.device)
        self.process = subprocess.Popen(
            [part.program("sweepd"), "--dir", self.dir, *device, "--worker-program", part.program("sweep-worker"),
             "--ready-fd", str(write)], env=part.env, pass_fds=[write], stdout=self.log, stderr=self.log)
        os.close(write)
        with os.fdopen(read, "rb") as ready:
            if not ready.read(1):
                self.process.wait()
                raise gpurun.Failure(f"sweepd did not start: {gpurun.last_line((self.dir / 'sweepd.log').read_text())}")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def grid(part):
    """The sweep file; on the host the same grid of a small network."""
    for path in (part.root / "sweeps" / "grid.json", gpurun.HERE.parents[1] / "sweeps" / "grid.json"):
        if path.exists():
            break
    if not part.on_host:
        return path
    sweep = json.loads(path.read_text())
    sweep["parameters"]["model"]["values"] = ["resnet8", "resnet20"]
    sweep["when"] = []
    sweep["defaults"].update(batch_size=16, use_wandb=False)
    small = part.tmp / "grid.json"
    small.write_text(json.dumps(sweep))
    return small


def overrides(part):
    directory, train, test, real = part.data()
    epochs = 1 if part.on_host else int(os.environ.get("GPU_EPOCHS") or EPOCHS)
    set_ = {"epochs": epochs, "use_wandb": "false"}
    if part.on_host:
        set_.update(train_images=32, test_images=16)
    return directory, epochs, [word for item in set_.items() for word in ("--override", "=".join(map(str, item)))], real


QUERY = """SELECT j.id, j.state, j.config, e.epochs, e.images_per_second, e.train, e.test, l.test_accuracy
FROM visible_job j LEFT JOIN (SELECT job, count(*) epochs, max(images_per_second) images_per_second, min(train_seconds) train,
                             min(test_seconds) test, max(epoch) epoch FROM epoch GROUP BY job) e ON e.job = j.id
LEFT JOIN epoch l ON l.job = j.id AND l.epoch = e.epoch GROUP BY j.id ORDER BY j.id"""


def minutes(train_s, test_s, train, test):
    """Of 200 epochs of all of CIFAR-100, from the fastest epoch of so many images."""
    return FULL_EPOCHS * (train_s * FULL_TRAIN / train + test_s * FULL_TEST / test) / 60


def read_results(part, database):
    rows, done, total = [], 0, 0
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        for job, state, config, epochs, rate, train_s, test_s, accuracy in db.execute(QUERY):
            c = json.loads(config)
            done += state == "done"
            full = None
            if train_s is not None and test_s is not None:
                full = minutes(train_s, test_s, c.get("train_images") or FULL_TRAIN, c.get("test_images") or FULL_TEST)
                total += full
            rows.append((job, c["model"], c["lr"], c["scheduler"], c["batch_size"], state, epochs or 0,
                         f"{rate or 0:.0f}", f"{train_s or 0:.2f}", "" if accuracy is None else f"{accuracy:.2f}",
                         "" if full is None else f"{full:.1f}"))
    return rows, done, total


USED = """SELECT job, max(ram_mib), max(vram_mib), round(avg(watts), 1), round(sum(joules) / 3600, 3) FROM epoch
GROUP BY job ORDER BY job"""


def check_telemetry(part, database):
    """What the driver tells of the GPU has come as far as the rows; on the host only its memory is known."""
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as db:
        used = db.execute(USED).fetchall()
        names = {name for name, in db.execute("SELECT DISTINCT name FROM telemetry")}
    part.table("What each used:", ("job", "host MiB", "device MiB", "W", "Wh"),
               [["" if value is None else value for value in row] for row in used])
    wanted = {"cpu_percent", "ram_mib"} | (set() if part.on_host else {"gpu_percent", "vram_mib", "temperature_c"})
    part.check("telemetry", bool(used) and wanted <= names, ", ".join(sorted(names)))
    part.record["used"] = used


def keep(part, database):
    """One file, with what is still in the write-ahead log."""
    part.out.mkdir(parents=True, exist_ok=True)
    target = part.out / "results.db"
    target.unlink(missing_ok=True)
    with sqlite3.connect(database) as db, sqlite3.connect(target) as copy:
        db.backup(copy)
    return target


def body(part):
    directory, epochs, set_, real = overrides(part)
    daemon = Daemon(part)
    ctl = [part.program("sweepctl"), "--dir", daemon.dir]
    try:
        part.run([*ctl, "submit", "--data", directory, *set_, grid(part)], most=60)
        part.attempt("the sweep ended", lambda: part.run([*ctl, "wait"], part.seconds_left() - 35, check=False))
        devices = part.run([*ctl, "devices"], most=30)
    finally:
        daemon.close()
        shutil.copy(daemon.dir / "sweepd.log", part.tmp / "sweepd.log")
    database = next(pathlib.Path(daemon.dir).rglob("results.db"))
    try:
        rows, done, total = read_results(part, database)
    except sqlite3.Error as e:
        raise gpurun.Failure(f"Python's SQLite {sqlite3.sqlite_version} cannot read results.db (3.37 can): {e}")
    part.table(f"The grid, {epochs} epochs each{'' if real else ', noise for images'}:",
               ("job", "model", "lr", "scheduler", "batch", "state", "epochs", "images/s", "epoch s", "accuracy %",
                "min/200 epochs"), rows)
    part.say(f"All rows, 200 epochs, one after the other: {total:.0f} minutes")
    part.say(devices.strip())
    part.check("jobs done", done == len(rows) == 8, f"{done} of {len(rows)}")
    check_telemetry(part, database)
    part.check("results.db kept", keep(part, database).stat().st_size > 0, str(part.out / "results.db"))
    part.record["rows"] = rows


if __name__ == "__main__":
    gpurun.main("sweep", body)
