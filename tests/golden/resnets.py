#!/usr/bin/python3
"""Adds networks to resnet.json and tables.json:  resnets.py resnet34 resnet20 resnet8

Needs Debian's python3-torch and python3-torchvision.  README.md says what the files hold."""
import json
import math
import pathlib
import sys

import numpy
import torch
from torch.nn.functional import cross_entropy
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

HERE = pathlib.Path(__file__).parent
IMAGES, SIZE, CLASSES = 8, 32, 100
BLOCKS = {"resnet18": (BasicBlock, [2, 2, 2, 2]), "resnet34": (BasicBlock, [3, 4, 6, 3]),
          "resnet50": (Bottleneck, [3, 4, 6, 3])}
NARROW = {"resnet8": 1, "resnet20": 3}  # blocks in each of three stages of 16, 32 and 64 channels


class Cifar(ResNet):
    """torchvision's ResNet with three stages: its own blocks, names and projections (option B)."""

    def __init__(self, n):
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=CLASSES)
        self.inplanes = 16
        self.conv1 = torch.nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(16)
        self.layer1 = self._make_layer(BasicBlock, 16, n)
        self.layer2 = self._make_layer(BasicBlock, 32, n, stride=2)
        self.layer3 = self._make_layer(BasicBlock, 64, n, stride=2)
        self.fc = torch.nn.Linear(64, CLASSES)
        self.maxpool = self.layer4 = torch.nn.Identity()


def build(name):
    if name in NARROW:
        return Cifar(NARROW[name])
    net = ResNet(*BLOCKS[name], num_classes=CLASSES)
    net.conv1 = torch.nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    net.maxpool = torch.nn.Identity()
    return net


def u(tid, n):
    """resnet.json's `prng`, as float32."""
    with numpy.errstate(over="ignore"):
        z = (numpy.uint64(tid) << numpy.uint64(32)) + numpy.arange(n, dtype=numpy.uint64)
        z += numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z ^= z >> numpy.uint64(31)
    return (z >> numpy.uint64(40)).astype(numpy.float32) * numpy.float32(2.0**-23) - numpy.float32(1)


def scale_and_base(name, shape):
    if len(shape) == 4:
        return math.sqrt(6.0 / (shape[0] * shape[2] * shape[3])), 0
    if name == "fc.weight":
        return 1 / math.sqrt(shape[1]), 0
    if name.endswith("running_var"):
        return 0.5, 1
    return 0.1, 1 if name.endswith(".weight") else 0


def fill(net):
    """resnet.json's `fill`."""
    tensors = [(k, v) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]
    for tid, (name, tensor) in enumerate(tensors):
        scale, base = scale_and_base(name, tensor.shape)
        values = numpy.float32(scale) * u(tid, tensor.numel())
        tensor.copy_(torch.from_numpy(numpy.float32(base) + values if base else values).reshape(tensor.shape))


def stats(tensor):
    flat = tensor.detach().double().flatten()
    return {"sum": flat.sum().item(), "l2": flat.norm().item(), "first": flat[:4].tolist(), "last": flat[-2:].tolist()}


def run(net):
    """Evaluation, then three steps of training, in double."""
    fill(net)
    net.double().eval()
    x = torch.from_numpy(u(1000, IMAGES * 3 * SIZE * SIZE)).reshape(IMAGES, 3, SIZE, SIZE).double()
    labels = torch.tensor([(37 * i + 11) % CLASSES for i in range(IMAGES)])
    logits = net(x)
    result = {"logits_eval_first8": logits[:, :8].tolist(), "loss_3_steps": []}
    net.train()
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    for step in range(3):
        sgd.zero_grad()
        logits = net(x)
        loss = cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
        result["loss_3_steps"].append(loss.item())
        if step == 0:
            result["logits_train_first8"] = logits[:, :8].tolist()
            result["grad_step1"] = {k: stats(p.grad) for k, p in net.named_parameters()}
        sgd.step()
        if step == 0:
            result["param_after_step1"] = {k: stats(p) for k, p in net.named_parameters()}
            result["running_after_step1"] = {k: stats(v) for k, v in net.state_dict().items() if "running" in k}
    return result


def table(net):
    params = list(net.parameters())
    return {"params": sum(p.numel() for p in params), "n_param_tensors": len(params), "n_state": len(net.state_dict()),
            "keys": [[k, list(v.shape)] for k, v in net.state_dict().items()]}


def add(file, key, value):
    path = HERE / file
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


for model in sys.argv[1:]:
    add("tables.json", f"{model}_cifar_{CLASSES}", table(build(model)))
    add("resnet.json", f"{model}_cifar_N{IMAGES}_S{SIZE}", {"float64": run(build(model))})
