"""The real sweep-worker: what the scripted one promises is true of it, and a run that was interrupted equals one that was
not, number for number."""
import json
import os
import pathlib
import signal
import subprocess

import pytest

from conftest import WORKER, is_running, wait_until

DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
pytestmark = pytest.mark.skipif(not DATA.exists() or not WORKER.exists(), reason="needs fashion-mnist and sweep-worker")

EPOCHS = 3
CONFIG = {"dataset": "fashion-mnist", "epochs": EPOCHS, "train_images": 32, "test_images": 16, "batch_size": 16,
          "num_workers": 0, "use_amp": False}
PATIENT = ["--threads", 1, "--ask-ms", 20000]  # a step may take long on a busy machine


@pytest.fixture(name="real")
def real_fixture(place):
    return place.start(*PATIENT, worker=WORKER)


def submit(sweepd, **config):
    text = json.dumps({"parameters": {"seed": {"value": 3}}, "defaults": {**CONFIG, **config}})
    return sweepd.submit(text=text)


def numbers(sweepd, job):
    rows = sweepd.sql("SELECT epoch, lr, train_loss, train_accuracy, test_loss, test_accuracy FROM curves WHERE job = ?"
                      " ORDER BY epoch", job)
    assert [row[0] for row in rows] == list(range(1, EPOCHS + 1))
    return rows


def events_file(sweepd, job):
    return "".join(path.read_text() for path in (sweepd.state / f"jobs/{job}").glob("events.*.jsonl"))


def in_the_second_epoch(sweepd, job):
    sweepd.wait(lambda: sweepd.epochs(job) == [1], "the first epoch")


def test_an_interrupted_run_equals_one_that_was_not(real):
    """Stopped cleanly; its worker killed; sweepd killed and the worker adopted: always the same numbers."""
    whole = submit(real)
    real.wait_state(whole, "done")

    stopped = submit(real)
    in_the_second_epoch(real, stopped)
    real.stop()
    assert real.state_of(stopped) == "queued" and real.attempts(stopped) == ["released"]
    real.start(*PATIENT, worker=WORKER)
    real.wait_state(stopped, "done")
    assert real.attempts(stopped) == ["released", "done"]

    killed = submit(real, checkpoint_interval_s=0)  # after each step
    in_the_second_epoch(real, killed)
    os.kill(real.worker_pid(), signal.SIGKILL)
    real.wait_state(killed, "done")
    assert real.attempts(killed) == ["lost", "done"]

    adopted = submit(real)
    in_the_second_epoch(real, adopted)
    pid = real.worker_pid()
    real.kill()
    wait_until(lambda: '"epoch":2' in events_file(real, adopted), "an epoch without sweepd")
    real.start(*PATIENT, worker=WORKER)
    real.wait_state(adopted, "done")
    assert real.attempts(adopted) == ["done"] and real.worker_pid() == pid

    assert numbers(real, whole) == numbers(real, stopped) == numbers(real, killed) == numbers(real, adopted)
    real.stop()
    assert not is_running(pid)


def test_cancel_and_the_next_job(real):
    job = submit(real, epochs=1000)
    in_the_second_epoch(real, job)
    pid = real.worker_pid()
    assert real.ask("cancel", jobs=[job])["ok"] and real.attempts(job) == ["cancelled"]
    other = submit(real, epochs=1)
    real.wait_state(other, "done")
    assert real.worker_pid() == pid


def test_a_failure_says_why(real):
    job = real.submit(text=json.dumps({"parameters": {"seed": {"value": 3}}, "defaults": {**CONFIG, "dataset": "cifar100"}}),
                      data_dir="/nowhere")
    real.wait_state(job, "failed")
    assert real.one("SELECT class FROM attempt") == ("data",) and "cifar100" in real.reason_of(job)


def test_config_json_is_the_configuration_and_trains_by_hand(real, tmp_path):
    job = submit(real, train_images=16, epochs=1)
    real.wait_state(job, "done")
    path = real.state / f"jobs/{job}/config.json"
    assert json.loads(path.read_text()) == json.loads(real.one("SELECT config FROM visible_job WHERE id = ?", job)[0])
    done = subprocess.run([WORKER, "--standalone", "--config", path, "--dir", tmp_path / "run", "--threads", "1"],
                          capture_output=True, text=True, timeout=60, check=True)
    by_hand = [json.loads(line) for line in done.stdout.splitlines() if '"epoch"' in line and '"test_loss"' in line]
    stored = real.one("SELECT train_loss, test_loss FROM curves WHERE job = ?", job)
    assert [(e["train_loss"], e["test_loss"]) for e in by_hand] == [stored]
