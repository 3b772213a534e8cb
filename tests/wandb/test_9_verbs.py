"""sweepctl wandb with a server: login, selftest, sync; and that the key is nowhere but where it was put."""
import json
import pathlib
import subprocess

import place as places
import pytest
from campaign import FAST, FAST_WORKER
from fake_wandb import FakeWandb

NO_KEY = {"WANDB_API_KEY": ""}
WRONG = "f" * 40
SELDOM = ["--person-ms", 60_000, "--interval-ms", 20, "--retry-ms", 20]  # what is asked for must not wait for that


@pytest.fixture
def ctl(place, fake):
    """sweepctl in a shell that knows the server and no key."""
    place.env.update(fake.env(), WANDB_API_KEY="", HOME=str(place.dir))
    return place.ctl


def login(place, key, *options, code=0):
    """As a person does: the key comes on standard input."""
    done = subprocess.run([places.daemon.SWEEPCTL, "wandb", "login", *options], env=place.env, input=key + "\n", text=True,
                          capture_output=True, timeout=60, check=False)
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert key not in done.stdout + done.stderr
    return done


def test_login_asks_the_server(place, fake, ctl):
    fake.wrong_key_expected = True
    assert "logged in to http://127.0.0.1" in login(place, fake.key).stdout
    done = login(place, WRONG, code=7)
    assert "does not take this key" in done.stderr and "nothing was stored" in done.stderr
    fake.fault(channel="graphql", status=500, times=2)
    assert json.loads(login(place, fake.key, "--json").stdout)["entity"] == "tester"
    fake.down()
    done = login(place, fake.key)
    assert "not checked: http://127.0.0.1" in done.stdout and "is not reached" in done.stdout
    fake.up()


def test_selftest(place, fake, ctl):
    login(place, fake.key)
    fake.fault(channel="graphql", status=429, retry_after=0.2, times=2)
    fake.fault(channel="file_stream", reset="after")
    fake.fault(operation="upsertBucket", status=502)
    out = ctl("wandb", "selftest").stdout
    assert [line.split()[1] for line in out.splitlines()[:-1]] == ["key", "sweep", "run", "run", "read"]
    state = fake.state()
    sweep, = state["sweeps"].values()
    assert sweep["state"] == "FINISHED" and out.splitlines()[-1].endswith(f"/tester/sweepd-selftest/sweeps/{sweep['name']}")
    runs = list(state["runs"].values())
    assert len(runs) == 2 and all(run["fields"]["sweep"] == sweep["name"] and run["state"] == "finished" for run in runs)
    assert all(len(run["history"]) == 3 and len(run["output"]) == 1 for run in runs)
    answer = json.loads(ctl("wandb", "selftest", "--json", "--project", "other", "--entity", "lab").stdout)
    assert answer["entity"] == "lab" and len(answer["runs"]) == 2
    assert "cannot be a project" in ctl("wandb", "selftest", "--project", "a/b", code=5).stderr


def test_selftest_tells_what_is_wrong(place, fake, ctl):
    fake.wrong_key_expected = True
    assert "sweepctl wandb login" in ctl("wandb", "selftest", code=7).stderr
    place.env["WANDB_API_KEY"] = WRONG
    assert "does not take this key" in ctl("wandb", "selftest", code=7).stderr
    place.env["WANDB_API_KEY"] = fake.key
    fake.records.forbidden.add("sweepd-selftest")
    assert "permission denied" in ctl("wandb", "selftest", code=7).stderr


def test_sync_sends_again_what_was_refused(place, fake, ctl):
    place.start(worker=FAST_WORKER)
    fake.fault(channel="file_stream", status=410, times=2)
    place.forward(*SELDOM)
    place.submit_wandb(3, 4)
    place.wait(lambda: place.sql("SELECT count(*) FROM wandb_run WHERE phase IN ('refused', 'finished')") == [(3,)], "three ends")
    assert place.sql("SELECT count(*) FROM wandb_run WHERE phase = 'refused'") == [(2,)]
    status = ctl("wandb", "status", code=1).stdout
    assert "refused in part" in status and "HTTP 410" in status
    assert ctl("wandb", "sync").stdout == "W&B has everything\n"
    assert [text for job in (1, 2, 3) for text in place.compare(job)] == []
    assert json.loads(ctl("wandb", "status", "--json").stdout)["sweeps"][0]["state"] == "sent"


def test_an_offline_sweep_that_is_named_goes_online(place, fake, ctl):
    place.start(worker=FAST_WORKER)
    place.forward(*FAST)
    place.submit_wandb(2, 3, wandb={"mode": "offline"})
    place.wait(lambda: place.sql("SELECT count(*) FROM wandb_run WHERE phase = 'finished'") == [(2,)], "two files")
    assert not fake.requests
    ctl("wandb", "sync")
    assert not fake.requests
    assert ctl("wandb", "sync", "tiny").stdout == "W&B has everything\n"
    assert [text for job in (1, 2) for text in place.compare(job)] == []
    assert place.one("SELECT wandb ->> 'mode' FROM sweep") == ("online",)


def test_login_and_sync_wake_what_waits_for_a_key(place, fake, ctl):
    place.start(worker=FAST_WORKER)
    place.forward(*SELDOM, env=NO_KEY)
    job = place.submit_wandb(2, 3)
    place.wait(lambda: place.sql("SELECT 1 FROM wandb_sweep WHERE problem LIKE 'no API key%'"), "the sweep to wait for a key")
    place.wait_state(job + 1, "done")
    status = ctl("wandb", "status", code=1).stdout
    assert "waits for you" in status and "do this:  sweepctl wandb login" in status
    login(place, fake.key)
    assert ctl("wandb", "sync").stdout == "W&B has everything\n"
    assert [text for j in (job, job + 1) for text in place.compare(j)] == []
    assert place.said().count("no API key") == 1
    check_hygiene(place, fake.key, {"wandb.netrc"})


def test_the_key_of_a_dotenv_file_is_used_and_stays_there(place, fake, ctl):
    files = place.dir / "project/sweeps"
    files.mkdir(parents=True)
    (files.parent / ".env").write_text(f"export WANDB_API_KEY='{fake.key}'  # mine\n")
    place.start(worker=FAST_WORKER)
    place.forward(*FAST, env=NO_KEY)
    job = place.submit_wandb(1, 3, file_dir=str(files))
    place.wait_forwarded(job)
    assert place.compare(job) == [] and "others can read it" in place.said()
    check_hygiene(place, fake.key, {".env"})


def check_hygiene(place, key, places):
    """The key is in those files and in no other, in no command line, and what would show a process's memory is shut."""
    found = {path.name for path in place.dir.rglob("*") if path.is_file() and key.encode() in path.read_bytes()}
    assert found == places
    proc = pathlib.Path(f"/proc/{place.forwarder.pid}")
    assert key.encode() not in (proc / "cmdline").read_bytes()
    limits = (proc / "limits").read_text()
    assert "Max core file size        0                    0 " in limits
    assert proc.joinpath("mem").stat().st_uid == 0  # root's: it is not dumpable


def test_two_servers_have_a_key_each(place, fake, ctl):
    with FakeWandb(key="a" * 39 + "1") as second:
        second_url = second.env()["WANDB_BASE_URL"].replace("127.0.0.1", "localhost")
        login(place, fake.key)
        login(place, second.key, "--base-url", second_url)
        place.start(worker=FAST_WORKER)
        place.forward(*FAST, env=NO_KEY)
        place.submit_wandb(1, 2)
        place.submit_wandb(1, 2, wandb={"base_url": second_url + "/"})
        place.wait_forwarded(1, 2)
        assert len(second.state()["runs"]) == len(fake.state()["runs"]) == 1
        second.check()
