"""W&B's own client as the witness: the same run logged by it, our offline files read and synced by it."""
import json
import os
import subprocess

import place as places
import pytest
from campaign import FAST, FAST_WORKER
from fake_wandb import FakeWandb

HERE = places.ROOT / "tests/wandb"
TIMES = {"_timestamp", "_runtime", "_wandb"}


@pytest.fixture(scope="session")
def theirs():
    """PYTHONPATH of W&B's client: {"current": ..., "reader": ...}."""
    done = subprocess.run([HERE / "install_wandb.sh"], text=True, capture_output=True, check=False)
    if done.returncode == 77:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    current, reader = done.stdout.split()
    return {"current": current, "reader": f"{reader}:{current}"}


@pytest.fixture
def other():
    """A second server, for what W&B's client says."""
    with FakeWandb(lenient=True) as server:
        yield server
    server.check()


def run_theirs(theirs, what, place, *arguments, reader=False, **env):
    home = place.dir / "theirs"
    home.mkdir(exist_ok=True)
    env = {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": theirs["reader" if reader else "current"],
           "WANDB_ERROR_REPORTING": "false", **env}
    done = subprocess.run(["/usr/bin/python3", *map(str, arguments)], text=True, capture_output=True, timeout=60,
                          check=False, cwd=home, env=env)
    assert done.returncode == 0, (what, done.stdout, done.stderr)
    return done.stdout


@pytest.fixture(params=[0, 2], ids=["epochs", "steps"])
def trained(request, place):
    """One run that was sent as it trained; with numbers that are not finite, metrics, telemetry and a log; the second with
    samples of its steps."""
    metrics = ["test_top5_accuracy", "val_loss", "mirror_test_accuracy"]
    place.start(worker=FAST_WORKER, env={"FAST": json.dumps({"odd": 1, "telemetry": 2, "log": True, "metrics": metrics})})
    place.forward(*FAST)
    wandb = {"group": "größe", "tags": ["a", "b c"], "notes": "two\nlines"}
    job = place.submit_wandb(2, 6, wandb=wandb, defaults={"lr": 0.05, "log_steps": request.param})
    place.wait_forwarded(job, job + 1)
    assert place.compare(job) == []
    return job


def values(lines, times=False):
    """Rows, without the times of logging unless those are asked for; NaN equals NaN."""
    rows = [json.loads(line) for line in lines]
    return [{k: repr(float(v)) if isinstance(v, (int, float)) else v for k, v in row.items() if times or k not in TIMES}
            for row in rows]


def configuration(run):
    return {key: value for key, value in run["config"].items() if key != "_wandb"}


def definitions(run):
    """What we define of metrics, as define_metric() takes it."""
    defined = run["config"]["_wandb"]["value"]["m"]
    return [[m["1"], {**({"step_metric": defined[m["5"] - 1]["1"]} if "5" in m else {}),
                      **({"summary": "none"} if m.get("7") == [6] else {})}] for m in defined]


def of_run(fake, run, channel):
    """(operation or channel, body) of a run's requests, in order."""
    return [(r["operation"] or r["channel"], r["body"]) for r in fake.requests
            if channel in (None, r["channel"]) and r["run"] == run]


def test_the_same_run_logged_by_their_client(place, fake, other, theirs, trained):
    ours = place.run_of(trained)
    config = {key: value["value"] for key, value in configuration(ours).items()}
    fields = ours["fields"]
    what = {"rows": [json.loads(line) for line in ours["history"]], "exitcode": 0, "metrics": definitions(ours),
            "init": {"project": ours["project"], "id": ours["name"], "name": fields["displayName"],
                     "notes": fields["notes"], "group": fields["groupName"], "job_type": fields["jobType"],
                     "tags": fields["tags"], "config": config}}
    (place.dir / "what.json").write_text(json.dumps(what))
    env = other.env(WITNESS=str(place.dir / "what.json"))
    run_theirs(theirs, "logging", place, HERE / "witness_client.py", **env)
    run, = other.state()["runs"].values()
    assert values(run["history"]) == values(ours["history"])
    same = ("name", "entity", "project", "state", "exitcode", "complete")
    assert {k: run[k] for k in same} == {k: ours[k] for k in same}
    for key in ("displayName", "notes", "groupName", "jobType", "tags"):
        assert run["fields"][key] == fields[key], key
    assert configuration(run) == configuration(ours)
    assert ours["config"]["_wandb"]["value"].keys() <= run["config"]["_wandb"]["value"].keys()
    assert sorted(definitions(run), key=str) == sorted(definitions(ours), key=str)
    summary, = values([run["summary"]])
    mine, = values([ours["summary"]])
    extra = mine.keys() - summary.keys()
    assert {k: mine[k] for k in summary} == summary and all(key.startswith("best_") for key in extra), extra
    check_requests(fake, other, ours["name"])


def check_requests(fake, other, run):
    """Shapes: what they send we send too, in their order; nothing of ours that they never send."""
    mine, their = of_run(fake, run, None), of_run(other, run, None)
    for requests in (mine, their):
        kinds = [kind for kind, _ in requests]
        assert kinds[0] == "upsertBucket" and requests[-1][1].get("complete") is True, kinds
        assert "upload" not in kinds[max(i for i, k in enumerate(kinds) if k == "upload") + 1:]
    assert {kind for kind, _ in mine} <= {kind for kind, _ in their}
    given = [{key for _, body in of_run(server, run, "graphql") if "name" in body["variables"]
              for key, value in body["variables"].items() if value is not None} for server in (fake, other)]
    assert given[0] <= given[1] | {"sweep"}, given[0] - given[1]
    streams = [[body for kind, body in requests if kind == "file_stream"] for requests in (mine, their)]
    keys = [{key for body in bodies for key in body} for bodies in streams]
    assert keys[0] <= keys[1] | {"uploaded"}, keys
    files = [{name for body in bodies for name in body.get("files", {})} for bodies in streams]
    assert files[0] >= files[1] - {"wandb-events.jsonl"}, files
    names = [{name for _, body in of_run(server, run, "upload") for name in [body["name"]]} for server in (fake, other)]
    assert {"config.yaml", "wandb-summary.json", "wandb-metadata.json"} <= names[0] & names[1], names


@pytest.fixture
def offline(place, trained):
    """The directory of the same run written as an offline file."""
    place.ctl("wandb", "export", trained, "--to", place.dir / "export")
    found, = (place.dir / "export").glob("offline-run-*")
    return found


@pytest.mark.parametrize("trained", [2], ids=["steps"], indirect=True)
def test_their_reader_decodes_every_record(place, theirs, trained, offline):
    file, = offline.glob("*.wandb")
    lines = run_theirs(theirs, "reading", place, HERE / "read_records.py", file, reader=True).splitlines()
    records = [json.loads(line) for line in lines]
    assert [record for record in records if record["unknown"] or not record["type"]] == []
    kinds = [record["type"] for record in records]
    run = place.run_of(trained)
    assert kinds.count("history") == len(run["history"]) and kinds.count("stats") == len(run["events"])
    assert kinds.count("run") == kinds.count("exit") == 1 and kinds.index("run") < kinds.index("history")
    found = next(record["record"]["run"] for record in records if record["type"] == "run")
    assert (found["run_id"], found["project"], found["sweep_id"]) == (run["name"], "p", run["fields"]["sweep"])


def test_wandb_sync_brings_an_offline_file_to_the_same_state(place, fake, other, theirs, trained, offline):
    ours = place.run_of(trained)
    other.records.sweeps = dict(fake.records.sweeps)  # the sweep must be there first
    run_theirs(theirs, "sync", place, "-m", "wandb", "sync", offline, **other.env())
    run, = other.state()["runs"].values()
    assert values(run["history"], times=True) == values(ours["history"], times=True)
    for key in ("name", "entity", "project", "state", "exitcode", "complete"):
        assert run[key] == ours[key], key
    for key in ("displayName", "notes", "groupName", "jobType", "tags", "sweep", "host"):
        assert run["fields"].get(key) == ours["fields"].get(key), key
    assert values([run["summary"]]) == values([ours["summary"]])
    assert configuration(run) == configuration(ours)
    assert [json.loads(line) for line in run["events"]] == [json.loads(line) for line in ours["events"]]
    assert sorted(definitions(run), key=str) == sorted(definitions(ours), key=str)
    assert [line.partition(" ")[2] for line in run["output"]] == [line.partition(" ")[2] for line in ours["output"]]
