"""Kills, full disks and exhausted tables at any instant (invariant 10); afterwards every invariant holds and nobody has
repaired anything.

    tests/chaos/run.sh --kills 2000 --seed 1

A round is one sweep in a directory of its own, with scripted workers or real ones, under a seeded sequence of mishaps:
sweepd or a worker gets SIGKILL at a random instant, or kills itself at the n-th write, flush, rename or fork (faults.c),
also while it starts; the disk is full or broken for a moment; descriptors or processes run out; jobs are cancelled,
paused, submitted meanwhile.  Then everything works again, the sweep must come to its end, and check() looks at the rows,
the files and the processes."""
import argparse
import contextlib
import hashlib
import json
import os
import pathlib
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/daemon"), str(ROOT / "tests/chaos")]
import conftest  # noqa: E402  the daemon tests' Sweepd
import faults  # noqa: E402

END_S = 120  # the longest that a sweep may take once everything works
FAKE = {"jobs": 12, "epochs": 5, "kills": 25, "settle_s": 0.25}
REAL = {"jobs": 3, "epochs": 3, "kills": 12, "settle_s": 0.8}
REAL_CONFIG = {"model": "resnet8", "dataset": "mnist", "batch_size": 16, "num_workers": 1, "lr": 0.05,
               "checkpoint_interval_s": 0}
IMAGES = {"train": 48, "t10k": 16}


def pause(seconds):
    select.select([], [], [], seconds)


# --- the undisturbed runs ---

def write_images(directory):
    """A made-up data set in MNIST's format."""
    pixels = random.Random(0)
    (directory / "mnist").mkdir()
    for name, n in IMAGES.items():
        images = struct.pack(">IIII", 0x803, n, 28, 28) + pixels.randbytes(n * 784)
        labels = struct.pack(">II", 0x801, n) + bytes(pixels.randrange(10) for _ in range(n))
        (directory / f"mnist/{name}-images-idx3-ubyte").write_bytes(images)
        (directory / f"mnist/{name}-labels-idx1-ubyte").write_bytes(labels)


def weights(path):
    """A digest of every tensor; the metadata holds times."""
    raw = path.read_bytes()
    size, = struct.unpack_from("<Q", raw)
    header = json.loads(raw[8:8 + size])
    header.pop("__metadata__")
    return hashlib.sha256(json.dumps(header, sort_keys=True).encode() + raw[8 + size:]).hexdigest()


class Undisturbed:
    """What the real worker's jobs come to when nothing happens, by seed."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
        self.digests = {}
        write_images(self.dir)

    def digest(self, seed):
        if seed not in self.digests:
            run = self.dir / str(seed)
            config = self.dir / "config.json"
            config.write_text(json.dumps({**REAL_CONFIG, "epochs": REAL["epochs"], "seed": seed}))
            subprocess.run([conftest.WORKER, "--standalone", "--config", config, "--dir", run, "--data", self.dir,
                            "--threads", "1"], check=True, stdout=subprocess.DEVNULL)
            self.digests[seed] = weights(run / "final.safetensors")
        return self.digests[seed]

    def end(self):
        shutil.rmtree(self.dir)


# --- a round ---

class Round:
    def __init__(self, seed, undisturbed):
        self.seed, self.rng = seed, random.Random(seed)
        self.real = undisturbed if self.rng.random() < 0.15 else None
        self.size = REAL if self.real else FAKE
        directory = pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
        directory.chmod(0o755)
        self.place = conftest.Sweepd(directory)
        self.faults = faults.Faults(directory)
        self.place.env |= self.faults.env
        self.place.env["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
        self.kills, self.mishaps, self.violations = 0, [], []
        self.submitted = {}   # submission: number of jobs, of those that were answered
        self.cancelled, self.paused = set(), set()

    def say(self, text):
        self.mishaps.append(text)

    # --- sweepd's life, with mishaps ---

    def start(self):
        """Until one serves; one that is killed while it starts counts."""
        worker = conftest.WORKER if self.real else conftest.FAKE_WORKER
        options = ["--devices", self.rng.choice([1, 2, 3]), "--threads", 1, "--retry-ms", 0,
                   "--device-faults", 1000, "--breaker-jobs", 0]
        while True:
            try:
                self.place.start(*options, worker=worker)
                return
            except AssertionError:
                if not self.note_end():
                    raise
                self.faults.mend()

    def note_end(self):
        """It is gone: killed, or else that is a violation.  False: it lives."""
        try:
            code = self.place.process.wait(5)
        except subprocess.TimeoutExpired:
            return False
        self.place.process = None
        if code == -signal.SIGKILL:
            self.kills += 1
        else:
            self.violations.append(f"sweepd ended with {code}")
        return True

    def alive(self):
        return self.place.process is not None and self.place.alive()

    def up_again(self):
        if not self.alive():
            if self.place.process:
                self.note_end()
            self.start()

    def ask(self, verb, **members):
        """None when sweepd did not live to answer."""
        try:
            answer = self.place.ask(verb, **members)
        except TimeoutError:
            self.violations.append(f"no answer to {verb}")
            return None
        except (OSError, json.JSONDecodeError):
            return None
        if answer is None and self.alive():
            pause(0.1)
            if self.alive():
                self.violations.append(f"the connection of {verb} ended without an answer")
        return answer

    # --- mishaps ---

    def kill_now(self):
        self.place.process.kill()
        self.note_end()

    def kill_daemon(self):
        pause(self.rng.uniform(0, self.size["settle_s"]))
        self.kill_now()

    def kill_worker(self):
        pause(self.rng.uniform(0, self.size["settle_s"] / 2))
        pids = [pid for pid, in self.place.sql("SELECT pid FROM worker WHERE state <> 'gone' AND pid > 0")
                if conftest.is_running(pid)]
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.rng.choice(pids), signal.SIGKILL)
                self.kills += 1

    def kill_both(self):
        self.kill_worker()
        self.kill_now()

    def disarm(self):
        """Nothing more happens; but a call that kills and was under way has done so."""
        if self.faults.mend():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.place.process.wait(5)

    def kill_at_call(self):
        self.faults.kill_in(self.rng.randrange(1, 60), self.rng.random() < 0.5)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.place.process.wait(self.size["settle_s"] * 2)
        self.disarm()

    def kill_at_start(self):
        self.kill_now()
        self.faults.kill_in(self.rng.randrange(1, 150), self.rng.random() < 0.5)
        self.start()
        pause(self.size["settle_s"] / 4)
        self.disarm()

    def kill_worker_at_call(self):
        calls = self.faults.calls(faults.WORKERS)
        self.faults.kill_in(self.rng.randrange(1, 40), self.rng.random() < 0.5, part=faults.WORKERS)
        aim = self.faults.calls(faults.WORKERS)
        pause(self.size["settle_s"])
        self.kills += self.faults.calls(faults.WORKERS) > aim and aim >= calls
        self.faults.mend()

    def break_for_a_while(self):
        how = self.rng.choice([faults.NO_SPACE, faults.NO_SPACE, faults.IO_ERROR, faults.NO_FILES, faults.NO_PROCESSES])
        parts = (faults.SWEEPD, faults.WORKERS) if how in (faults.NO_SPACE, faults.IO_ERROR) else (faults.SWEEPD,)
        self.faults.break_it(how, parts)
        pause(self.rng.uniform(0.05, self.size["settle_s"] * 2))
        if self.rng.random() < 0.3:
            self.kill_now()
        self.faults.mend()

    def stop(self):
        self.place.process.terminate()
        if self.place.process.wait(conftest.DEADLINE_S) != 0:
            self.violations.append(f"a clean stop ended with {self.place.process.returncode}")
        self.place.process = None

    def cancel(self):
        job = self.rng.randrange(1, self.size["jobs"] + 1)
        answer = self.ask("cancel", jobs=[job])
        if answer and answer["ok"]:
            self.cancelled.add(job)

    def pause_and_resume(self):
        job = self.rng.randrange(1, self.size["jobs"] + 1)
        self.paused.add(job)
        self.ask("pause", jobs=[job])

    def submit_more(self):
        self.submit(f"more-{self.rng.random()}", self.rng.choice([1, 2]))

    MISHAPS = [(kill_daemon, 4), (kill_worker, 3), (kill_both, 1), (kill_at_call, 5), (kill_at_start, 3),
               (kill_worker_at_call, 3), (break_for_a_while, 3), (stop, 1)]
    WISHES = [(cancel, 1), (pause_and_resume, 1), (submit_more, 1)]

    # --- the sweep ---

    def submit(self, submission, n):
        config = {**(REAL_CONFIG if self.real else {}), "epochs": self.size["epochs"]}
        text = json.dumps({"name": "chaos", "method": "grid", "parameters": {"seed": {"values": list(range(1, n + 1))}},
                           "defaults": config, "resources": {"retries": 100}})
        members = {"data_dir": str(self.real.dir)} if self.real else {}
        answer = self.ask("submit", text=text, file_name="s.json", again=True, submission=submission, **members)
        if answer and answer["ok"]:
            self.submitted[submission] = n
        return answer

    def over(self):
        return not self.place.sql("SELECT 1 FROM job WHERE state IN ('queued', 'running', 'paused')")

    def run(self):
        self.place.script(pace_s=0.02)
        self.start()
        while not (self.submit("first", self.size["jobs"]) or {}).get("ok"):
            self.up_again()
        kinds = [kind for kind, weight in self.MISHAPS + ([] if self.real else self.WISHES) for _ in range(weight)]
        while self.kills < self.size["kills"] and not self.over() and not self.violations:
            mishap = self.rng.choice(kinds)
            self.say(mishap.__name__)
            mishap(self)
            self.up_again()
        self.come_to_an_end()
        self.check()

    def come_to_an_end(self):
        end = time.monotonic() + END_S
        for job in self.paused:
            self.ask("resume", jobs=[job])
        while not self.over():
            if time.monotonic() > end or not self.alive():
                self.violations.append("the sweep does not come to its end" if self.alive() else "sweepd is gone")
                return
            pause(0.02)

    # --- what must hold ---

    def rows_must_be_none(self, what, sql):
        rows = self.place.sql(sql)
        if rows:
            self.violations.append(f"{what}: {rows[:5]}")

    def check(self):
        self.check_rows()
        self.check_acknowledged()
        self.check_files()
        self.up_again()
        self.stop()
        self.rows_must_be_none("a worker that is not gone", "SELECT id, pid FROM worker WHERE state <> 'gone' AND pid > 0")
        left = [path.parent.name for path in pathlib.Path("/proc").glob("[0-9]*/cmdline") if self.is_of_this_round(path)]
        if left:
            self.violations.append(f"processes left behind: {left}")
        for sign in ("ERROR: AddressSanitizer", "runtime error:", "BUG", "LeakSanitizer"):
            if sign in self.place.log():
                self.violations.append(f"sweepd's log holds {sign}")

    def is_of_this_round(self, path):
        with contextlib.suppress(OSError):
            return os.fsencode(self.place.state) in path.read_bytes() and conftest.is_running(int(path.parent.name))
        return False

    def check_rows(self):
        expected = sum(self.submitted.values())
        found, = self.place.one("SELECT count(*) FROM job JOIN sweep ON sweep.id = job.sweep AND submission IN"
                                f" ({', '.join(repr(s) for s in self.submitted)})")
        if found != expected:
            self.violations.append(f"{expected} jobs were acknowledged, {found} are there")
        self.rows_must_be_none("a job without its outcome", "SELECT id, state FROM job WHERE state NOT IN ('done', 'cancelled')")
        self.rows_must_be_none("an attempt that runs for ever", "SELECT id FROM attempt WHERE state = 'running'")
        self.rows_must_be_none("done before its last epoch",
                               "SELECT id FROM visible_job AS j WHERE state = 'done' AND (SELECT max(epoch) FROM curves WHERE job = j.id)"
                               " <> config ->> 'epochs'")
        self.rows_must_be_none("a cancelled job is not", "SELECT id, state FROM job WHERE state <> 'cancelled' AND id IN"
                               f" ({', '.join(map(str, self.cancelled)) or 'NULL'})")
        done = subprocess.run([conftest.SWEEPCTL, "db", "check"], env=self.place.env, text=True, capture_output=True,
                              check=False)
        if done.returncode != 0:
            self.violations.append(f"db check: {done.stdout}{done.stderr}")

    def check_acknowledged(self):
        """Every row that a worker was told is stored is there."""
        stored = set(self.place.sql("SELECT attempt, seq FROM event WHERE seq IS NOT NULL"))
        path = self.place.fake / "received.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            with contextlib.suppress(json.JSONDecodeError):  # its writer was killed there
                for ack in json.loads(line).get("acks", []):
                    if ack["seq"] and (ack["attempt"], ack["seq"]) not in stored:
                        self.violations.append(f"acknowledged and lost: {ack}")

    def check_files(self):
        """What a real worker's event file says is stored, to the last word; its weights are the undisturbed run's."""
        if not self.real:
            return
        last = dict(self.place.sql("SELECT id, last_seq FROM attempt"))
        for path in self.place.state.glob("jobs/*/events.*.jsonl"):
            whole = path.read_bytes().count(b"\n")
            if last[int(path.name.split(".")[1])] != whole:
                self.violations.append(f"{path.name}: {whole} lines, of which sweepd stored another number")
        for job, seed in self.place.sql("SELECT id, config ->> 'seed' FROM visible_job WHERE state = 'done'"):
            if weights(self.place.state / f"jobs/{job}/final.safetensors") != self.real.digest(seed):
                self.violations.append(f"job {job}: other weights than the undisturbed run's")

    def end(self, keep):
        self.faults.mend()
        self.place.end()
        if not keep:
            shutil.rmtree(self.place.dir)


def play(seed, undisturbed):
    """One round; (kills, violations).  Its directory stays when there are any."""
    one = Round(seed, undisturbed)
    try:
        one.run()
    except Exception as e:  # whatever happens, the round is what is to be looked at
        one.violations.append(f"{type(e).__name__}: {e}")
    finally:
        one.end(keep=bool(one.violations))
    if one.violations:
        print(f"round {seed} ({'real' if one.real else 'scripted'} workers): {one.violations}\n"
              f"  after: {' '.join(one.mishaps)}\n  kept: {one.place.dir}", flush=True)
    return one


def campaign(kills, seed, max_violations=5):
    """Rounds of seeds seed, seed + 1, ... until there were so many kills; (rounds, kills, violations)."""
    undisturbed = Undisturbed()
    rounds = done = violations = real = 0
    try:
        while done < kills and violations < max_violations:
            one = play(seed + rounds, undisturbed)
            rounds, done, violations = rounds + 1, done + one.kills, violations + bool(one.violations)
            real += bool(one.real)
            if rounds % 20 == 0:
                print(f"{rounds} rounds, {done} kills, {violations} violations", flush=True)
    finally:
        undisturbed.end()
    print(f"{rounds} rounds ({real} with real workers), {done} kills, {violations} violations", flush=True)
    return violations


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Kills sweepd and its workers at any instant; checks what is left.")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; each round is the next one")
    arguments = parser.parse_args()
    sys.exit(1 if campaign(arguments.kills, arguments.seed) else 0)
