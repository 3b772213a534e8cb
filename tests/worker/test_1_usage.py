"""sweep-worker by hand: what it refuses, with a sentence, a place and a remedy."""
import gzip
import os
import shutil
import struct
import subprocess

import pytest

from conftest import CONFIG, FASHION, WORKER, Run, needs_data


def refuse(tmp_path, text, *options, suffix="yaml"):
    path = tmp_path / f"job.{suffix}"
    path.write_text(text)
    done = subprocess.run([WORKER, "--standalone", "--config", str(path), "--dir", str(tmp_path / "run"), *options],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 5 and done.stdout == ""
    assert not (tmp_path / "run").exists()
    return done.stderr


def test_usage_errors():
    for options in ([], ["--standalone"], ["--socket", "x"], ["--threads", "0", "--standalone", "--config", "x"],
                    ["--device", "gpu0", "--standalone", "--config", "x"]):
        done = subprocess.run([WORKER, *options], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "sweep-worker: " in done.stderr and done.stdout == "", options


def test_unknown_backend():
    done = subprocess.run([WORKER, "--backend", "tpu", "--standalone", "--config", "x"], capture_output=True, text=True,
                          timeout=60)
    assert done.returncode == 2 and 'no backend "tpu"' in done.stderr


def test_errors_name_place_and_remedy(tmp_path):
    said = refuse(tmp_path, "model: resnet18\nweight_decy: 5e-4\nlr: fast\n")
    assert 'job.yaml:2:1: error: unknown parameter "weight_decy"' in said
    assert 'write "weight_decay"' in said
    assert "job.yaml:3:5: error:" in said and '"lr"' in said


@pytest.mark.parametrize("text, words", [
    ("{", "not a JSON or YAML document"),
    ("[1, 2]", "expected a map"),
    ('{"lr": 0.1, "lr": 0.2}', "stands twice"),
    ('{"model": "resnet19"}', "resnet18"),
    ('{"batch_size": 0}', "batch_size"),
    ('{"epochs": 1.5}', "epochs"),
    ('{"momentum": 0, "nesterov": true}', "nesterov"),
    ('{"use_mixup": true, "mixup_alpha": 0}', "mixup_alpha"),
    ('{"cutout": 40}', "image_size"),
    ("", "empty"),
])
def test_bad_configuration(tmp_path, text, words):
    assert words in refuse(tmp_path, text, suffix="json")


@pytest.mark.parametrize("override, words", [
    ("lr", "key=value"), ("lr=quick", '"lr"'), ("rl=0.1", 'unknown parameter "rl"'), ("lr=[1, 2]", "one value"),
    ("epochs=-1", '"epochs"'),
])
def test_bad_override(tmp_path, override, words):
    assert words in refuse(tmp_path, "{}", "--override", override)


def test_a_sweep_file_is_no_configuration(tmp_path):
    path = tmp_path / "sweep.yaml"
    path.write_text("name: s\nmetric: {name: test_loss}\nparameters: {lr: {values: [0.1, 0.2]}}\nseeds: [1, 2]\n")
    done = subprocess.run([WORKER, "--standalone", "--config", str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and done.stderr.count("error:") == 1
    assert f"{path}:3:1: error: this is a sweep file: sweepctl submit FILE runs it" in done.stderr


def test_configuration_that_is_not_there(tmp_path):
    done = subprocess.run([WORKER, "--standalone", "--config", str(tmp_path / "none.json")], capture_output=True,
                          text=True, timeout=60)
    assert done.returncode == 5 and "none.json" in done.stderr and "No such file" in done.stderr


def test_missing_data_set_is_a_data_failure(tmp_path):
    env = dict(os.environ, HOME=str(tmp_path), XDG_DATA_HOME=str(tmp_path))
    env.pop("SWEEPD_DATA", None)
    code, events, _ = Run(tmp_path, dict(CONFIG, dataset="cifar100")).finish(env=env)
    assert code == 1 and events[-1]["type"] == "failed"
    assert events[-1]["class"] == "data" and "cifar100" in events[-1]["reason"]


@needs_data
def test_more_images_than_there_are_is_a_configuration_failure(tmp_path):
    code, events, _ = Run(tmp_path, dict(CONFIG, train_images=60001)).finish()
    assert code == 1 and events[-1]["class"] == "config" and "60001" in events[-1]["reason"]


@needs_data
def test_a_batch_of_one_image_that_batch_norm_cannot_take_is_a_configuration_failure(tmp_path):
    config = dict(CONFIG, stem="imagenet", train_images=17, batch_size=16)
    code, events, _ = Run(tmp_path, config).finish()
    assert code == 1 and events[-1]["class"] == "config" and "has 1 image (17 images, batch_size 16)" in events[-1]["reason"]
    code, events, err = Run(tmp_path, dict(config, model="resnet8", epochs=1), "narrow").finish()
    assert code == 0, err


def damaged(directory, name, change):
    """A copy of the real data set with one file changed; returns what was done to the inflated or the packed bytes."""
    shutil.copytree(FASHION, directory, dirs_exist_ok=True)
    path = directory / f"{name}.gz"
    path.write_bytes(change(path.read_bytes()))


@needs_data
@pytest.mark.parametrize("name, change, words", [
    ("train-images-idx3-ubyte", lambda b: b[:len(b) // 2], "ends after"),
    ("t10k-labels-idx1-ubyte", lambda b: gzip.compress(struct.pack(">II", 0x802, 10000) + bytes(10000)), "magic"),
    ("t10k-labels-idx1-ubyte", lambda b: gzip.compress(struct.pack(">II", 0x801, 10000) + bytes(9999) + b"\x0b"), "is 11"),
    ("t10k-images-idx3-ubyte", lambda b: b[:100] + bytes(200) + b[300:], "damaged gzip"),
    ("t10k-images-idx3-ubyte", lambda b: gzip.compress(gzip.decompress(b)[:-1]), "ends after"),
])
def test_damaged_data_is_a_data_failure(tmp_path, name, change, words):
    damaged(tmp_path / "data", name, change)
    code, events, _ = Run(tmp_path).finish("--data", str(tmp_path / "data"))
    assert code == 1 and [e["type"] for e in events] == ["failed"]
    assert events[0]["class"] == "data" and name in events[0]["reason"] and words in events[0]["reason"]
