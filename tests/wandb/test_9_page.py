"""What the pages of a sweep and of its runs need, is there."""
import json

import pytest
from campaign import FAST, FAST_WORKER

CONFUSION, PICTURE = {"epoch": 2, "matrix": [[9, 1], [4, 6]]}, "media/images/confusion_matrix.png"


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


def forward_with_confusion(place, text, **submit):
    """One run whose worker left this in confusion.json."""
    place.script({"1": [[["epoch", 1], ["wait", "go"], ["epoch", 2], ["done"]]]})
    place.start()
    place.forward(*FAST)
    job = place.submit_wandb(epochs=2, **submit)
    place.wait(lambda: place.epochs(job) == [1], "its directory")
    (place.state / f"jobs/{job}/confusion.json").write_text(text)
    place.go("go")
    return job


def test_the_confusion_matrix_is_a_picture(place, fake):
    fake.fault(channel="upload", status=503)
    job = forward_with_confusion(place, json.dumps({"dataset": "d", "classes": ["a", "b"], "last": CONFUSION, "best": CONFUSION}))
    place.wait_forwarded(job)
    with fake.lock:
        files = fake.records.runs["tester", "p", place.run_of(job)["name"]].files
        assert files[PICTURE].startswith(b"\x89PNG\r\n") and files[PICTURE].endswith(b"IEND\xaeB`\x82")
    place.ctl("wandb", "export", job, "--to", place.dir / "out")
    directory, = (place.dir / "out").iterdir()
    assert (directory / "files" / PICTURE).read_bytes() == files[PICTURE], "offline as online"


@pytest.mark.parametrize("text", ["", json.dumps({"classes": ["a"], "best": CONFUSION}), '{"best": ' + "[" * 100_000])
def test_a_file_that_is_none_costs_the_picture_alone(place, text):
    job = forward_with_confusion(place, text)
    place.wait_forwarded(job)
    run = place.run_of(job)
    assert place.compare(job) == [] and run["complete"] and PICTURE not in run["files"]
    assert "media/images/learning_curves.png" in run["files"]
    assert place.said().count("no picture of its confusion matrix") == 1 and "/confusion.json: " in place.said()

