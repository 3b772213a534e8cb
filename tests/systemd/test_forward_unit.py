"""sweep-forward.service: what it says and how exposed it is."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("SWEEPD_BUILD", ROOT / "build-tests"))
UNIT = BUILD / "systemd/sweep-forward.service"
EXPOSURE = 15  # tenths, of systemd 252's scale: "OK"; the network, which it is here for, is most of it


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


def test_it_reads_as_a_member_and_writes_nothing_of_sweepd():
    s = settings()
    assert s["User"] == ["sweepd-forward"] and s["Group"] == ["sweepd"] and "SupplementaryGroups" not in s
    assert s["ProtectSystem"] == ["strict"] and s["StateDirectory"] == ["sweepd-forward"]
    assert not {"ReadWritePaths", "RuntimeDirectory", "PrivateUsers"} & s.keys()
    users = (ROOT / "systemd/sweepd.sysusers").read_text()
    assert "u sweepd-forward " in users and "m sweepd-forward sweepd" in users


def test_the_network_and_no_device():
    s = settings()
    assert s["RestrictAddressFamilies"] == ["AF_UNIX AF_INET AF_INET6"]
    assert s["PrivateDevices"] == ["yes"] and s["DevicePolicy"] == ["closed"] and "DeviceAllow" not in s
    assert not {"PrivateNetwork", "IPAddressDeny"} & s.keys()


def test_the_key_is_a_credential_and_its_absence_no_failure():
    s = settings()
    assert s["LoadCredential"] == ["wandb_api_key"]  # with a path its absence would keep the unit from starting
    assert not [value for value in s.get("Environment", []) if "KEY" in value] and "EnvironmentFile" not in s


def test_it_is_always_started_again():
    s = settings()
    assert s["Restart"] == ["always"] and s["StartLimitIntervalSec"] == ["0"]
    text = subprocess.run([BUILD / "forward/sweep-forward", "follow", "--help"], text=True, capture_output=True,
                          check=True).stdout
    stop_ms = int(text.split("--stop-ms")[1].split("default:")[1].split(")")[0])
    assert int(s["TimeoutStopSec"][0]) * 1000 > 2 * stop_ms


def test_it_follows_the_services_store():
    assert "--dir /var/lib/sweepd --control /run/sweepd/control.sock" in settings()["ExecStart"][0]
