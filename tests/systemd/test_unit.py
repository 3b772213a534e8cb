"""sweepd.service: what it says, how exposed it is, and what a live systemd makes of it."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SWEEPD_BUILD", ROOT / "build-tests"))
PLAIN = pathlib.Path(os.environ.get("SWEEPD_PLAIN_BUILD", BUILD))
UNIT = BUILD / "systemd/sweepd.service"
EXPOSURE = 9  # tenths, of systemd 252's scale: "SAFE"; docs/reliability.md says what the rest is


def settings():
    found = {}
    for line in UNIT.read_text().splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_exposure():
    done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager", f"--threshold={EXPOSURE}", UNIT],
                          text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout[-200:]


def test_workers_outlive_what_they_should():
    s = settings()
    assert s["KillMode"] == ["process"] and s["OOMPolicy"] == ["continue"] and s["RuntimeDirectoryPreserve"] == ["restart"]
    code = re.search(r"EXIT_RESTART\s+(\d+)", (ROOT / "common/protocol.h").read_text()).group(1)
    assert s["RestartForceExitStatus"] == s["SuccessExitStatus"] == [code]


def test_the_stop_is_given_time():
    """More than sweepd's own bound: drain, then four steps of asking (daemon.c)."""
    text = subprocess.run([BUILD / "daemon/sweepd", "--help"], text=True, capture_output=True, check=True).stdout
    default = {name: int(ms) for name, ms in re.findall(r"--(drain|ask)-ms=MS\s[^(]*\(default:\s+(\d+)\)", text)}
    assert int(settings()["TimeoutStopSec"][0]) * 1000 > default["drain"] + 4 * default["ask"]


def test_generated_code_callers_and_gpus():
    """What must stay allowed: oneDNN's generated code, uids of callers, NVIDIA's files; and nothing else of /dev."""
    s = settings()
    assert not {"MemoryDenyWriteExecute", "PrivateUsers", "PrivateDevices", "ProcSubset"} & s.keys()
    assert s["DevicePolicy"] == ["closed"] and all(re.fullmatch("char-nvidia[a-z-]* rw", d) for d in s["DeviceAllow"])


def test_only_what_is_installed_has_a_unit():
    for unit in (ROOT / "systemd").glob("*.service.in"):
        program = re.search(r"^ExecStart=@bindir@/(\S+)", unit.read_text(), re.M).group(1)
        assert any(program == p.name for p in BUILD.glob(f"*/{program}")), f"{unit.name} runs {program}"


def test_live(tmp_path):
    """Crash, restart, stop and a worker killed for memory under a real systemd (live.py)."""
    done = subprocess.run([ROOT / "tests/systemd/boot.sh", PLAIN, ROOT / "tests/systemd/live.py", tmp_path], text=True,
                          capture_output=True, timeout=300, check=False)
    if done.returncode == 77:
        pytest.skip("no systemd can be booted here")
    log = (tmp_path / "log").read_text()
    print(log, done.stderr)
    assert log.endswith("\nend\n")
