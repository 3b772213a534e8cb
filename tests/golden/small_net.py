#!/usr/bin/python3
"""Makes small_net.json: 20 steps of a small network in torch's float64 under every part of a recipe.

The network is torchvision's blocks in three stages of 4, 8 and 16 channels with the CIFAR stem, 5 classes, weights of the
formula `filled`; a step's 8 images of 12x12 are u(1000 + step), the label of image i is (7 i + 3 step) mod 5.  `mixed`: every
third step is MixUp, every third CutMix, as torchvision.transforms.v2 does it in float32, by mixture().  Per case: losses of all
steps, of mixed ones also how many images are correct, by the shares of their labels; stats of parameters and running statistics (and of their average) after the last.
Needs Debian's python3-torch and python3-torchvision."""
import json
import pathlib

import numpy
import torch
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel

import formulas
from torch_nets import Narrow

N, SIZE, CLASSES, STEPS = 8, 12, 5, 20
SGD = {"lr": 0.02, "momentum": 0.9, "weight_decay": 5e-4}
CASES = {
    "sgd_nesterov": {"optimizer": torch.optim.SGD, "settings": {**SGD, "nesterov": True}, "smoothing": 0.1},
    "sgd_dampening": {"optimizer": torch.optim.SGD, "settings": {**SGD, "dampening": 0.5}},
    "adam": {"optimizer": torch.optim.Adam, "settings": {"lr": 2e-3, "weight_decay": 5e-4}},
    "adamw": {"optimizer": torch.optim.AdamW, "settings": {"lr": 2e-3, "weight_decay": 0.05}, "smoothing": 0.1},
    "clip": {"optimizer": torch.optim.SGD, "settings": SGD, "clip": 0.5},
    "ema": {"optimizer": torch.optim.AdamW, "settings": {"lr": 2e-3, "weight_decay": 0.05}, "ema": 0.9},
    "mixed": {"optimizer": torch.optim.SGD, "settings": {**SGD, "nesterov": True}, "smoothing": 0.1, "mixed": True},
    "groups_spared": {"optimizer": torch.optim.SGD, "settings": {**SGD, "nesterov": True}, "groups": [0.25, 0.5, 1], "spare": True},
}
STAGES = {"conv1": 0, "bn1": 0, "layer1": 0, "layer2": 1, "layer3": 2, "fc": 2}


def network():
    net = Narrow([1, 1, 1], 4, CLASSES)
    net.conv1 = torch.nn.Conv2d(3, 4, 3, 1, 1, bias=False)
    net.maxpool = torch.nn.Identity()
    tensors = [(k, v) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]
    for tid, (name, tensor) in enumerate(tensors):
        tensor.copy_(torch.from_numpy(formulas.filled(tid, name, tensor.shape)).reshape(tensor.shape))
    return net.double().train()


def parameter_groups(net, case):
    """Each parameter on its own, with its group's rate and whether it decays."""
    settings, scales = case["settings"], case.get("groups", [1, 1, 1])
    for name, p in net.named_parameters():
        spared = case.get("spare") and (p.dim() == 1)
        yield {"params": [p], "lr": settings["lr"] * scales[STAGES[name.split(".")[0]]],
               "weight_decay": 0 if spared else settings["weight_decay"]}


def mixture(step, x):
    """The share of an image's own label, and the images mixed with those before them."""
    partner = x.roll(1, 0)
    if step % 3 == 1:
        share = (step + 1) / 32
        return share, partner.mul(1 - share).add(x.mul(share))
    x1, y1 = step % 5, step % 3
    x2, y2 = x1 + 1 + step % 7, y1 + 2 + step % 6
    x = x.clone()
    x[..., y1:y2, x1:x2] = partner[..., y1:y2, x1:x2]
    return float(numpy.float32(1 - (x2 - x1) * (y2 - y1) / SIZE**2)), x


def kept(named):
    return {k: formulas.stats(v.detach().numpy()) for k, v in named}


def run(case):
    net, losses, norms, corrects = network(), [], [], []
    optimizer = case["optimizer"](parameter_groups(net, case), **case["settings"])
    decay = case.get("ema", 0)
    average = AveragedModel(net, avg_fn=lambda a, v, _: decay * a + (1 - decay) * v, use_buffers=True) if decay else None
    for step in range(STEPS):
        x = torch.from_numpy(formulas.u(1000 + step, N * 3 * SIZE * SIZE).astype(numpy.float32)).reshape(N, 3, SIZE, SIZE)
        labels = torch.tensor([(7 * i + 3 * step) % CLASSES for i in range(N)])
        targets = labels
        if case.get("mixed") and step % 3:
            share, x = mixture(step, x)
            own = torch.nn.functional.one_hot(labels, CLASSES).double()
            targets = share * own + (1 - share) * own.roll(1, 0)
        optimizer.zero_grad()
        logits = net(x.double())
        loss = cross_entropy(logits, targets, label_smoothing=case.get("smoothing", 0))
        if case.get("mixed"):
            best = logits.argmax(1)
            corrects.append(targets[range(N), best].sum().item() if step % 3 else (best == labels).sum().item())
        loss.backward()
        if "clip" in case:
            norms.append(torch.nn.utils.clip_grad_norm_(net.parameters(), case["clip"]).item())
        optimizer.step()
        losses.append(loss.item())
        if average:
            average.update_parameters(net)
    result = {"losses": losses, "params": kept(net.named_parameters()),
              "running": kept((k, v) for k, v in net.state_dict().items() if "running" in k)}
    if corrects:
        result["correct"] = corrects
    if norms:
        result["norms"] = norms
    if average:
        result["ema_params"] = kept(average.module.named_parameters())
        result["ema_running"] = kept((k, v) for k, v in average.module.state_dict().items() if "running" in k)
    return result


golden = {name: run(case) for name, case in CASES.items()}
pathlib.Path(__file__).with_name("small_net.json").write_text(json.dumps(golden) + "\n")
