"""What the pages of a sweep and of its runs need, is there."""
import json

from campaign import FAST, FAST_WORKER


def test_parameters_metric_and_configurations_belong_together(place, fake):
    """Parallel coordinates and importance: each swept parameter in the sweep and, by the same name, in every run's
    configuration; the metric a plain number of its summary."""
    place.start(worker=FAST_WORKER)
    place.forward(*FAST)
    first = place.submit_wandb(3, 4)
    place.wait_forwarded(first, first + 1, first + 2)
    place.wait(lambda: [s["state"] for s in fake.state()["sweeps"].values()] == ["FINISHED"], "its end")
    sweep, = fake.state()["sweeps"].values()
    config = json.loads(sweep["config"])
    assert config["controller"] == {"type": "local"}
    assert config["metric"] == {"name": "test_accuracy", "goal": "maximize"}
    assert config["parameters"].keys() == {"seed"}
    for job in range(first, first + 3):
        run = place.run_of(job)
        assert run["config"]["seed"]["value"] in config["parameters"]["seed"]["values"]
        assert "t" in run["config"]["_wandb"]["value"], "else it counts as never started"
        assert run["fields"]["sweep"] == sweep["name"] and run["fields"]["groupName"] == "tiny"
        summary = json.loads(run["summary"])
        assert isinstance(summary["test_accuracy"], float) and summary["_wandb"]["runtime"] >= 0
        with fake.lock:
            pictures = {name: data for name, data in fake.records.runs["tester", "p", run["name"]].files.items()
                        if name.startswith("media/images/")}
        assert pictures and all(data.startswith(b"\x89PNG\r\n") for data in pictures.values())
