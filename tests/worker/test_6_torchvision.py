"""Checkpoints are torchvision's: load_state_dict(strict=True) takes them, and the logits are the same; and torchvision's
files are a start for training.

Needs Debian's python3-torch and python3-torchvision, which tests/run.sh does not install (500 MB)."""
import gzip
import pathlib
import subprocess
import sys

import pytest

from conftest import BUILD, CONFIG, FASHION, Run, needs_data, tensors

torch = pytest.importorskip("torch", reason="python3-torch is not installed")
pytest.importorskip("torchvision", reason="python3-torchvision is not installed")
import numpy  # noqa: E402  (comes with torch)

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
sys.path.insert(0, str(GOLDEN))
from torch_nets import MODELS, STEMS, build  # noqa: E402

LOGITS = BUILD / "tests" / "parity" / "checkpoint_logits"
IMAGES = 20
TYPES = {"F32": numpy.float32, "I64": numpy.int64}


def test_images():
    pixels = numpy.frombuffer(gzip.open(FASHION / "t10k-images-idx3-ubyte.gz").read(16 + 784 * IMAGES)[16:], numpy.uint8)
    labels = numpy.frombuffer(gzip.open(FASHION / "t10k-labels-idx1-ubyte.gz").read(8 + IMAGES)[8:], numpy.uint8)
    padded = numpy.pad(pixels.reshape(IMAGES, 1, 28, 28), ((0, 0), (0, 0), (2, 2), (2, 2))).astype(numpy.float32)
    x = (numpy.repeat(padded, 3, axis=1) / numpy.float32(255) - numpy.float32(.2860406)) / numpy.float32(.3530242)
    return numpy.ascontiguousarray(x), labels.astype(numpy.int64)


test_images.__test__ = False


def as_state_dict(path):
    return {name: torch.from_numpy(numpy.frombuffer(data, TYPES[dtype]).reshape(shape).copy())
            for name, (dtype, shape, data) in tensors(path).items()}


def logits_of(file, model, stem, classes, x):
    """What the cpu backend computes with a file's weights."""
    printed = subprocess.run([LOGITS, file, model, stem, str(classes), str(len(x))], input=x.tobytes(), capture_output=True,
                             check=True).stdout
    return numpy.array([line.split() for line in printed.decode().splitlines()], numpy.float64)


@needs_data
@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("model", MODELS)
def test_checkpoint_loads_and_gives_the_same_logits(tmp_path, model, stem):
    run = Run(tmp_path, dict(CONFIG, model=model, stem=stem, epochs=1, train_images=32, test_images=IMAGES))
    code, events, err = run.finish()
    assert code == 0, err
    path = run.dir / "final.safetensors"
    net = build(model, stem, 10)
    net.load_state_dict(as_state_dict(path), strict=True)
    assert int(net.bn1.num_batches_tracked) == 2
    x, labels = test_images()
    with torch.no_grad():
        logits = net.double().eval()(torch.from_numpy(x).double())
    (epoch,) = [e for e in events if e["type"] == "epoch"]
    assert epoch["test_loss"] == pytest.approx(
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).item(), rel=1e-5)
    assert epoch["test_accuracy"] == pytest.approx(100 * (logits.argmax(1).numpy() == labels).mean())
    if not LOGITS.exists():
        pytest.skip(f"{LOGITS} was not built (no oneDNN): only the loss was compared")
    found = logits_of(path, model, stem, 10, x)
    assert numpy.abs(found - logits.numpy()).max() <= 1e-5 * numpy.abs(logits.numpy()).max()


def trained_by_torch(classes):
    """A ResNet-18 with the ImageNet stem whose every tensor is something else than at its initialisation."""
    torch.manual_seed(3)
    net = build("resnet18", "imagenet", classes)
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.dim() == 1:
                tensor.copy_(torch.rand_like(tensor) + (0.5 if "bias" not in name and "mean" not in name else -0.5))
            elif tensor.dim() == 0:
                tensor.fill_(12)
    return net.eval()


FORMS = {
    "zip.pth": lambda state, path: torch.save(state, path),
    "legacy.pth": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "parallel.pth": lambda state, path: torch.save({"epoch": 7, "state_dict": {"module." + k: v for k, v in state.items()}},
                                                   path),
    "half.pth": lambda state, path: torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, path),
}


@needs_data
@pytest.mark.parametrize("form", FORMS)
def test_torchvisions_weights_start_a_training(tmp_path, form):
    net = trained_by_torch(10)
    if form == "half.pth":
        net = net.half().float()
    path = tmp_path / form
    FORMS[form](net.state_dict(), path)
    # no step moves a weight in fp32 at this rate, but one that is 0
    run = Run(tmp_path, dict(CONFIG, model="resnet18", stem="imagenet", epochs=1, train_images=16, test_images=IMAGES,
                             pretrained=True, weights=str(path), lr=1e-30))
    code, events, err = run.finish()
    assert code == 0, (events, err)
    assert events[0]["pretrained"]["classifier"] == "taken" and events[0]["pretrained"]["tensors"] == 102
    after = as_state_dict(run.dir / "final.safetensors")
    for name, value in net.state_dict().items():
        if "running" not in name and "tracked" not in name:
            assert (after[name] - value).abs().max() < 1e-25, name
    assert int(after["bn1.num_batches_tracked"]) == 13
    if not LOGITS.exists():
        pytest.skip(f"{LOGITS} was not built (no oneDNN): only the weights were compared")
    x, _ = test_images()
    with torch.no_grad():
        expected = net.double()(torch.from_numpy(x).double()).numpy()
    assert numpy.abs(logits_of(path, "resnet18", "imagenet", 10, x) - expected).max() <= 1e-5 * numpy.abs(expected).max()


@needs_data
def test_a_classifier_of_1000_classes_is_replaced(tmp_path):
    net = trained_by_torch(1000)
    path = tmp_path / "imagenet.pth"
    torch.save(net.state_dict(), path)
    run = Run(tmp_path, dict(CONFIG, model="resnet18", stem="imagenet", epochs=1, train_images=16, test_images=IMAGES,
                             pretrained=True, weights=str(path), lr_groups="layers"))
    code, events, err = run.finish()
    assert code == 0, (events, err)
    assert (events[0]["pretrained"]["classifier"], events[0]["pretrained"]["file_classes"]) == ("fresh", 1000)
    build("resnet18", "imagenet", 10).load_state_dict(as_state_dict(run.dir / "final.safetensors"), strict=True)
