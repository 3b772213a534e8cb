"""A sweepd with scripted workers and a sweep-forward beside it, which a test may kill, and what the store says that the
server must hold in the end."""
import contextlib
import importlib.util
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("daemon_conftest", ROOT / "tests/daemon/conftest.py")
daemon = importlib.util.module_from_spec(spec)
spec.loader.exec_module(daemon)

BUILD, wait_until, is_running = daemon.BUILD, daemon.wait_until, daemon.is_running
FORWARD = BUILD / "forward/sweep-forward"
NUMBERS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class Place(daemon.Sweepd):
    """The test starts sweep-forward, so that it may end it; sweepd's own attempts end at once."""

    def __init__(self, fake):
        directory = pathlib.Path(tempfile.mkdtemp(prefix="forward-"))
        directory.chmod(0o755)
        super().__init__(directory)
        self.fake_server, self.forwarder = fake, None
        self.forward_log = directory / "forward.log"
        self.forward_env = fake.env() if fake else {}

    def start(self, *options, **more):
        return super().start("--forward-program", "/bin/false", "--breaker-jobs", 0, *options, **more)

    # --- sweep-forward's life ---

    def forward(self, *options, env=None, popen=None):
        command = [FORWARD, "follow", "--dir", self.state, "--control", self.state / "control.sock", *map(str, options)]
        with open(self.forward_log, "ab") as log:
            self.forwarder = subprocess.Popen(command, env={**self.env, **self.forward_env, **(env or {})},
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log, **(popen or {}))
        return self

    def stop_forward(self):
        self.forwarder.send_signal(signal.SIGTERM)
        assert self.forwarder.wait(daemon.DEADLINE_S) == 0
        self.forwarder = None

    def kill_forward(self):
        self.forwarder.kill()
        self.forwarder.wait()
        self.forwarder = None

    def said(self):
        return self.forward_log.read_text() if self.forward_log.exists() else ""

    def wait_said(self, text):
        return wait_until(lambda: text in self.said(), f"sweep-forward to say {text!r}")

    def end(self):
        if self.forwarder:
            self.forwarder.kill()
            self.forwarder.wait()
        super().end()

    # --- sweeps ---

    def submit_wandb(self, n=1, epochs=3, name="tiny", wandb=None, defaults=None, resources=None,
                     metric="test_accuracy", **members):
        """A sweep of n jobs that are forwarded; the id of its first job."""
        text = json.dumps({"name": name, "project": "p", "method": "grid",
                           "parameters": {"seed": {"values": list(range(n))}},
                           "metric": {"name": metric, "goal": "maximize"},
                           "defaults": {"epochs": epochs, **(defaults or {})}, "wandb": wandb or {},
                           "resources": {"retries": 2, **(resources or {})}}, ensure_ascii=False)
        answer = self.ask("submit", **{"text": text, "file_name": "s.json", "again": True, **members})
        assert answer["ok"], answer
        return answer["first_job"]

    def run_of(self, job):
        """The server's run of a job, or None."""
        rows = self.sql("SELECT entity, project, run_id FROM wandb_run WHERE job = ?", job)
        return self.fake_server.run_state(*rows[0]) if rows else None

    def wait_forwarded(self, *jobs):
        """Until the runs of these jobs are finished at the server and sweepd knows it."""
        marks = ",".join(map(str, jobs))
        self.wait(lambda: self.sql(f"SELECT count(*) FROM wandb_run WHERE phase = 'finished' AND job IN ({marks})")
                  == [(len(jobs),)], f"jobs {marks} to be forwarded")

    # --- what the server must hold ---

    def events(self, job, kind):
        return self.sql("SELECT at_ms, detail FROM event WHERE job = ? AND kind = ? ORDER BY id", job, kind)

    def rows_to_forward(self, job):
        """Of a job's epochs and sampled steps, in the order of their commits, those that are news: no epoch at or below one
        before, no step either, nor a step of such an epoch."""
        last, rows = {"epoch": 0, "step": 0}, []
        sampled, = self.one("SELECT EXISTS (SELECT 1 FROM step WHERE job = ?)", job)
        for event, attempt, at_ms, kind, detail in self.sql(
                "SELECT id, attempt, at_ms, kind, detail FROM event WHERE job = ? AND kind IN ('epoch', 'steps') "
                "ORDER BY id", job):
            detail = json.loads(detail)
            if detail["epoch"] <= last["epoch"]:
                continue
            news = self.sampled_steps(event, last) if kind == "steps" else [self.epoch_values(attempt, detail, sampled)]
            last["epoch"] = detail["epoch"] if kind == "epoch" else last["epoch"]
            for values in news:
                rows.append({**values, "_step": len(rows) if sampled else last["epoch"], "_timestamp": at_ms / 1000})
        return rows

    def epoch_values(self, attempt, detail, sampled):
        values = {k: NUMBERS.get(v, v) if isinstance(v, str) else v for k, v in detail.items() if k[0] != "_"}
        if sampled:
            values["train/global_step"] = values.pop("step")
        metrics = self.sql("SELECT name, value, nonfinite FROM metric WHERE attempt = ? AND epoch = ?", attempt, detail["epoch"])
        return {**values, **{name: NUMBERS[odd] if odd else value for name, value, odd in metrics}}

    def sampled_steps(self, event, last):
        for step, loss, lr, norm, odd in self.sql(
                "SELECT step, train_loss, lr, grad_norm, nonfinite FROM step WHERE event = ? AND step > ? ORDER BY step",
                event, last["step"]):
            last["step"] = step
            clipped = {} if norm is None and not odd else {"train/grad_norm": NUMBERS[odd] if odd else norm}
            yield {"train/global_step": step, "train/loss": loss, "train/learning_rate": lr, **clipped}

    def compare(self, job):
        """Row for row: what differs between the store and the server in this job's run, as sentences."""
        run, wrong = self.run_of(job), []
        if not run:
            return [f"job {job}: no run"]
        started_ms, = self.one("SELECT min(started_ms) FROM attempt WHERE job = ?", job)
        rows, lines = self.rows_to_forward(job), [json.loads(line) for line in run["history"]]
        if len(rows) != len(lines):
            wrong.append(f"job {job}: {len(rows)} rows, {len(lines)} lines")
        for row, line in zip(rows, lines):
            row["_runtime"] = max(row["_timestamp"] * 1000 - started_ms, 0) / 1000
            if not equal(row, line):
                wrong.append(f"job {job}: row {row}, line {line}")
        summary = json.loads(run["summary"] or "{}")
        epoch = next((row for row in reversed(rows) if "epoch" in row), {})
        if not equal(epoch, {k: summary.get(k) for k in epoch}):
            wrong.append(f"job {job}: last epoch {epoch}, summary {summary}")
        wrong += self.compare_rest(job, run)
        state, = self.one("SELECT state FROM job WHERE id = ?", job)
        if (run["state"], run["complete"]) != ({"done": "finished"}.get(state, "failed"), True):
            wrong.append(f"job {job}: is {state}, its run {run['state']}, complete: {run['complete']}")
        return wrong

    def compare_rest(self, job, run):
        """Events and console: each of the store's and the log's lines once, in its order."""
        wrong = []
        stored = [at_ms for at_ms, _ in self.events(job, "telemetry")]
        sent = [round(json.loads(line)["_timestamp"] * 1000) for line in run["events"]]
        if sent != stored:
            wrong.append(f"job {job}: telemetry of {stored}, events of {sent}")
        log = self.state / f"jobs/{job}/log.txt"
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        if [line.partition(" ")[2] for line in run["output"]] != [line.split(" ", 2)[2] for line in lines]:
            wrong.append(f"job {job}: log {lines}, output {run['output']}")
        return wrong


def equal(a, b):
    """Dicts of numbers, NaN being NaN; times may differ in their last bits."""
    if a.keys() != b.keys():
        return False
    for key in a:
        x, y = a[key], b[key]
        numbers = isinstance(x, (int, float)) and isinstance(y, (int, float))
        time = numbers and key[0] == "_" and math.isclose(x, y, rel_tol=1e-12, abs_tol=1e-6)
        if not (x == y or time or (numbers and math.isnan(x) and math.isnan(y))):
            return False
    return True


@contextlib.contextmanager
def a_place(fake):
    """Prints every log at the end, for the test that fails."""
    place = Place(fake)
    try:
        yield place
    finally:
        print(place.log(), place.said(), sep="\n--- sweep-forward\n")
        place.end()
        shutil.rmtree(place.dir)


def resident_kib(pid, what="VmHWM"):
    """Peak resident memory of a process; None where it is gone."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(what + ":"):
                return int(line.split()[1])
    return None


__all__ = ["BUILD", "FORWARD", "Place", "a_place", "daemon", "is_running", "os", "resident_kib", "wait_until"]
