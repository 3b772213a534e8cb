"""Checkpoints are torchvision's: load_state_dict(strict=True) takes them, and the logits are the same.

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
    printed = subprocess.run([LOGITS, path, model, stem, "10", str(IMAGES)], input=x.tobytes(), capture_output=True,
                             check=True).stdout
    found = numpy.array([line.split() for line in printed.decode().splitlines()], numpy.float64)
    assert numpy.abs(found - logits.numpy()).max() <= 1e-5 * numpy.abs(logits.numpy()).max()
