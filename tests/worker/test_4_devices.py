"""sweep-worker --devices, and opening a GPU, with fakes of NVIDIA's libraries ($SWEEPD_PLAIN_BUILD/tests/cuda/fake)."""
import fcntl
import json
import os
import subprocess

import pytest

from conftest import BUILD, TIMEOUT_S, WORKER

FAKE = (BUILD / "tests" / "cuda" / "fake").resolve()
NVML, CUDA = FAKE / "nvml", FAKE / "cuda"
GPU_OPEN = FAKE / "gpu_open"
A, B = "gpu:GPU-aa,NVIDIA H200,90,143771,", "gpu:GPU-bb,NVIDIA A100,80,81920,"
CPU_ONLY = "this build trains on the CPU only"


def environment(*library_dirs, **more):
    env = {k: v for k, v in os.environ.items() if not k.startswith(("CUDA_VISIBLE", "FAKE_"))}
    return {**env, "LD_LIBRARY_PATH": ":".join(map(str, library_dirs)), **more}


def find(scenario="", *library_dirs, **more):
    done = subprocess.run([WORKER, "--devices", "--json"], env=environment(*(library_dirs or [NVML]), FAKE_NVML=scenario,
                                                                           **more),
                          capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1, (done.returncode, done.stderr)
    return json.loads(done.stdout)


def gpus(found):
    assert found["devices"][0]["id"] == "cpu" and found["devices"][0]["trains"] is True
    assert all(d["kind"] == "cuda" for d in found["devices"][1:])
    return found["devices"][1:]


def reasons(found):
    return {d["id"]: d["reason"] for d in gpus(found)}


def library_reason(found):
    """What keeps every sound GPU of this build and machine from training, or None."""
    if "cuda" not in found["backends"]:
        return CPU_ONLY
    return found["cuda"]["driver"]["problem"] or found["cuda"]["cudnn"]["problem"]


def test_no_driver_is_no_problem(tmp_path):
    found = find("", tmp_path)
    assert gpus(found) == [] and found["nvml"] == {"driver": None, "problem": None}
    assert found["devices"][0]["name"] and found["backends"][0] == "ref"


def test_every_gpu_by_uuid():
    found = find(A + ";" + B)
    first, second = gpus(found)
    assert found["nvml"] == {"driver": "580.159.03", "problem": None}
    assert (first["id"], first["name"], first["index"], first["sm"]) == ("GPU-aa", "NVIDIA H200", 0, 90)
    assert (second["id"], second["index"], second["instance"]) == ("GPU-bb", 1, None)
    assert first["memory_bytes"] == 143771 << 20 and first["memory_used_bytes"] == 512 << 20
    reason = library_reason(found)
    assert [d["reason"] for d in (first, second)] == [reason, reason]
    assert [d["trains"] for d in (first, second)] == [reason is None] * 2


def test_a_cut_gpu_gives_way_to_its_instances():
    found = find(A + "mig;mig:MIG-1,NVIDIA H200 MIG 1g.18gb,18000;mig:-,-,0;mig:MIG-3,NVIDIA H200 MIG 2g.35gb,35000;" + B)
    assert [(d["id"], d["index"], d["instance"], d["sm"]) for d in gpus(found)] == [
        ("GPU-aa", 0, None, 90), ("MIG-1", 0, 0, 90), ("MIG-3", 0, 2, 90), ("GPU-bb", 1, None, 80)]
    why = reasons(found)
    assert "MIG instances" in why["GPU-aa"]
    assert why["MIG-1"] == why["MIG-3"] == why["GPU-bb"] == library_reason(found)


@pytest.mark.parametrize("flags,expected", [
    ("lost", "it is lost from the bus; the machine must be restarted"),
    ("reset", "it must be reset (nvidia-smi --gpu-reset)"),
    ("denied", "this user may not use it"),
    ("ecc", "its memory has had 2 uncorrectable errors since the driver was started; reset it"),
])
def test_a_broken_gpu_is_listed_with_its_trouble(flags, expected):
    found = find(A + flags + ";" + B)
    first, second = gpus(found)
    assert first["index"] == 0 and not first["trains"] and first["reason"] == expected
    assert second["id"] == "GPU-bb" and second["reason"] == library_reason(found)


def test_trouble_of_a_cut_gpu_is_that_of_its_instances():
    why = reasons(find(A + "mig+ecc;mig:MIG-1,NVIDIA H200 MIG 7g,140000"))
    assert "uncorrectable" in why["MIG-1"] and why["GPU-aa"] == why["MIG-1"]


def test_a_gpu_that_tells_little_is_as_good():
    found = find(A + "quiet")
    assert reasons(found) == {"GPU-aa": library_reason(found)}


def test_old_gpus_are_left_out():
    why = reasons(find("gpu:GPU-cc,Tesla P100,60,16384,;gpu:GPU-dd,Tesla T4,75,15360,"))
    assert why["GPU-cc"] == "its compute capability is 6.0; 7.5 is needed"
    assert why["GPU-dd"] != why["GPU-cc"]


@pytest.mark.parametrize("visible,hidden", [
    ("0", ["GPU-bb", "MIG-1"]), ("1", ["GPU-aa", "MIG-1"]), ("1,0", ["MIG-1"]), ("GPU-b", ["GPU-aa", "MIG-1"]),
    ("MIG-1", ["GPU-aa", "GPU-bb"]), ("", ["GPU-aa", "GPU-bb", "MIG-1"]), ("-1", ["GPU-aa", "GPU-bb", "MIG-1"]),
    ("0,7,1", ["GPU-bb", "MIG-1"]), ("GPU-", ["GPU-aa", "GPU-bb", "MIG-1"]),
])
def test_cuda_visible_devices_is_heeded(visible, hidden):
    cut = "gpu:GPU-cut,NVIDIA H100,90,81920,mig;mig:MIG-1,NVIDIA H100 MIG 7g,80000"
    why = reasons(find(";".join([A, B, cut]), CUDA_VISIBLE_DEVICES=visible))
    assert [i for i in why if why[i] == "CUDA_VISIBLE_DEVICES hides it"] == hidden


@pytest.mark.parametrize("code,text", [(9, "Driver Not Loaded"), (18, "Driver/library version mismatch"), (999, "Unknown")])
def test_a_driver_that_does_not_answer(code, text):
    found = find(f"init:{code};{A}")
    assert gpus(found) == [] and found["nvml"]["driver"] is None
    assert found["nvml"]["problem"].startswith("the NVIDIA driver does not answer: " + text)


def test_something_else_of_that_name(tmp_path):
    (tmp_path / "libnvidia-ml.so.1").write_text("not a library\n")
    found = find("", tmp_path)
    assert gpus(found) == [] and "libnvidia-ml.so.1 cannot be loaded" in found["nvml"]["problem"]


def test_a_library_that_is_too_old(tmp_path):
    source = tmp_path / "old.c"
    source.write_text("int nvmlInit_v2(void) { return 0; }\n")
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", tmp_path / "libnvidia-ml.so.1", source], check=True)
    assert "has no function nvmlShutdown: it is older" in find("", tmp_path)["nvml"]["problem"]


def test_the_list_for_people(tmp_path):
    done = subprocess.run([WORKER, "--devices"], env=environment(NVML, FAKE_NVML=A + ";" + B + "lost"), text=True,
                          capture_output=True, timeout=TIMEOUT_S, check=True)
    cpu, first, second = done.stdout.splitlines()
    assert cpu.startswith("cpu ") and first.startswith("GPU-aa") and "NVIDIA H200, 140 GiB" in first
    assert second.endswith("GPU: not used, it is lost from the bus; the machine must be restarted")
    done = subprocess.run([WORKER, "--devices"], env=environment(tmp_path), text=True, capture_output=True,
                          timeout=TIMEOUT_S, check=True)
    assert done.stdout.splitlines()[-1] == "no NVIDIA driver, so no GPUs"


# --- opening one ---

needs_cuda = pytest.mark.skipif(not GPU_OPEN.exists(), reason="built without the headers of CUDA")


@pytest.fixture(autouse=True)
def locks(tmp_path, monkeypatch):
    monkeypatch.setenv("SWEEPD_LOCK_DIR", str(tmp_path))


def gpu_open(device, scenario="", *library_dirs, **more):
    done = subprocess.run([GPU_OPEN, device], env=environment(*(library_dirs or [CUDA]), FAKE_CUDA=scenario, **more),
                          capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return done.stdout.splitlines()


@needs_cuda
def test_open_without_a_driver(tmp_path):
    assert gpu_open("cuda:0", "", tmp_path) == ["ENOENT: libcuda.so.1 was not found: there is no NVIDIA driver"]


@needs_cuda
def test_open_by_number_and_by_uuid():
    kind = "NVIDIA Fake 1, sm_90, 132 SMs"
    assert gpu_open("cuda:1")[0] == f"GPU-01122334-4556-6778-899a-abbccddeef{0:02x} {kind}"
    assert gpu_open("MIG-1")[0].endswith("NVIDIA Fake MIG-1, sm_90, 132 SMs")


@needs_cuda
def test_out_of_memory_is_said_as_such():
    assert gpu_open("cuda:0")[1] == "ENOMEM: 100 GiB on NVIDIA Fake 0: out of memory (CUDA_ERROR_OUT_OF_MEMORY)"


@needs_cuda
@pytest.mark.parametrize("device,scenario,expected", [
    ("cuda:2", "", "ENODEV: there is no GPU cuda:2: CUDA sees 2"),
    ("GPU-absent", "", "ENODEV: cannot start CUDA for GPU-absent: CUDA error 100"),
    ("cuda:x", "", 'EINVAL: "cuda:x" names no GPU'),
    ("cuda:1x", "", 'EINVAL: "cuda:1x" names no GPU'),
    ("cuda:-1", "", 'EINVAL: "cuda:-1" names no GPU'),
    ("gpu0", "", 'EINVAL: "gpu0" names no GPU'),
    ("cuda:0", "version:11080", "ENOSYS: the NVIDIA driver serves CUDA 11.8; 12.0 or newer is needed"),
    ("cuda:0", "fail:cuDevicePrimaryCtxRetain=214",
     "ENODEV: cannot use cuda:0 (NVIDIA Fake 0): uncorrectable ECC error encountered (CUDA_ERROR_ECC_UNCORRECTABLE)"),
    ("cuda:0", "fail:cuDevicePrimaryCtxRetain=2", "ENOMEM: cannot use cuda:0 (NVIDIA Fake 0): out of memory"),
    ("cuda:0", "fail:cuInit=803", "ENODEV: cannot start CUDA for cuda:0: CUDA error 803"),
    ("cuda:0", "fail:cuInit=999", "EIO: cannot start CUDA for cuda:0: CUDA error 999"),
])
def test_what_opening_a_gpu_says(device, scenario, expected):
    assert gpu_open(device, scenario)[0].startswith(expected)


# --- one worker a GPU ---


class Holder:
    """A process that has opened a GPU as a worker does."""

    def __init__(self, device):
        self.process = subprocess.Popen([GPU_OPEN, device, "hold"], env=environment(CUDA), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.line = self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self.process.communicate(timeout=TIMEOUT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


@needs_cuda
def test_a_gpu_is_opened_once():
    """By number or by UUID, as long as the first one lives; other GPUs are not concerned."""
    with Holder("cuda:1") as holder:
        assert holder.line.startswith("GPU-01122334-")
        said = gpu_open("cuda:1")
        assert said == [f"EBUSY: cuda:1 (NVIDIA Fake 1) is in use: another worker (pid {holder.process.pid}, gpu_open) has it"]
        assert gpu_open("cuda:0")[0].startswith("GPU-00112233-")
        holder.kill()  # -9: nothing is left to be cleaned up
        assert gpu_open("cuda:1")[0].startswith("GPU-01122334-")


@needs_cuda
def test_a_worker_says_who_has_its_gpu(tmp_path):
    (tmp_path / "c.json").write_text("{}")
    with Holder("GPU-aa") as holder:
        done = subprocess.run([WORKER, "--standalone", "--config", tmp_path / "c.json", "--device", "GPU-aa", "--dir",
                               tmp_path / "run"], env=environment(CUDA), capture_output=True, text=True, timeout=TIMEOUT_S,
                              check=False)
    if "cudnn" in done.stderr.lower():
        pytest.skip("cuDNN is not installed")
    assert done.returncode == 1 and done.stderr == (
        f"error: GPU-aa (NVIDIA Fake GPU-aa) is in use: another worker (pid {holder.process.pid}, gpu_open) has it\n")


@needs_cuda
def test_locks_for_everybody(tmp_path):
    """Whoever made the file, whatever the umask; a lock that cannot be had is said and costs no training."""
    old = os.umask(0o077)
    try:
        gpu_open("cuda:0")
    finally:
        os.umask(old)
    assert [oct(f.stat().st_mode) for f in tmp_path.glob("sweepd-*.lock")] == ["0o100444"]
    said = gpu_open("cuda:0", SWEEPD_LOCK_DIR=str(tmp_path / "none"))
    assert said[0].startswith("GPU-0011") and said[1].startswith("cannot open ") and said[1].endswith("No such file or directory")


def test_who_has_a_gpu_is_listed(tmp_path):
    with open(tmp_path / "sweepd-aa.lock", "x", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        first, second = gpus(find(A + ";" + B))
        assert first["in_use"] == f"by another worker (pid {os.getpid()}, {name_of_this()})" and second["in_use"] is None


def name_of_this():
    with open("/proc/self/comm", encoding="utf-8") as file:
        return file.read().strip()
