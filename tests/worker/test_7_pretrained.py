"""pretrained: training starts from a file of weights, once, and says so."""
import hashlib
import json
import signal
import struct

import pytest

from conftest import CONFIG, Run, epochs, needs_data

NET = dict(CONFIG, model="resnet8", train_images=32, epochs=1)


def write_safetensors(path, tensors):
    header, data = {}, b""
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def finished(run, *options):
    code, events, err = run.finish(*options)
    assert code == 0, (events, err)
    return events


def started(events):
    return next(e for e in events if e["type"] == "started")


def failed(run):
    """The last event of a run that cannot start."""
    code, events, err = run.finish()
    assert code != 0
    return events[-1]


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run whose final weights the others start from."""
    run = Run(tmp_path_factory.mktemp("first"), NET)
    assert started(finished(run))["pretrained"] is None
    return run


@needs_data
def test_weights_are_taken_and_recorded(tmp_path, first):
    file = first.dir / "final.safetensors"
    # at this rate no weight moves in fp32: those of the file come out again
    still = Run(tmp_path, dict(NET, pretrained=True, weights=str(file), lr=1e-30, seed=6), "still")
    said = started(finished(still))["pretrained"]
    assert said == {"file": str(file), "format": "safetensors", "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
                    "tensors": 9 + 4 * 9 + 2, "classifier": "taken", "file_classes": 10}
    before, after = first.weights(), still.weights()
    for name, (dtype, shape, raw) in before.items():
        if name.endswith(("weight", "bias")):
            assert after[name] == (dtype, shape, raw), name
    (counter,) = struct.unpack("<q", before["bn1.num_batches_tracked"][2])
    assert struct.unpack("<q", after["bn1.num_batches_tracked"][2]) == (2 * counter,)
    assert f"starts from {file} (safetensors, sha256 {said['sha256'][:8]}): " in still.log()


@needs_data
def test_the_classifier_of_other_classes_is_fresh(tmp_path, first):
    weights = first.weights()
    for name, shape in (("fc.weight", [7, 64]), ("fc.bias", [7])):
        weights[name] = ("F32", shape, bytes(4 * shape[0] * (shape + [1])[1]))
    write_safetensors(tmp_path / "seven.safetensors", weights)
    config = dict(NET, pretrained=True, weights=str(tmp_path / "seven.safetensors"), lr=1e-30, seed=6)
    run = Run(tmp_path, config, "run")
    said = started(finished(run))["pretrained"]
    assert (said["classifier"], said["file_classes"]) == ("fresh", 7)
    fresh = Run(tmp_path, dict(NET, lr=1e-30, seed=6), "fresh")  # the same seed without the file
    finished(fresh)
    assert run.weights()["fc.weight"] == fresh.weights()["fc.weight"]
    assert run.weights()["conv1.weight"] == first.weights()["conv1.weight"] != fresh.weights()["conv1.weight"]
    assert "fresh classifier of 10 classes, drawn from seed 6: the file has 7 classes" in run.log()


@needs_data
def test_a_resumed_job_does_not_read_them_again(tmp_path, first):
    file = tmp_path / "start.safetensors"
    file.write_bytes((first.dir / "final.safetensors").read_bytes())
    config = dict(NET, epochs=2, pretrained=True, weights=str(file), lr_groups="layers", seed=6)
    undisturbed = Run(tmp_path, config, "undisturbed")
    expected = finished(undisturbed)
    run = Run(tmp_path, config, "run")
    run.until(lambda e: e["type"] == "epoch", lambda process: process.send_signal(signal.SIGTERM))
    file.unlink()
    events = finished(run, "--resume")
    assert started(events)["pretrained"] is None
    assert epochs(events) == epochs(expected)[1:]
    assert run.weights() == undisturbed.weights()


@needs_data
def test_groups_have_their_rates(tmp_path, first):
    """After one step of plain SGD from the same weights the parameters of a group have moved by its share."""
    common = dict(NET, pretrained=True, weights=str(first.dir / "final.safetensors"), momentum=0, weight_decay=0, lr=0.5,
                  train_images=16, random_crop=False, random_flip=False)
    moved = {}
    for groups in ("none", "layers"):
        run = Run(tmp_path, dict(common, lr_groups=groups), groups)
        finished(run)
        moved[groups] = run.weights()
    for name, share in (("conv1.weight", .25), ("bn1.bias", .25), ("layer1.0.conv2.weight", .25),
                        ("layer2.0.downsample.0.weight", .25), ("layer3.0.conv1.weight", .5), ("layer3.0.bn2.weight", .5),
                        ("fc.weight", 1), ("fc.bias", 1)):
        at = {key: [x for (x,) in struct.iter_unpack("<f", weights[name][2])]
              for key, weights in (("start", first.weights()), *moved.items())}
        steps = [(a - s, b - s) for s, a, b in zip(at["start"], at["none"], at["layers"])]
        largest = max(abs(a) for a, _ in steps)
        assert largest > 1e-4, name
        assert max(abs(b - share * a) for a, b in steps) < 1e-5 + 1e-4 * largest, name


@needs_data
def test_what_cannot_be_used_is_said(tmp_path, first):
    file = str(first.dir / "final.safetensors")
    end = failed(Run(tmp_path, dict(NET, model="resnet20", pretrained=True, weights=file), "model"))
    assert end["class"] == "config"
    assert f"{file}: tensors do not fit resnet20 with stem cifar: " in end["reason"]
    assert "layer1.1.conv1.weight" in end["reason"] and end["reason"].endswith("resnet8 with stem cifar, which it fits")
    end = failed(Run(tmp_path, dict(NET, stem="imagenet", pretrained=True, weights=file), "stem"))
    assert end["class"] == "config" and "conv1.weight (F32 16x3x3x3 in the file, 16x3x7x7 here)" in end["reason"]
    damaged = tmp_path / "damaged.pth"
    damaged.write_bytes((first.dir / "final.safetensors").read_bytes()[:-1])
    end = failed(Run(tmp_path, dict(NET, pretrained=True, weights=str(damaged)), "damaged"))
    assert end["class"] == "data" and f"{damaged}: damaged safetensors file" in end["reason"]
    end = failed(Run(tmp_path, dict(NET, model="resnet18", stem="imagenet", pretrained=True), "absent"))
    assert end["class"] == "data" and end["reason"].endswith("do this:  sweepctl weights fetch resnet18-v1")
