#!/usr/bin/python3
"""Makes trajectory.json: 50 steps of training, or a few of fine-tuning at 224 pixels, in torch's float64 and five of its
float32s.

    trajectory.py NAME... [--cifar100 DIR]     NAME: of RUNS; the others in the file are kept

Weights: torch's initialisation drawn as worker/model.c does (Philox4x32-10, so that both sides have the same ones);
images: the first of the training set, in order, normalised as the worker does, not augmented; for 224 pixels by Pillow's
Resize(256) and CenterCrop(224).  Fine-tuning: the three groups of learning rates, lr/4 for conv1, bn1, layer1 and layer2,
lr/2 for layer3.  Takes 2 to 15 minutes a run
on two cores.  Needs Debian's python3-torch, python3-torchvision, dataset-fashion-mnist; DIR holds CIFAR-100's train.bin, or
its parts train-1.bin.xz and so on."""
import argparse
import contextlib
import gzip
import json
import lzma
import math
import pathlib
import typing

import numpy
import torch
import torchvision.transforms.functional as transforms
from PIL import Image
from torch.nn.functional import cross_entropy

import formulas
from torch_nets import build

HERE = pathlib.Path(__file__).parent
FASHION = pathlib.Path("/usr/share/datasets/fashion-mnist")
SEED, LR, MOMENTUM, WEIGHT_DECAY = 7, 0.02, 0.9, 5e-4


class Run(typing.NamedTuple):
    dataset: str
    classes: int
    model: str
    stem: str
    batch: int
    size: int = 32
    groups: tuple = (1, 1, 1)
    kept: tuple = (10, 50)  # steps after which parameters are compared; the last one is the end


RUNS = {
    "fashion-mnist_resnet18_imagenet": Run("fashion-mnist", 10, "resnet18", "imagenet", 32),
    "fashion-mnist_resnet18_cifar": Run("fashion-mnist", 10, "resnet18", "cifar", 8),
    "cifar100_resnet18_cifar": Run("cifar100", 100, "resnet18", "cifar", 8),
    "fine-tuning_resnet18_224": Run("fashion-mnist", 10, "resnet18", "imagenet", 4, 224, (.25, .5, 1), (1, 3)),
}
FLOAT32 = [  # threads, memory format, oneDNN
    (1, torch.contiguous_format, True), (2, torch.contiguous_format, True), (1, torch.channels_last, True),
    (2, torch.channels_last, True), (2, torch.contiguous_format, False),
]
MEAN_STD = {  # worker/data.c
    "fashion-mnist": ([.2860406] * 3, [.3530242] * 3),
    "cifar100": ([.50707516, .48654887, .44091784], [.26733429, .25643846, .27615047]),
}


def philox(key, counter, stream, purpose):
    """worker/rng.h; counter: an array.  Four arrays of uint32 in uint64."""
    low, thirty_two = numpy.uint64(0xFFFFFFFF), numpy.uint64(32)
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    c = [counter.astype(numpy.uint64), numpy.uint64(stream), numpy.uint64(purpose), numpy.uint64(0)]
    for _ in range(10):
        p0, p1 = numpy.uint64(0xD2511F53) * c[0], numpy.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> thirty_two) ^ c[1] ^ numpy.uint64(k0), p1 & low,
             (p0 >> thirty_two) ^ c[3] ^ numpy.uint64(k1), p0 & low]
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return c


def units(stream, count):
    """(count rounded up to 4) numbers in (0, 1), four of a counter."""
    bits = numpy.stack(numpy.broadcast_arrays(*philox(SEED, numpy.arange((count + 3) // 4), stream, 3)), axis=1)
    return (bits.astype(numpy.float64) + 0.5) * 2.0**-32


def normal(stream, count, std):
    v = units(stream, count).reshape(-1, 2)
    radius, angle = numpy.sqrt(-2 * numpy.log(v[:, 0])), 2 * math.pi * v[:, 1]
    return (std * numpy.stack([radius * numpy.cos(angle), radius * numpy.sin(angle)], axis=1).ravel()[:count])


def uniform(stream, count, bound):
    return bound * (2 * units(stream, count).ravel()[:count] - 1)


def initial(net, stem):
    """net_init() of worker/model.c."""
    for stream, (name, p) in enumerate(net.named_parameters()):
        if p.dim() == 4 and stream == 0 and stem == "cifar":
            values = uniform(stream, p.numel(), 1 / math.sqrt(p[0].numel()))
        elif p.dim() == 4:
            values = normal(stream, p.numel(), math.sqrt(2 / (p.shape[0] * p.shape[2] * p.shape[3])))
        elif name.startswith("fc."):
            values = uniform(stream, p.numel(), 1 / math.sqrt(net.fc.in_features))
        else:
            values = numpy.full(p.numel(), 1.0 if name.endswith("weight") else 0.0)
        p.data.copy_(torch.from_numpy(values.astype(numpy.float32)).reshape(p.shape))


def fashion(count):
    pixels = numpy.frombuffer(gzip.open(FASHION / "train-images-idx3-ubyte.gz").read(16 + 784 * count)[16:], numpy.uint8)
    labels = numpy.frombuffer(gzip.open(FASHION / "train-labels-idx1-ubyte.gz").read(8 + count)[8:], numpy.uint8)
    padded = numpy.pad(pixels.reshape(count, 1, 28, 28), ((0, 0), (0, 0), (2, 2), (2, 2)))
    return numpy.repeat(padded, 3, axis=1), labels


def cifar100(count, directory):
    plain = directory / "train.bin"
    with plain.open("rb") if plain.exists() else lzma.open(directory / "train-1.bin.xz") as f:
        records = numpy.frombuffer(f.read(3074 * count), numpy.uint8).reshape(count, 3074)
    return records[:, 2:].reshape(count, 3, 32, 32), records[:, 1]


def enlarged(pixels, size):
    """(C, H, W) as torchvision's test transforms make it from a PIL image."""
    image = Image.fromarray(numpy.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return numpy.asarray(transforms.center_crop(transforms.resize(image, size * 8 // 7), size)).transpose(2, 0, 1)


def images(run, count, directory):
    pixels, labels = fashion(count) if run.dataset == "fashion-mnist" else cifar100(count, directory)
    mean, std = (numpy.array(v, numpy.float32).reshape(3, 1, 1) for v in MEAN_STD[run.dataset])
    if run.size != 32:
        pixels = numpy.stack([enlarged(p, run.size) for p in pixels])
    x = (pixels.astype(numpy.float32) / numpy.float32(255) - mean) / std
    return torch.from_numpy(x), torch.from_numpy(labels.astype(numpy.int64))


def arrays(named):
    return {k: v.detach().double().numpy().ravel().copy() for k, v in named}


def running(net):
    return arrays((k, v) for k, v in net.state_dict().items() if "running" in k)


def group_of(name):
    return {"layer3": 1, "layer4": 2, "fc": 2}.get(name.split(".")[0], 0)


def train(run, x, labels, dtype, memory_format):
    """Losses; gradients of step 1; {step: (parameters, running statistics)}."""
    batch, net = run.batch, build(run.model, run.stem, run.classes)
    initial(net, run.stem)
    net = net.to(dtype).to(memory_format=memory_format).train()
    groups = [{"params": [p], "lr": LR * run.groups[group_of(name)]} for name, p in net.named_parameters()]
    sgd = torch.optim.SGD(groups, lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    losses, kept, gradients = [], {0: (arrays(net.named_parameters()), running(net))}, None
    for step in range(run.kept[-1]):
        at = slice(step * batch, (step + 1) * batch)
        sgd.zero_grad()
        loss = cross_entropy(net(x[at].to(dtype).contiguous(memory_format=memory_format)), labels[at])
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            gradients = arrays((k, p.grad) for k, p in net.named_parameters())
        sgd.step()
        if step + 1 in run.kept:
            kept[step + 1] = arrays(net.named_parameters()), running(net)
    return losses, gradients, kept


def distance(a, b):
    """Of two dictionaries of arrays, over the norm of b."""
    return math.sqrt(sum(((a[k] - b[k])**2).sum() for k in b) / sum((b[k]**2).sum() for k in b))


def moved(kept, step):
    return math.sqrt(sum(((kept[step][0][k] - kept[0][0][k])**2).sum() for k in kept[0][0]))


def loss_off(losses, truth, steps):
    """Root mean square over the first steps of the loss's relative difference."""
    return math.sqrt(sum((a / b - 1)**2 for a, b in zip(losses[:steps], truth)) / steps)


def off(result, truth, steps):
    (losses, gradients, kept), (true_losses, true_gradients, true_kept) = result, truth
    each = [distance({k: gradients[k]}, {k: g}) for k, g in true_gradients.items()]
    return {"step1": {"loss": loss_off(losses, true_losses, 1), "worst_gradient": max(each),
                      "gradient": sum(each) / len(each)},
            **{str(s): {"loss": loss_off(losses, true_losses, s),
                        "parameters": distance(kept[s][0], true_kept[s][0])
                        * math.sqrt(sum((v**2).sum() for v in true_kept[s][0].values())) / moved(true_kept, s),
                        "statistics": distance(kept[s][1], true_kept[s][1])} for s in steps}}


def stats(named):
    return {k: {key: value for key, value in formulas.stats(v).items() if key in ("l2", "proj")} for k, v in named.items()}


def make(run, directory):
    x, labels = images(run, run.kept[-1] * run.batch, directory)
    truth = train(run, x, labels, torch.float64, torch.contiguous_format)
    losses, gradients, kept = truth
    print("float64", losses[0], losses[-1], flush=True)
    others = []
    for threads, memory_format, onednn in FLOAT32:
        torch.set_num_threads(threads)
        with contextlib.nullcontext() if onednn else torch.backends.mkldnn.flags(enabled=False):
            others.append(off(train(run, x, labels, torch.float32, memory_format), truth, run.kept))
        print(threads, memory_format, onednn, others[-1], flush=True)
    return {"dataset": run.dataset, "classes": run.classes, "model": run.model, "stem": run.stem, "batch": run.batch,
            "size": run.size, "lr_scale": run.groups, "seed": SEED, "lr": LR, "momentum": MOMENTUM,
            "weight_decay": WEIGHT_DECAY, "losses": losses, "initial": stats(kept[0][0]), "gradients": stats(gradients),
            "float32_off": others,
            "steps": {str(s): {"parameters": stats(kept[s][0]), "statistics": stats(kept[s][1]),
                               "moved": moved(kept, s)} for s in run.kept}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=RUNS)
    parser.add_argument("--cifar100", type=pathlib.Path)
    parser.add_argument("--into", type=pathlib.Path, default=HERE / "trajectory.json")
    options = parser.parse_args()
    torch.set_num_threads(2)
    for name in options.names:
        made = make(RUNS[name], options.cifar100)
        old = json.loads(options.into.read_text()) if options.into.exists() else {}
        options.into.write_text(json.dumps({**old, name: made}))


if __name__ == "__main__":
    main()
