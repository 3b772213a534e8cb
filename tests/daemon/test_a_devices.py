"""What sweepd trains on: every GPU that its worker says can train, else the CPU; or what --device names."""
import json
import os
import signal

import pytest

from conftest import PLAIN, ROOT, WORKER, is_running

PATIENT = ["--ask-ms", 10000]  # the answer comes in a moment, but this machine may be busy
CPU_ONLY = "this build trains on the CPU only"


def gpu(uuid, index, instance=None, reason=None, name="NVIDIA H200"):
    return {"id": uuid, "kind": "cuda", "name": name, "trains": reason is None, "reason": reason, "index": index,
            "instance": instance, "sm": 90}


def found(*gpus, problem=None):
    cpu = {"id": "cpu", "kind": "cpu", "name": "fake", "trains": True, "reason": None}
    return {"devices": [cpu, *gpus], "nvml": {"driver": "580.159.03", "problem": problem}}


def devices(place):
    return [(d["id"], d["kind"]) for d in place.ask("status")["devices"]]


def options(place):
    """Of the workers so far, by device."""
    path = place.fake / "options"
    lines = path.read_text().splitlines() if path.exists() else []
    return {o["--device"]: o for o in map(json.loads, lines)}


def asked(place):
    return (place.fake / "asked").exists()


TWO = found(gpu("GPU-aa", 0), gpu("GPU-bb", 1))


def test_one_worker_for_each_gpu(place):
    place.script({n: [[["wait", "go"], ["train"]]] for n in (1, 2)}, found=TWO)
    place.start(*PATIENT)
    assert devices(place) == [("GPU-aa", "cuda"), ("GPU-bb", "cuda")]
    assert place.sql("SELECT id, kind, state FROM device ORDER BY id") == [
        ("GPU-aa", "cuda", "ready"), ("GPU-bb", "cuda", "ready")]
    job = place.submit(n=3)
    place.wait(lambda: [place.state_of(job + i) for i in range(3)] == ["running", "running", "queued"])
    assert sorted(place.sql("SELECT device FROM attempt")) == [("GPU-aa",), ("GPU-bb",)]
    assert {i: o["--backend"] for i, o in options(place).items()} == {"GPU-aa": "cuda", "GPU-bb": "cuda"}
    place.go("go")
    place.go("go")
    place.wait(lambda: all(place.state_of(job + i) == "done" for i in range(3)))
    assert "GPU-aa" in place.ctl("devices").stdout
    place.stop()


def test_a_gpu_that_cannot_train_is_said_and_not_used(place):
    place.script(found=found(gpu("GPU-aa", 0, reason="it is lost from the bus"), gpu("GPU-bb", 1),
                             gpu("", 2, reason="this user may not use it", name="GPU")))
    place.start(*PATIENT)
    assert devices(place) == [("GPU-bb", "cuda")]
    assert "GPU NVIDIA H200, GPU-aa is not used: it is lost from the bus" in place.log()
    assert "GPU GPU is not used: this user may not use it" in place.log()


def test_without_one_that_trains_the_cpu_does(place):
    place.script(found=found(gpu("GPU-aa", 0, reason=CPU_ONLY)))
    place.start(*PATIENT)
    assert devices(place) == [("cpu", "cpu")]
    assert f"GPU NVIDIA H200, GPU-aa is not used: {CPU_ONLY}" in place.log()
    place.wait_idle()
    assert "--backend" not in options(place)["cpu"]


def test_a_driver_that_does_not_answer_is_said(place):
    place.script(found=found(problem="the NVIDIA driver does not answer: Driver/library version mismatch"))
    place.start(*PATIENT)
    assert devices(place) == [("cpu", "cpu")]
    assert "no GPUs are looked for: the NVIDIA driver does not answer" in place.log()


@pytest.mark.parametrize("find,said", [
    ("hang", "did not end within 300 ms and was killed"),
    (3, "ended with exit status 3"),
    ("{\"devices\": [", "--devices --json: line 1, column"),
    ("{}\n", "expected a list of 1 to 256 devices"),
    ("{\"devices\": []}\n", "expected a list of 1 to 256 devices"),
    ("[" * 2000 + "\n", "nested deeper"),
    ("x" * 1100000, "printed more than 1048576 bytes"),
])
def test_no_good_answer_leaves_the_cpu(place, find, said):
    place.script(find=find)
    place.start(*(["--ask-ms", 300] if find == "hang" else PATIENT))
    assert devices(place) == [("cpu", "cpu")]
    assert "cannot find out which devices there are, so the CPU trains: " in place.log() and said in place.log()
    place.wait_idle()
    place.stop()


def test_names_that_are_none_are_not_used(place):
    bad = ["", "-x", "GPU aa", "GPU-\u00e4", "a,b", "G" * 96, "GPU-\n"]
    place.script(found=found(*(gpu(name, i) for i, name in enumerate(bad)), gpu("MIG-1", 7, 0)))
    place.start(*PATIENT)
    assert devices(place) == [("MIG-1", "cuda")]


@pytest.mark.parametrize("choice", [["--devices", 2], ["--devices", 1], ["--backend", "cpu"]])
def test_who_chooses_the_cpu_asks_nobody(place, choice):
    place.script(found=TWO)
    place.start(*choice)
    assert {kind for _, kind in devices(place)} == {"cpu"} and not asked(place)


@pytest.mark.parametrize("wanted,ids", [
    ("cuda:1", ["GPU-bb"]), ("GPU-bb,GPU-aa", ["GPU-bb", "GPU-aa"]), ("MIG-1", ["MIG-1"]), ("cuda:0,cpu", ["GPU-aa", "cpu"]),
    ("cpu", ["cpu"]),
])
def test_wanted_devices(place, wanted, ids):
    place.script(found=found(gpu("GPU-aa", 0), gpu("GPU-bb", 1), gpu("GPU-cut", 2, reason="it is cut"),
                             gpu("MIG-1", 2, 0)))
    place.start(*PATIENT, "--device", wanted)
    assert [i for i, _ in devices(place)] == ids


@pytest.mark.parametrize("choice,said", [
    (["--device", "cuda:7"], '--device: there is no "cuda:7" here'),
    (["--device", "GPU-zz"], '--device: there is no "GPU-zz" here (sweep-worker --devices lists what is)'),
    (["--device", "cuda:2"], "--device: cuda:2 (NVIDIA H200) cannot train: it is cut"),
    (["--device", "cuda:0,GPU-aa"], "--device: GPU-aa is named twice"),
    (["--device", ","], "--device: expected cpu, cuda:N or UUIDs"),
    (["--device", "cpu", "--devices", "2"], "--device goes neither with --devices nor with --backend"),
    (["--device", "cuda:0", "--backend", "ref"], "--device goes neither with --devices nor with --backend"),
])
def test_wanted_devices_that_are_refused(place, choice, said):
    place.script(found=found(gpu("GPU-aa", 0), gpu("GPU-bb", 1), gpu("GPU-cut", 2, reason="it is cut"),
                             gpu("MIG-1", 2, 0)))
    assert said in place.refused(*PATIENT, *choice)


def test_wanted_devices_need_an_answer(place):
    place.script(find=3)
    assert "--device: " in (said := place.refused(*PATIENT, "--device", "cuda:0")) and "exit status 3" in said


def test_workers_of_gpus_are_adopted(place):
    place.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]}, found=TWO)
    place.start(*PATIENT)
    job = place.submit(epochs=2)
    place.wait(lambda: place.epochs(job) == [1])
    place.kill()
    place.start(*PATIENT)
    assert devices(place) == [("GPU-aa", "cuda"), ("GPU-bb", "cuda")]
    place.go("go")
    place.wait_state(job, "done")
    assert place.attempts(job) == ["done"]
    place.stop()


def test_a_worker_of_a_gpu_that_is_gone_ends_with_its_job(place):
    place.script({1: [[["epoch", 1], ["wait", "go"], ["train"]]]}, found=found(gpu("GPU-bb", 1)))
    place.start(*PATIENT)
    job = place.submit(n=2, epochs=2)
    place.wait(lambda: place.epochs(job) == [1])
    pid = place.worker_pid()
    place.kill()
    place.script({1: [[["wait", "go"], ["train"]]]}, found=found(gpu("GPU-aa", 0)))
    place.start(*PATIENT)
    assert devices(place) == [("GPU-aa", "cuda"), ("GPU-bb", "cuda")] and is_running(pid)
    place.wait_state(job + 1, "done")  # on the one that is there
    place.go("go")
    place.wait_state(job, "done")
    place.wait(lambda: devices(place) == [("GPU-aa", "cuda")])
    assert place.sql("SELECT job, device FROM attempt ORDER BY job") == [(job, "GPU-bb"), (job + 1, "GPU-aa")]
    place.stop()


def test_the_real_worker_is_asked(place):
    fake = PLAIN.resolve() / "tests/cuda/fake/nvml"
    place.start(*PATIENT, "--threads", 1, worker=WORKER,
                env={"LD_LIBRARY_PATH": str(fake), "FAKE_NVML": "gpu:GPU-aa,NVIDIA H200,90,143771,lost+quiet"})
    assert devices(place) == [("cpu", "cpu")]
    assert "GPU GPU is not used: it is lost from the bus" in place.log()


def test_a_worker_that_crashes_when_asked(place):
    script = place.dir / "crash.sh"
    script.write_text('#!/bin/sh\n[ "$1" = --devices ] && kill -SEGV $$\nexec sleep 100\n')
    script.chmod(0o755)
    place.start(*PATIENT, worker=script)
    assert f"was killed by signal {int(signal.SIGSEGV)}" in place.log()
    assert devices(place) == [("cpu", "cpu")] and os.path.exists(place.state / "results.db")


def test_the_grid_over_gpus_and_instances(place):
    """Eight configurations on two GPUs and two MIG instances, of which one has ECC errors and one too little memory: each
    job goes on elsewhere, and none is lost.  What cannot train is not used."""
    ecc, oom = "uncorrectable ECC error encountered (CUDA_ERROR_ECC_UNCORRECTABLE)", "19.0 of 4.5 GiB of device memory are free"
    place.script(found=found(gpu("GPU-aa", 0), gpu("GPU-ecc", 1), gpu("GPU-lost", 2, reason="it is lost from the bus"),
                             gpu("GPU-cut", 3, reason="it is cut"), gpu("MIG-small", 3, 0), gpu("MIG-2", 3, 1)),
                 devices={"GPU-ecc": [["failed", "device", ecc]], "MIG-small": [["failed", "oom", oom]]}, pace_s=0.05)
    place.start(*PATIENT)
    place.wait_idle()
    text = (ROOT / "sweeps/grid.json").read_text()
    first = place.submit(text=text, file_name="grid.json", overrides=[["epochs", "4"]])
    jobs = range(first, first + 8)
    place.wait(lambda: all(place.state_of(job) == "done" for job in jobs), "all eight")
    assert {d for d, in place.sql("SELECT device FROM attempt WHERE state = 'done'")} == {"GPU-aa", "MIG-2"}
    tried = place.sql("SELECT job, device, count(*) FROM attempt WHERE state = 'failed' GROUP BY 1, 2")
    assert {d for _, d, _ in tried} == {"GPU-ecc", "MIG-small"}
    assert all(n == 1 for _, _, n in tried), tried  # nowhere twice
    assert place.one("SELECT count(*) FROM job WHERE retries_used > 1") == (0,)
    rows = {d["id"]: d for d in place.ask("status")["devices"]}
    assert rows["MIG-small"]["state"] == rows["MIG-2"]["state"] == "ready"  # a job that is too big says nothing against it
    assert rows["GPU-ecc"]["state"] in ("set_aside", "ready", "starting")
    if len([d for _, d, _ in tried if d == "GPU-ecc"]) >= 3:
        assert rows["GPU-ecc"]["state"] == "set_aside" and ecc in place.ctl("devices").stdout
    place.stop()


def test_a_gpu_that_vanishes_under_its_worker(place):
    """Its job goes on elsewhere at once; the worker that comes next does not start, which sets the device aside."""
    place.script({1: [[["epoch", 1], ["failed", "device", "GPU-aa: it has fallen off the bus"], ["exit", 1]], [["train"]]]},
                 found=TWO)
    place.start(*PATIENT, "--device-faults", 2)
    place.wait_idle()
    job = place.submit(epochs=3)
    place.wait_state(job, "done")
    assert place.sql("SELECT device, state FROM attempt ORDER BY id") == [("GPU-aa", "failed"), ("GPU-bb", "done")]
    assert place.one("SELECT retries_used FROM job") == (0,) and place.epochs(job) == [1, 2, 3]
    place.stop()
