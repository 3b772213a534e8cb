"""sweepctl wandb: what submit says of it, how far runs are, sync, export, stored keys."""
import json
import pathlib
import stat
import subprocess
import threading

import pytest

import conftest

KEY = "0123456789abcdef0123456789abcdef01234567"
SWEEP = {"name": "small", "parameters": {"lr": {"values": [0.1, 0.05]}}, "defaults": {"epochs": 2}}
needs_forward = pytest.mark.skipif(
    not (pathlib.Path(conftest.SWEEPCTL).resolve().parents[1] / "forward/sweep-forward").exists(), reason="no sweep-forward")


@pytest.fixture
def submit(place):
    """Submits a sweep whose file has these further keys; gives the line about W&B and the request."""
    data = place.directory / "data"
    data.mkdir()
    for name in ("train.bin", "test.bin"):
        (data / name).write_bytes(b"")
    (place.directory / "files").mkdir()
    daemon = place.daemon(submit=lambda request: {"ok": True, "sweep": 1, "name": "small", "jobs": 2, "first_job": 1,
                                                  "last_job": 2, "existing": False})

    def run(code=0, use_wandb=None, env=None, **keys):
        file = place.directory / "files/small.json"
        sweep = {**SWEEP, **keys}
        if use_wandb is not None:
            sweep["defaults"] = {**SWEEP["defaults"], "use_wandb": use_wandb}
        file.write_text(json.dumps(sweep))
        done = place.run("submit", file, "--data", data, code=code, **(env or {}))
        assert KEY not in done.stdout + done.stderr and KEY not in json.dumps(daemon.requests)
        if code:
            return done.stderr, None
        assert max(map(len, done.stdout.splitlines())) <= 80
        lines = done.stdout.splitlines()
        at = next((i for i, line in enumerate(lines) if line.startswith("  wandb ")), None)
        said = "" if at is None else " ".join(lines[at:-1]).removeprefix("  wandb").strip()
        return " ".join(said.split()), [r for r in daemon.requests if r["verb"] == "submit"][-1]
    return run


@needs_forward
def test_submit_says_what_is_sent_and_whose_key(place, submit):
    env_file = place.directory / "files/.env"
    said, request = submit(use_wandb=True)
    assert said == "sweepd; no API key yet (sweepctl wandb login): runs wait here"
    assert request["file_dir"] == str(env_file.parent) and request["wandb"] == {}
    env_file.write_text(f"WANDB_API_KEY={KEY}\nWANDB_PROJECT=from-env\nexport WANDB_ENTITY='team'\n")
    env_file.chmod(0o600)
    said, request = submit(use_wandb=True)
    assert said == "team/from-env; key from ~/files/.env"
    assert request["wandb"] == {"project": "from-env", "entity": "team"}
    said, request = submit(use_wandb=True, project="of-file", wandb={"entity": "me"}, env={"WANDB_API_KEY": KEY})
    assert said == "me/of-file; key from WANDB_API_KEY"
    said, request = submit(use_wandb=True, env={"WANDB_PROJECT": "shell"})
    assert said.startswith("team/shell;") and request["wandb"]["project"] == "shell"
    env_file.unlink()
    above = place.directory / ".env"
    above.write_text(f"WANDB_API_KEY={KEY}\n")
    assert submit(use_wandb=True)[0] == "sweepd; key from ~/.env"


def test_a_map_alone_switches_forwarding_on(submit):
    said, request = submit(wandb={"mode": "offline", "project": "p"})
    assert said == "offline, p; a file for `wandb sync` as each run ends"
    said, _ = submit(wandb={"mode": "offline", "project": "a long name of a project"}, entity="somebody")
    assert said == "offline, somebody/a long name of a project; a file for `wandb sync` as each run ends"
    said, _ = submit(use_wandb=False, wandb={"project": "p"})
    assert said == "no job has use_wandb: runs are kept here only"
    assert submit(use_wandb=True, wandb={"mode": "disabled"})[0] == "mode is disabled: runs are kept here only"
    assert submit(wandb={"mode": "disabled"})[0] == "no job has use_wandb: runs are kept here only"
    assert submit()[0] == ""
    assert submit(use_wandb=True, env={"WANDB_MODE": "disabled"})[0] == "mode is disabled: runs are kept here only"
    said, _ = submit(wandb={"mode": "offline"}, when=[{"if": {"lr": 0.1}, "set": {"use_wandb": {"value": True}}}])
    assert said == "offline, sweepd, 1 of 2 jobs; a file for `wandb sync` as each run ends"


def test_settings_of_the_environment_are_checked_where_they_matter(submit):
    said, _ = submit(use_wandb=True, env={"WANDB_MODE": "sometimes"}, code=5)
    assert "the environment's settings of W&B" in said and "expected: online, offline or disabled" in said
    said, _ = submit(use_wandb=True, project="a/b", code=5)
    assert "cannot be a project of W&B" in said
    submit(use_wandb=False, project="a/b", env={"WANDB_MODE": "sometimes"})


# --- status ---

def wanted(place, mode="online", **settings):
    """s1 grid as of the fixture, its jobs with use_wandb."""
    place.sql("UPDATE sweep SET wandb = ?, file_dir = ?", json.dumps({"mode": mode, "project": "cifar", **settings}),
              str(place.directory))
    place.sql("UPDATE job SET use_wandb = 1, own = json_set(own, '$.use_wandb', json('true'))")


def sent(place, job, phase="finished", problem=None, url="http://x", behind=0):
    newest, = place.sql("SELECT coalesce(max(id), 0) FROM event WHERE job = ?", job)[0]
    epoch, = place.sql("SELECT coalesce(max(epoch), 0) FROM epoch WHERE job = ?", job)[0]
    place.sql("INSERT OR REPLACE INTO wandb_run (job, run_id, phase, problem, url, last_event, last_epoch) VALUES (?, ?, ?, ?,"
              " ?, ?, ?)", job, f"run{job}", phase, problem, url, newest - behind, epoch - behind)


def sender(_request):
    return {**conftest.Place.status(None), "forward": {"pid": 4711, "connected": True}}


def row(place, code=0):
    out = place.run("wandb", "status", code=code, WANDB_API_KEY=KEY).stdout
    assert max(map(len, out.splitlines())) <= 80
    line, = [line for line in out.splitlines() if line.startswith("s1  ")]
    return " ".join(line.split()), out


def test_status_without_anything(place):
    out = place.run("wandb", "status").stdout
    assert out.startswith("server  https://api.wandb.ai\n")
    assert "sender  none: no sweepd is running" in out and "no sweep has use_wandb" in out
    assert place.json("wandb", "status")["sweeps"] == []


def test_status_of_runs(grid):
    wanted(grid, entity="me")
    assert row(grid)[0].startswith("s1 grid online me/cifar 8 0 7 epochs,")
    assert row(grid)[0].endswith("nobody sends")
    grid.daemon(status=sender)
    line, out = row(grid)
    assert line.endswith("being sent") and "sender  sweep-forward, pid 4711\n" in out
    sent(grid, 1)
    sent(grid, 2)
    sent(grid, 4)
    sent(grid, 3, "open", behind=1)
    assert row(grid)[0].startswith("s1 grid online me/cifar 8 3 1 epoch,")
    sent(grid, 3, "open")
    assert row(grid)[0] == "s1 grid online me/cifar 8 3 in step"
    answer, = grid.json("wandb", "status")["sweeps"]
    assert (answer["runs"], answer["begun"], answer["done"], answer["epochs_behind"]) == (8, 4, 3, 0)
    sent(grid, 1, "refused", "run was deleted (HTTP 410)")
    line, out = row(grid, code=1)
    assert line.endswith("refused in part") and "job 1, refused: run was deleted (HTTP 410)" in out
    grid.sql("INSERT INTO wandb_sweep (sweep, problem) VALUES (1, ?)", "no API key for api.wandb.ai\n  do this:  sweepctl wandb login")
    line, out = row(grid, code=1)
    assert line.endswith("waits for you") and "\ns1: no API key for api.wandb.ai\n  do this:  sweepctl wandb login\n" in out
    answer = grid.json("wandb", "status", code=1)
    assert answer["refused"] == [{"job": 1, "sweep": 1, "problem": "run was deleted (HTTP 410)"}]


def test_status_counts_no_sweep_that_sends_nothing(grid):
    assert grid.json("wandb", "status")["sweeps"] == []
    wanted(grid, "disabled")
    assert grid.json("wandb", "status")["sweeps"] == []
    wanted(grid, "offline")
    assert row(grid)[0] == "s1 grid offline cifar 8 0 as runs end"


@needs_forward
def test_status_names_the_keys_place_and_never_the_key(grid):
    wanted(grid)
    assert "key     no API key for api.wandb.ai" in grid.run("wandb", "status").stdout
    (grid.directory / ".env").write_text(f"WANDB_API_KEY={KEY}\n")
    out = grid.run("wandb", "status").stdout
    assert "key     ~/.env\n" in out and "others can read it" in out and KEY not in out
    (grid.directory / ".env").chmod(0o600)
    assert "others can read" not in grid.run("wandb", "status").stdout
    out = grid.run("wandb", "status", WANDB_API_KEY=KEY, WANDB_BASE_URL="http://lab:8080").stdout
    assert "key     WANDB_API_KEY of this shell" in out and "server  http://lab:8080\n" in out and KEY not in out
    out = grid.run("wandb", "status", WANDB_API_KEY="short").stdout
    assert "WANDB_API_KEY: not a key of W&B: it has 5 characters" in out


# --- sync ---

def test_sync_asks_again_and_waits_until_all_is_there(grid):
    wanted(grid)
    for job in (1, 4):
        sent(grid, job)
    sent(grid, 2, "refused", "no")
    sent(grid, 3, "open", behind=1)
    asked = threading.Event()

    def sync(request):
        asked.jobs = request["jobs"]
        sent(grid, 2)
        sent(grid, 3, "open")
        return {"ok": True}
    grid.daemon(sync=sync)
    assert grid.run("wandb", "sync").stdout == "W&B has everything so far; 1 run goes on\n"
    assert asked.jobs == [2, 3]
    assert grid.json("wandb", "sync", "s1") == {"runs_left": 0, "epochs_left": 0, "refused": 0, "problem": None}


def test_sync_that_is_not_through(grid):
    wanted(grid)
    for job in (2, 4):
        sent(grid, job)
    sent(grid, 3, "open")
    grid.run("wandb", "sync", code=3)
    grid.daemon(sync=lambda request: {"ok": True})
    done = grid.run("wandb", "sync", "--timeout", "0.1", code=124)
    assert "1 run and 3 epochs are still to be sent; sweep-forward goes on" in done.stderr
    sent(grid, 1, "refused", "no")
    assert "1 run was refused" in grid.run("wandb", "sync", code=1).stderr
    assert grid.json("wandb", "sync", code=1)["refused"] == 1
    assert "no sweep" in grid.run("wandb", "sync", "nothing", code=4).stderr


def test_sync_takes_offline_sweeps_only_where_they_are_named(grid):
    wanted(grid, "offline")
    for job in (1, 2, 3, 4):
        sent(grid, job, url=None)
    assert grid.run("wandb", "sync").stdout == "nothing is to be sent: no such sweep has use_wandb\n"
    jobs = []

    def sync(request):
        jobs.extend(request["jobs"])
        return {"ok": True}
    grid.daemon(sync=sync)
    grid.run("wandb", "sync", "s1")
    assert jobs == [1, 2, 3, 4]


# --- keys ---

@needs_forward
def test_login_stores_a_key_for_its_server_and_forgets_it(place):
    stored = place.directory / "wandb.netrc"
    done = place.run("wandb", "login", "--no-check", text=KEY + "\n")
    assert str(stored) in done.stdout and KEY not in done.stdout + done.stderr
    assert stat.S_IMODE(stored.stat().st_mode) == 0o600 and KEY in stored.read_text()
    assert "key     ~/wandb.netrc\n" in place.run("wandb", "status").stdout
    assert "key     no API key for lab\n" in place.run("wandb", "status", WANDB_BASE_URL="http://lab:1").stdout
    answer = place.json("wandb", "login", "--no-check", "--base-url", "http://lab:1/", text="  " + KEY[::-1] + "\n")
    assert answer == {"server": "http://lab:1/", "entity": None, "stored": str(stored)}
    place.run("wandb", "login", "--remove")
    place.run("wandb", "login", "--remove", code=4)
    assert KEY not in stored.read_text() and KEY[::-1] in stored.read_text()
    for bad in ("", "short", KEY + " x/y", "ключ" * 20):
        text = bad if bad != KEY + " x/y" else KEY + "/y"
        done = place.run("wandb", "login", "--no-check", code=5, text=text)
        assert "not a key of W&B" in done.stderr and (not text or text not in done.stderr)
    done = place.run("wandb", "login", "--no-check", "--base-url", "https://wandb.ai", code=5, text=KEY)
    assert 'write "https://api.wandb.ai"' in done.stderr


@needs_forward
def test_doctor_tells_of_the_key(place):
    (place.directory / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    done = subprocess.run([conftest.SWEEPCTL, "doctor", "--json"], env=place.env, capture_output=True, text=True, check=False)
    check, = [c for c in json.loads(done.stdout)["checks"] if c["name"] == "wandb"]
    assert check["health"] == "warn" and check["do_this"].startswith("chmod 600") and KEY not in done.stdout


# --- usage ---

@pytest.mark.parametrize("args, sentence", [
    ([], "login, status, sync, export or selftest?"),
    (["logout"], "login, status, sync, export or selftest, not"),
    (["status", "s1"], "takes no targets"),
    (["sync", "--timeout", "soon"], "--timeout needs seconds"),
])
def test_wrong_usage(place, args, sentence):
    assert sentence in place.run("wandb", *args, code=2).stderr


def test_export_without_anything(grid):
    assert "no job 99" in grid.run("wandb", "export", 99, code=4).stderr
    assert "none of these jobs has begun" in grid.run("wandb", "export", 7).stderr
