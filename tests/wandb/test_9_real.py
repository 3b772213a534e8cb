"""The real sweep-worker, killed in the middle of an epoch: each sampled step once, here and at the server, with the numbers
of a run that nobody killed."""
import json
import os
import pathlib
import signal

import place as places
import pytest
from campaign import FAST

WORKER = places.daemon.WORKER
DATA = pathlib.Path("/usr/share/datasets/fashion-mnist")
pytestmark = pytest.mark.skipif(not DATA.exists() or not WORKER.exists(), reason="needs fashion-mnist and sweep-worker")

STEPS, EPOCHS = 24, 2
CONFIG = {"dataset": "fashion-mnist", "model": "resnet8", "train_images": STEPS * 8, "test_images": 16, "batch_size": 8,
          "num_workers": 0, "use_amp": False, "log_steps": 2, "clip_grad_norm": 1, "checkpoint_interval_s": 0}


def samples(place, job):
    return place.sql("SELECT epoch, step, train_loss, lr, grad_norm FROM steps WHERE job = ? ORDER BY step", job)


def test_a_worker_killed_in_the_middle_of_an_epoch(place, fake):
    fake.random_faults(0.2)
    place.start("--threads", 1, "--ask-ms", 20000, "--retry-ms", 0, worker=WORKER)
    place.forward(*FAST)
    whole = place.submit_wandb(epochs=EPOCHS, defaults=CONFIG)
    place.wait_state(whole, "done")
    pid = place.worker_pid()
    killed = place.submit_wandb(epochs=EPOCHS, defaults=CONFIG)
    place.wait(lambda: len(samples(place, killed)) >= 2, "samples of its first epoch")
    os.kill(pid, signal.SIGKILL)
    place.wait_state(killed, "done")
    assert place.attempts(killed) == ["lost", "done"]
    assert [step for _, step, *_ in samples(place, whole)] == list(range(2, EPOCHS * STEPS + 1, 2))
    assert samples(place, killed) == samples(place, whole)
    fake.no_more_faults()
    place.wait_forwarded(whole, killed)
    for job in (whole, killed):
        assert place.compare(job) == []
        rows = [json.loads(line) for line in place.run_of(job)["history"]]
        assert [row["_step"] for row in rows] == list(range(EPOCHS * (STEPS // 2 + 1)))
        steps = [row["train/global_step"] for row in rows if "train/loss" in row]
        assert steps == list(range(2, EPOCHS * STEPS + 1, 2))
        assert all("test_top5_accuracy" in row and row["train/global_step"] == row["epoch"] * STEPS
                   for row in rows if "epoch" in row)
        assert "media/images/confusion_matrix.png" in place.run_of(job)["files"]
