"""doctor: on this machine as it is, and with a worker that tells of other machines."""
import ctypes
import json
import os
import pathlib
import resource
import shutil
import subprocess
import tempfile

import pytest

import conftest

CPU = {"id": "cpu", "kind": "cpu", "name": "x", "trains": True, "reason": None, "amp": "bf16", "library": "onednn",
       "version": "2.6.3"}
GPU = {"id": "GPU-1", "kind": "cuda", "name": "Tesla T4", "trains": True, "reason": None, "index": 0, "instance": None,
       "sm": 75, "memory_bytes": 15 << 30, "memory_used_bytes": 0}
LIBRARIES = [{"name": n, "what": w, "version": None, "path": None, "problem": None}
             for n, w in (("libcuda.so.1", "driver"), ("libcudnn.so.9", "cuDNN"))]


def checks(place, **kw):
    """(name, health) -> texts and what to do."""
    found = {}
    for check in place.json("doctor", **kw)["checks"]:
        found.setdefault((check["name"], check["health"]), []).append(f"{check['text']} | {check['do_this'] or ''}")
    return found


@pytest.fixture
def machine(place, tmp_path, monkeypatch):
    """machine(found): sweepctl alone with a worker that says so."""
    directory = tmp_path / "alone"
    directory.mkdir()
    shutil.copy(conftest.SWEEPCTL, directory / "sweepctl")
    monkeypatch.setattr(conftest, "SWEEPCTL", str(directory / "sweepctl"))

    def pretend(devices=(CPU,), backends=("ref", "cpu"), nvml=None, libraries=LIBRARIES):
        found = {"backends": backends, "devices": devices, "nvml": nvml or {"driver": None, "problem": None},
                 "cuda": {"built": False}, "libraries": libraries}
        worker = directory / "sweep-worker"
        worker.write_text("#!/bin/sh\nif [ $1 = --version ]; then echo sweep-worker 9; else cat <<'E'\n"
                          + json.dumps(found) + "\nE\nfi\n")
        worker.chmod(0o755)
        return checks(place)
    return pretend


def test_this_machine_can_train(place):
    report = place.json("doctor")
    assert report["can_train"] is True and report["cores"] >= 1 and "cpu" in report["worker"]["backends"]
    names = {c["name"] for c in report["checks"]}
    assert {"daemon", "store", "rights", "worker", "cpu", "cuda", "libs", "sandbox", "memory", "limits", "data"} <= names
    cpu = next(c["text"] for c in report["checks"] if c["name"] == "cpu")
    version = next(d["version"] for d in report["worker"]["devices"] if d["kind"] == "cpu")
    assert version.count(".") == 2 and f"oneDNN {version}" in cpu and "AMP" in cpu


def test_the_screen_is_80_columns(grid):
    out = grid.run("doctor").stdout
    assert max(map(len, out.splitlines())) <= 80
    assert "[--]   daemon   not running\n                do this: sweepctl daemon start" in out
    assert out.splitlines()[-1].startswith("Training can run")


def test_without_a_worker_it_cannot(place, machine):
    done = place.run("doctor", code=1, PATH="/nowhere")
    assert "[FAIL] worker   sweep-worker is not there" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 failure. Training cannot run until [FAIL] is fixed."


def test_gpus_and_what_they_lack(place, machine):
    found = machine(devices=[CPU, GPU], backends=["cpu", "cuda"])
    assert "Tesla T4, sm_75, 15.0 GiB" in found["cuda:0", "ok"][0]
    assert "libcudnn.so.9 (cuDNN)" in found["libs", "warn"][0] and "pip install" in found["libs", "warn"][0]
    hidden = {**GPU, "trains": False, "reason": "CUDA_VISIBLE_DEVICES hides it"}
    assert "CUDA_VISIBLE_DEVICES hides it" in machine(devices=[CPU, hidden])["cuda:0", "none"][0]
    assert "held by others" in machine(devices=[CPU, {**GPU, "memory_used_bytes": 9 << 30}])["cuda:0", "warn"][0]
    assert "this build trains on the CPU only" in machine(devices=[CPU, GPU])["cuda", "warn"][0]
    mismatch = machine(nvml={"driver": None, "problem": "driver and library versions differ; reboot"})
    assert "reboot" in mismatch["cuda", "warn"][0]


def test_libraries_that_are_there(place, machine):
    library = {"name": "libcudnn.so.9", "what": "cuDNN", "version": "9.19.0", "path": "/x", "problem": None}
    assert machine(libraries=[library])["libs", "ok"][0].startswith("cuDNN 9.19.0 |")
    found = machine()["libs", "none"][0]
    assert "not found: libcuda.so.1 (driver), libcudnn.so.9 (cuDNN). Only training on a GPU needs them" in found


def test_amp_and_builds_without_onednn(place, machine):
    assert "oneDNN 2.6.3, AMP bf16" in machine()["cpu", "ok"][0]
    assert "AMP off, fp32" in machine(devices=[{**CPU, "amp": None}])["cpu", "ok"][0]
    found = machine(devices=[{**CPU, "amp": None, "version": None}], backends=["ref"])
    assert "the plain reference only" in found["worker", "warn"][0] and "no oneDNN" in found["cpu", "ok"][0]


def test_a_worker_that_hangs_up_or_lies(place, machine, tmp_path):
    machine()
    (tmp_path / "alone/sweep-worker").write_text("#!/bin/sh\necho garbage\n")
    assert "does not say what it can train on" in place.run("doctor", code=1).stdout
    (tmp_path / "alone/sweep-worker").write_text("#!/bin/sh\nexit 1\n")
    assert "does not start" in place.run("doctor", code=1).stdout


def test_another_version_of_the_daemon(place):
    place.daemon(status=lambda r: {**place.status(r), "version": "0.0.9"})
    assert checks(place)["daemon", "warn"][0].endswith("sweepctl: 0.0.9 | sweepctl daemon restart")


def test_store_that_cannot_be_read(grid):
    grid.sql("PRAGMA user_version = 99")
    done = grid.run("doctor", code=1)
    assert "[FAIL] store" in done.stdout and "do this: use the newer sweepctl" in done.stdout


def test_open_directories_are_a_warning(grid):
    grid.directory.chmod(0o777)
    assert "others may replace the results | chmod go-w ~" in checks(grid)["rights", "warn"][0]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_somebody_elses_directory():
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        place.chmod(0o755)
        shutil.copy(conftest.SWEEPCTL, place / "sweepctl")
        (place / "sweepctl").chmod(0o755)
        done = subprocess.run([place / "sweepctl", "--json", "--dir", place, "doctor"], user=65534, group=65534,
                              extra_groups=[], capture_output=True, text=True, check=False, cwd="/",
                              env={"HOME": "/", "PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0"})
        found = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
        assert found["rights"]["health"] == "fail" and "belongs to root (mode 0755)" in found["rights"]["text"]
        assert done.returncode == 1


def limited(place, **kw):
    done = subprocess.run([conftest.SWEEPCTL, "doctor", "--json"], env=place.env, capture_output=True, text=True,
                          check=False, **kw)
    return {c["name"]: c for c in json.loads(done.stdout)["checks"]}


def test_ulimits(place):
    few = limited(place, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
    assert few["limits"]["health"] == "warn" and "64 open files" in few["limits"]["text"]
    assert few["limits"]["do_this"] == "ulimit -n 1024"
    size = 1 << 20
    small = limited(place, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)))
    assert "files end at 1.0 MiB" in small["limits"]["text"]


def test_a_sandbox_that_forbids_generated_code(place):
    def forbid():  # what systemd's MemoryDenyWriteExecute comes to; Linux 6.3
        ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)
    if ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        pytest.skip("this kernel has no PR_SET_MDWE")
    found = limited(place, preexec_fn=forbid)["sandbox"]
    assert found["health"] == "fail" and "MemoryDenyWriteExecute=no" in found["do_this"]
