"""No network for the whole of a sweep, then there is one."""
import json

from campaign import FAST, FAST_WORKER

N, EPOCHS = 8, 12


def test_all_arrives_when_the_server_comes_back(place, fake):
    fake.down()
    plan = {"telemetry": 4, "log": True}
    place.start("--devices", 2, "--threads", 1, worker=FAST_WORKER, env={"FAST": json.dumps(plan)})
    place.forward(*FAST)
    first = place.submit_wandb(N, EPOCHS)
    jobs = range(first, first + N)
    for job in jobs:
        place.wait_state(job, "done")
    place.kill_forward()  # a week later; nothing but the store remembers
    place.forward(*FAST)
    fake.limit(40, burst=10)
    fake.up()
    place.wait_forwarded(*jobs)
    place.stop_forward()
    assert [text for job in jobs for text in place.compare(job)] == []
    state = fake.state()
    assert len(state["sweeps"]) == 1 and len(state["runs"]) == N
    starts = [request for request in fake.requests if request["channel"] == "file_stream"]
    assert len(starts) < N * EPOCHS, "lines that wait go together"


def test_what_the_server_asks_for_is_heeded(place, fake):
    """RateLimit-Reset and Retry-After: the fake server minds every request that comes too early."""
    fake.fault(channel="file_stream", status=429, retry_after=0.6)
    fake.fault(channel="file_stream", headers={"RateLimit-Remaining": 0, "RateLimit-Reset": 1})
    fake.fault(channel="file_stream", status=503, retry_after=0.4)
    place.start("--devices", 2, "--threads", 1, worker=FAST_WORKER)
    place.forward(*FAST)
    first = place.submit_wandb(4, 5)
    place.wait_forwarded(*range(first, first + 4))
    assert [text for job in range(first, first + 4) for text in place.compare(job)] == []
    assert sum(fake.state()["faults"].values()) == 3
