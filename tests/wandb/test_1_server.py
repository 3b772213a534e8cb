"""The fake server itself: a correct client passes, and each way to be wrong is found."""
import http.client
import json
import threading
import time

import fake_wandb
import pytest
from client import SWEEP, UPSERT, Client, row

SUMMARY = "wandb-summary.json"
SWEEP_CONFIG = json.dumps({"method": "grid", "parameters": {"lr": {"values": [0.1, 0.2]}},
                           "metric": {"name": "acc", "goal": "maximize"}, "controller": {"type": "local"}})


@pytest.fixture
def client(fake):
    client = Client(fake)
    assert client.upsert()[0] == 200
    return client


@pytest.fixture
def breaches(fake):
    """Ends with the violations that the test has made, each of which it must name."""
    def found(*texts):
        assert len(fake.records.violations) == len(texts), fake.records.violations
        for text, violation in zip(texts, fake.records.violations):
            assert text in violation
        fake.records.violations.clear()
    return found


def test_a_correct_run(fake, client):
    status, answer = client.graphql(SWEEP, config=SWEEP_CONFIG, project="p")
    sweep = answer["data"]["upsertSweep"]["sweep"]
    status, answer = client.upsert(sweep=sweep["name"], config='{"lr": {"value": 0.1}}', tags=["a", "b"])
    assert status == 200 and answer["data"]["upsertBucket"]["bucket"]["sweepName"] == sweep["name"]
    assert client.history(0, row(0, acc=1.5), '{"_step": 1, "_runtime": 1, "_timestamp": 2, "acc": NaN}')[0] == 200
    assert client.history(1, '{"_step": 1, "_runtime": 1, "_timestamp": 2, "acc": NaN}', row(4))[0] == 200
    event = '{"_wandb": true, "_timestamp": 1.8e9, "_runtime": 2, "system.cpu": 5}'
    console = {"offset": 0, "content": ["2026-11-24T02:18:03.954681 ä"]}
    client.stream({"files": {"wandb-events.jsonl": {"offset": 0, "content": [event]}, "output.log": console,
                             SUMMARY: {"offset": 0, "content": ['{"acc": 2}']}}})
    urls = client.create_files("config.yaml", "media/images/ä x.png")
    assert [client.put(url, b"data")[0] for url in urls.values()] == [200, 200]
    last = {"uploaded": list(urls), "files": {SUMMARY: {"offset": 0, "content": ['{"acc": 3}']}}}
    assert client.complete(**last)[0] == 200
    assert client.complete(**last)[0] == 200, "a lost answer: said again"
    state = client.run_state()
    assert (state["state"], state["exitcode"], state["summary"]) == ("finished", 0, '{"acc": 3}')
    assert len(state["history"]) == 3 and state["output"] == console["content"] and len(state["events"]) == 1
    assert state["files"].keys() == urls.keys() and state["fields"]["tags"] == ["a", "b"]
    assert fake.state()["counts"]["upsertBucket"] == 2


def test_answers_hold_what_was_selected(client):
    client.history(0, row(0), row(1))
    client.complete(1)
    status, answer = client.graphql("""query Q($p: String!) { project(name: $p) { runs(first: 1) { totalCount edges {
      node { id2: name state exitcode historyLineCount historyTail wandbConfig(keys: ["t"]) } } } } }""", p="p")
    node = {"id2": "r1", "state": "failed", "exitcode": 1, "historyLineCount": 2, "historyTail": json.dumps([row(1)]),
            "wandbConfig": "{}"}
    assert answer == {"data": {"project": {"runs": {"totalCount": 1, "edges": [{"node": node}]}}}}
    status, answer = client.graphql("query { project(name: \"p\") { bucket(name: \"none\", missingOk: true) { id } } }")
    assert (status, answer) == (200, {"data": {"project": {"bucket": None}}})


BAD_STREAMS = {
    "a gap: offset 5 after 2 lines": {"wandb-history.jsonl": {"offset": 5, "content": [row(5)]}},
    "line 1 was": {"wandb-history.jsonl": {"offset": 1, "content": [row(1, acc=2)]}},
    "_step [1, 1]": {"wandb-history.jsonl": {"offset": 2, "content": [row(1)]}},
    "_step None": {"wandb-history.jsonl": {"offset": 2, "content": ['{"_runtime": 1, "_timestamp": 2}']}},
    "_timestamp None": {"wandb-history.jsonl": {"offset": 2, "content": ['{"_step": 2, "_runtime": 1}']}},
    "line 2 is not JSON": {"wandb-history.jsonl": {"offset": 2, "content": ['{"_step": 2, "acc": nan}']}},
    "a key twice": {"wandb-history.jsonl": {"offset": 2, "content": ['{"_step": 2, "_step": 2}']}},
    "no object": {"wandb-history.jsonl": {"offset": 2, "content": ["[1]"]}},
    "no list of lines": {"wandb-history.jsonl": {"offset": 2, "content": []}},
    "offset -1": {"wandb-history.jsonl": {"offset": -1, "content": [row(9)]}},
    "not 0 and one": {SUMMARY: {"offset": 1, "content": ["{}"]}},
    "do not begin with system.": {"wandb-events.jsonl": {
        "offset": 0, "content": ['{"_wandb": true, "_timestamp": 1, "_runtime": 1, "cpu": 5}']}},
    "without _wandb": {"wandb-events.jsonl": {"offset": 0, "content": ['{"_timestamp": 1, "_runtime": 1}']}},
    "a file that no page reads": {"history.jsonl": {"offset": 0, "content": ["{}"]}},
    "is several": {"output.log": {"offset": 0, "content": ["one\ntwo"]}},
    "bytes": {"output.log": {"offset": 0, "content": ["x" * 10_400_000]}},
}


@pytest.mark.parametrize("text", BAD_STREAMS)
def test_a_bad_file_stream(client, breaches, text):
    client.history(0, row(0), row(1))
    status, answer = client.stream({"files": BAD_STREAMS[text]})
    assert status == 400 and text in answer["error"]
    breaches(text)
    assert client.run_state()["history"] == [row(0), row(1)], "nothing of it was taken"


def test_outer_json_is_strict(client, breaches):
    for body in (b'{"files": {}, "files": {}}', b'{"exitcode": NaN}', b"{", b'{"x": "\xff"}', b"[]", b'{"limits": {}}'):
        assert client.stream(body)[0] == 400
    breaches("a key twice", "NaN is not JSON", "not JSON", "not JSON", "no object", "unknown keys")
    client.stream({}, Content_Type="text/plain")
    client.stream(b"", Content_Encoding="gzip")
    client.stream({}, User_Agent="")
    breaches("Content-Type", "Content-Encoding", "no User-Agent")


def test_authorization_is_exact(fake, client, breaches):
    for wrong in (None, "Basic " + fake.key, client.authorization.lower(), "Bearer " + fake.key):
        assert client.send("POST", "/graphql", {"query": "{ viewer { id } }"}, Authorization=wrong)[0] == 401
    assert client.stream({}, Authorization=None)[0] == 401
    breaches("is missing", "is wrong", "is wrong", "is wrong", "is missing")
    fake.wrong_key_expected = True
    assert Client(fake, key="f" * 40).upsert()[0] == 401 and fake.unauthorized == 6


@pytest.mark.parametrize("text, query, variables", [
    ("Cannot query field", "{ viewer { nam } }", {}),
    ("syntax", "{ viewer { name }", {}),
    ("Unknown argument", "{ project(nam: \"p\") { id } }", {}),
    ("must have a sub selection", "{ viewer }", {}),
    ("is never used", "query Q($a: String) { viewer { id } }", {"a": "b"}),
    ("variables", UPSERT, {"name": 5, "project": "p"}),
    ("stands where a JSONString", UPSERT, {"name": "r", "project": "p", "config": {"lr": {"value": 1}}}),
    ("a JSONString that is not JSON", UPSERT, {"name": "r", "project": "p", "config": "{lr: 1}"}),
    ("is not wrapped", UPSERT, {"name": "r", "project": "p", "config": '{"lr": 1}'}),
    ("without a name", UPSERT, {"project": "p"}),
    ("is another's", UPSERT, {"name": "r1", "project": "p", "id": "other"}),
    ("which does not exist", UPSERT, {"name": "r1", "project": "p", "sweep": "none"}),
    ("project name", UPSERT, {"name": "r1", "project": "a/b"}),
    ("unknown keys ['lr']", SWEEP, {"project": "p", "config": SWEEP_CONFIG.replace("{", '{"lr": 1, ', 1)}),
    ("sweep parameter 'a'", SWEEP, {"project": "p", "config": '{"method": "grid", "parameters": {"a": 1}}'}),
    ("sweep state", SWEEP, {"project": "p", "config": SWEEP_CONFIG, "state": "DONE"}),
    ("without a config", SWEEP, {"project": "p"}),
])
def test_a_bad_graphql_request(client, breaches, text, query, variables):
    assert client.graphql(query, **variables)[0] == 400
    breaches(text)


def test_one_request_in_flight_per_run(fake, client, breaches):
    fake.fault(channel="file_stream", slow_s=20)
    slow, other = Client(fake), Client(fake, run="r2")
    other.upsert()
    thread = threading.Thread(target=lambda: pytest.raises(OSError, slow.stream, {}))
    thread.start()
    while not fake.records.runs["tester", "p", "r1"].in_flight:
        time.sleep(0.001)
    assert other.stream({})[0] == 200
    assert client.stream({})[0] == 400
    breaches("requests in flight at once")
    slow.connection.sock.shutdown(2)  # a client that was killed has none in flight
    thread.join()
    assert client.stream({})[0] == 200


def test_nothing_after_complete(fake, client, breaches):
    client.history(0, row(0))
    client.complete()
    assert client.history(0, row(0))[0] == client.complete(code=1)[0] == client.stream({})[0] == 400
    assert client.complete(files={"wandb-history.jsonl": {"offset": 1, "content": [row(1)]}})[0] == 400
    breaches(*4 * ["a request after complete"])
    with pytest.raises(AssertionError):
        client.create_files("late.txt")
    breaches("after complete")
    client.upsert()
    assert client.history(1, row(1))[0] == 200 and client.run_state()["reopened"] == 1


def test_uploads(fake, client, breaches):
    url = client.create_files("a")["a"]
    assert client.complete()[0] == 400
    assert client.stream({"uploaded": ["a"]})[0] == 400
    assert client.put(url, b"x", Authorization=client.authorization)[0] == 400
    assert client.put(url, b"x", x_ms_blob_type=None)[0] == 400
    assert client.put(url.replace("/a?", "/b?"), b"x")[0] == 400
    assert client.put(url, b"")[0] == 200
    assert client.complete()[0] == 400
    breaches("complete before ['a']", "was not", "carries Authorization", "without header", "the URL was changed",
             "complete before ['a']")
    assert client.complete(uploaded=["a"])[0] == 200


def test_a_client_that_does_not_wait_is_found(fake, client, breaches, monkeypatch):
    monkeypatch.setattr(fake_wandb, "GRACE_S", 0)
    fake.fault(channel="file_stream", status=429, retry_after=30)
    assert client.stream({})[0] == 429 and client.headers["Retry-After"] == "30"
    assert client.stream({})[0] == 200
    breaches("before the time we asked for")
    fake.no_more_faults()
    fake.fault(headers={"RateLimit-Remaining": 0, "RateLimit-Reset": 30})
    client.stream({})
    assert client.headers["RateLimit-Reset"] == "30"
    assert client.upsert()[0] == 200
    breaches("before the time we asked for")


def test_faults(fake, client):
    fake.fault(reset="before")
    with pytest.raises(ConnectionResetError):
        client.history(0, row(0))
    assert client.run_state()["history"] == []
    fake.fault(channel="file_stream", reset="after")
    client.upsert()
    with pytest.raises(ConnectionResetError):
        client.history(0, row(0))
    assert client.run_state()["history"] == [row(0)]
    fake.fault(truncated=True)
    with pytest.raises(http.client.IncompleteRead):
        client.stream({})
    fake.fault(malformed=True)
    with pytest.raises(ValueError):
        client.upsert()
    fake.fault(status=410, body={"error": "gone"})
    assert client.stream({}) == (410, {"error": "gone"})
    fake.fault(run="r1", stopped=True)
    assert client.stream({})[1]["stopped"] is True
    assert client.stream({})[1]["stopped"] is True and client.run_state()["stopped"]
    client.complete(255)
    assert client.run_state()["state"] == "killed"


def test_random_faults_have_every_kind(fake, client):
    fake.random_faults(0.9, channel="graphql")
    for _ in range(200):
        fake.forget_silence()
        try:
            client.upsert()
        except (OSError, ValueError, http.client.HTTPException):
            pass
    some = {"status 429", "status 500", "reset before", "reset after", "truncated True", "malformed True"}
    assert some <= fake.state()["faults"].keys()


def test_refusals_are_no_breaches(fake, client):
    fake.records.forbidden.add("secret")
    status, answer = client.upsert(project="secret")
    assert status == 403 and answer["errors"][0]["message"] == "permission denied"
    assert client.upsert(entity="strangers")[0] == 404
    _, answer = client.graphql(SWEEP, config=SWEEP_CONFIG, project="p")
    sweep = answer["data"]["upsertSweep"]["sweep"]
    client.upsert(sweep=sweep["name"])
    assert client.graphql(SWEEP, id=sweep["id"], config=SWEEP_CONFIG.replace("0.2", "0.3"), project="p")[0] == 400
    assert client.graphql(SWEEP, id=sweep["id"], state="FINISHED", project="p")[0] == 200
    assert fake.state()["sweeps"][f"tester/p/{sweep['name']}"]["state"] == "FINISHED"


def test_its_own_rate_limit_and_its_absence(fake, client):
    fake.limit(0.01, burst=1)
    assert client.stream({})[0] == 200
    assert client.stream({})[0] == 429 and float(client.headers["Retry-After"]) > 90
    fake.limit(None)
    fake.no_more_faults()
    fake.down()
    with pytest.raises(OSError):
        Client(fake).stream({})
    fake.up()
    assert Client(fake).stream({})[0] == 200
