"""run.sh's own logic, the host in the device's place: parts, tables, decisions, exit codes, missing tools; and that what
pack.sh packs runs from a bare folder."""
import json
import os
import pathlib
import shutil
import sqlite3
import stat
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", os.environ.get("SWEEPD_BUILD", "build"))).resolve()
PARTS = ("ops", "determinism", "throughput", "torch", "sweep")
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import gpurun  # noqa: E402
import part_throughput  # noqa: E402
import part_torch  # noqa: E402


def run(part, out, build=BUILD, script=HERE / "run.sh", **env):
    """(exit code, stdout, the result file's record or None)"""
    out.mkdir(exist_ok=True)
    done = subprocess.run([str(script), part], env=dict(os.environ, SWEEPD_BUILD=str(build), OUT=str(out), **env), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    result = out / f"{part}.txt"
    record = json.loads(result.read_text().splitlines()[-1].removeprefix("json ")) if result.exists() else None
    return done.returncode, done.stdout, record


def results(record):
    return {c["what"]: c["result"] for c in record["checks"]}


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def build_with(tmp, program, text):
    """A build directory where that program is a script."""
    build = tmp / "build"
    for name, directory in gpurun.PROGRAMS.items():
        (build / directory).mkdir(parents=True, exist_ok=True)
        if name != program:
            (build / directory / name).symlink_to(BUILD / directory / name)
    script(build / gpurun.PROGRAMS[program] / program, text)
    return build


def test_wrong_usage_is_2(tmp_path):
    for arguments in ([], ["everything"]):
        done = subprocess.run([str(HERE / "run.sh"), *arguments], capture_output=True, text=True)
        assert done.returncode == 2 and "usage:" in done.stderr


@pytest.mark.skipif(pathlib.Path("/dev/nvidiactl").exists(), reason="there is a GPU")
@pytest.mark.parametrize("part", PARTS)
def test_without_a_gpu_it_says_so_and_is_77(part, tmp_path):
    code, said, record = run(part, tmp_path, TEST_GPU="cuda:0")
    assert code == 77 and record is None
    assert said.startswith(f"{part}: skipped: there is no GPU to train on: ") and said.count("\n") == 1


def test_a_program_that_is_missing_is_named(tmp_path):
    code, said, record = run("sweep", tmp_path / "out", build=tmp_path / "none", TEST_GPU="host")
    assert code == 1 and str(tmp_path / "none/worker/sweep-worker") in said


def test_the_time_of_a_part_ends_it(tmp_path):
    code, said, record = run("torch", tmp_path, TEST_GPU="host", GPU_SECONDS="2.5")
    assert code == 1 and ("the time is over" in said or "not finished in time" in said)


def test_ops_with_the_sanitizer(tmp_path):
    script(tmp_path / "tools/compute-sanitizer", 'echo "========= ERROR SUMMARY: 0 errors"\n')
    path = f"{tmp_path}/tools:{os.environ['PATH']}"
    code, said, record = run("ops", tmp_path / "out", TEST_GPU="host", PATH=path)
    assert code == 0, said
    assert set(results(record).values()) == {"ok"} and "racecheck: kernel_bn_test" in results(record)
    script(tmp_path / "tools/compute-sanitizer", 'echo "========= RACECHECK SUMMARY: 2 hazards displayed"; exit 9\n')
    code, said, record = run("ops", tmp_path / "out", TEST_GPU="host", PATH=path)
    assert code == 1 and results(record)["racecheck: kernel_bn_test"] == "FAILED"


def test_ops_names_a_test_that_fails(tmp_path):
    build = build_with(tmp_path, "conv_test", "echo 'conv.c:1: error: off by 3'; exit 1\n")
    script(tmp_path / "tools/compute-sanitizer", 'echo "Device not supported"; exit 1\n')
    code, said, record = run("ops", tmp_path / "out", build, TEST_GPU="host", PATH=f"{tmp_path}/tools:{os.environ['PATH']}")
    assert code == 1 and "off by 3" in said and "off by 3" in (tmp_path / "out/ops.log").read_text()
    assert results(record)["conv_test"] == "FAILED" and results(record)["memcheck: kernel_bn_test"] == "skipped"


def test_determinism(tmp_path):
    code, said, record = run("determinism", tmp_path, TEST_GPU="host")
    assert code == 0, said
    assert len(results(record)) == 6 and set(results(record).values()) == {"ok"}


def test_determinism_sees_one_other_byte(tmp_path):
    build = build_with(tmp_path, "sweep-worker", f"""
{BUILD}/worker/sweep-worker "$@" || exit
while [ $# -gt 1 ]; do [ "$1" = --dir ] && printf %s $$ >>"$2/final.safetensors"; shift; done; exit 0
""")
    code, said, record = run("determinism", tmp_path / "out", build, TEST_GPU="host")
    assert code == 1 and results(record)["the same seed twice: final.safetensors"] == "FAILED"
    assert results(record)["the same seed twice: best.safetensors"] == "ok"


def test_throughput(tmp_path):
    code, said, record = run("throughput", tmp_path, TEST_GPU="host")
    assert code == 0, said
    rate = record["rates"]["resnet8 b4"]
    assert rate["launches"] > 60 and rate["images_per_s"] > 0 and "conv wgrad" in said


class Checks:
    """What at_least() needs of a part."""

    def __init__(self):
        self.found = {}

    def check(self, what, good, detail=""):
        self.found[what] = good


@pytest.mark.parametrize("is_goal, missed", ((True, False), (False, None)))
def test_goals_fail_only_where_they_are_goals(is_goal, missed):
    ours = {"images_per_s": 50000, "step_ms": 2.56, "launch_ms": 2.5, "plan_ms": 1.5, "bytes": 1e9}
    checks = Checks()
    part_throughput.check_goals(checks, "net", ours, (55000, 2.5, 1.15), 20000, 40000, is_goal)
    assert checks.found == {
        "net: images/s": missed, "net: times PyTorch eager": True, "net: times torch.compile": True,
        "net: plans' share of the step": missed, "net: busy share of the step": missed}
    row = dict(zip(part_throughput.HEADER, part_throughput.row("net", ours, 20000, None)))
    assert row["x eager"] == "2.50" and row["x compiled"] == "" and row["step/plans"] == "1.71" and row["idle %"] == "2.3"


def test_torch_part_without_pytorch(tmp_path):
    code, said, record = run("torch", tmp_path, TEST_GPU="host")
    assert code == 0, said
    assert results(record)["losses, fp32: the CPU"] == "ok" and results(record)["PyTorch beside it"] == "skipped"


def test_losses_that_part_are_seen():
    assert part_torch.apart([1.0, 2.0], [1.0, 2.0]) == (0, 0)
    assert part_torch.apart([1.0, 2.2], [1.0, 2.0])[0] == pytest.approx(0.1)
    assert part_torch.apart([1.0, float("nan")], [1.0, 2.0])[0] == float("inf")


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    if not shutil.which("patchelf"):
        pytest.skip("patchelf is not installed")
    tmp = tmp_path_factory.mktemp("packed")
    data = tmp / "data"
    data.mkdir()
    record = bytes((3, 7)) + bytes(range(256)) * 12
    (data / "train.bin").write_bytes(record * 30)
    (data / "test.bin").write_bytes(record * 20)
    done = subprocess.run([str(HERE / "pack.sh"), str(tmp / "bare"), str(BUILD), str(data), "30", "20"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=dict(os.environ, XZ_LEVEL="0"), timeout=300)
    assert done.returncode == 0, done.stdout
    return tmp / "bare", done.stdout


def bare_environment(tmp):
    """Nothing of this machine's but its tools."""
    return {"PATH": "/usr/bin:/bin", "TEST_GPU": "host", "OUT": str(tmp), "HOME": str(tmp)}


def test_packed_folder_runs_a_sweep_alone(packed, tmp_path):
    bare, said = packed
    assert "libexec/sweep-worker" in said and "at most 60000000" in said
    done = subprocess.run([str(bare / "run.sh"), "sweep"], env=bare_environment(tmp_path), cwd="/", text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=300)
    assert done.returncode == 0, done.stdout
    with sqlite3.connect(tmp_path / "results.db") as db:
        assert db.execute("SELECT count(*) FROM job WHERE state = 'done'").fetchone() == (8,)
    bundle = bare / "bundle"
    assert (bundle / "data/train.bin").stat().st_size == 50000 * gpurun.CIFAR_RECORD
    assert json.loads((bundle / "data/slice.json").read_text()) == {"train": 30, "test": 20}
    for program in (bundle / "libexec").iterdir():
        for line in subprocess.run(["ldd", str(program)], capture_output=True, text=True).stdout.splitlines():
            path = line.split("=> ")[-1].split(" (")[0].strip()
            name = pathlib.Path(path).name
            ours = str(bundle) in str(pathlib.Path(path).resolve())
            assert ours or name.startswith(("linux-vdso", "libc.", "libm.", "ld-linux")), line


def test_packed_programs_run_with_their_own_c_library(packed, tmp_path):
    bundle = tmp_path / "bundle"
    shutil.unpack_archive(packed[0] / "bundle.tar.xz", bundle)
    (bundle / "bin/glibc-needed").write_text("9.99\n")  # this machine's is "older"
    maps = subprocess.run([str(bundle / "bin/sweep-worker"), "--version"], env={"PATH": "/usr/bin:/bin", "LD_DEBUG": "libs"},
                          capture_output=True, text=True)
    assert maps.returncode == 0 and maps.stdout.startswith("sweep-worker ")
    assert f"trying file={bundle}/glibc/libc.so.6" in maps.stderr.replace("/bin/../", "/")


def test_a_missing_build_is_refused(tmp_path):
    done = subprocess.run([str(HERE / "pack.sh"), str(tmp_path), str(tmp_path / "none")], capture_output=True, text=True)
    assert done.returncode == 1 and "error: " in done.stderr
