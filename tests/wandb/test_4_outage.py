"""No network for the whole of a sweep, then there is one."""
import json

from campaign import FAST, FAST_WORKER

N, EPOCHS = 8, 12


def test_all_arrives_when_the_server_comes_back(place, fake):
    fake.down()
    place.start("--devices", 2, "--threads", 1, worker=FAST_WORKER, env={"FAST": json.dumps({"telemetry": 4, "log": True})})
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
