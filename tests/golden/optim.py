#!/usr/bin/env python3
"""Writes optim.json: traces of torch.optim on four scalars, and of what stands around it in a step.

/usr/bin/python3 tests/golden/optim.py (Debian's python3-torch, 1.13.1)

P0, G               start, and gradients of 5 steps
<an optimizer>      parameters after each step, in float32 and float64
sgd_clip0.5, ...    the same behind torch.nn.utils.clip_grad_norm_
groups              SGD with two parameter groups: elements 0 and 1 with lr / 4, 2 and 3 without weight decay
ema0.9              SGD with torch.optim.swa_utils.AveragedModel beside it: the average after each step
onecycle_adamw      AdamW under OneCycleLR, which cycles beta1: 5 steps of 5"""
import json
import pathlib

import torch
from torch.optim import SGD, Adam, AdamW
from torch.optim.lr_scheduler import OneCycleLR
from torch.optim.swa_utils import AveragedModel

P0 = [0.5, -1.25, 2.0, 1e-3]
G = [[0.1, -0.2, 0.3, 0.4], [0.05, 0.1, -0.6, 1e-4], [-1.0, 2.0, 0.0, 3e-5], [0.2, 0.2, 0.2, 0.2], [1e-3, -1e-3, 5.0, -2.0]]


def run(make, clip=0.0, after=None):
    """The parameters after each step."""
    traces = {}
    for dtype in (torch.float32, torch.float64):
        p = torch.nn.Parameter(torch.tensor(P0, dtype=dtype))
        optimizer, trace = make([p]), []
        step = after(optimizer) if after else lambda: None
        for g in G:
            p.grad = torch.tensor(g, dtype=dtype)
            if clip:
                torch.nn.utils.clip_grad_norm_([p], clip)
            optimizer.step()
            step()
            trace.append(p.detach().tolist())
        traces[str(dtype)] = trace
    return traces


def groups():
    traces = {}
    for dtype in (torch.float32, torch.float64):
        ps = [torch.nn.Parameter(torch.tensor([v], dtype=dtype)) for v in P0]
        optimizer = SGD([{"params": ps[:2], "lr": 0.1 / 4}, {"params": ps[2:], "weight_decay": 0}], lr=0.1, momentum=0.9,
                        weight_decay=5e-4, nesterov=True)
        trace = []
        for g in G:
            for p, v in zip(ps, g):
                p.grad = torch.tensor([v], dtype=dtype)
            optimizer.step()
            trace.append([p.item() for p in ps])
        traces[str(dtype)] = trace
    return traces


class Four(torch.nn.Module):
    def __init__(self, dtype):
        super().__init__()
        self.p = torch.nn.Parameter(torch.tensor(P0, dtype=dtype))


def ema(decay):
    traces = {}
    for dtype in (torch.float32, torch.float64):
        model = Four(dtype)
        average = AveragedModel(model, avg_fn=lambda a, m, n: decay * a + (1 - decay) * m)
        optimizer, trace = SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4), []
        for g in G:
            model.p.grad = torch.tensor(g, dtype=dtype)
            optimizer.step()
            average.update_parameters(model)
            trace.append(average.module.p.detach().tolist())
        traces[str(dtype)] = trace
    return traces


golden = {
    "P0": P0, "G": G,
    "sgd_lr0.1": run(lambda p: SGD(p, lr=0.1)),
    "sgd_lr0.1_m0.9_wd5e-4": run(lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4)),
    "sgd_lr0.1_m0.9_wd5e-4_nesterov": run(lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True)),
    "sgd_lr0.1_m0.9_damp0.1": run(lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.1)),
    "adamw_default": run(AdamW),
    "adamw_lr1e-2_wd0.05_b(0.9,0.95)_eps1e-6": run(lambda p: AdamW(p, lr=1e-2, weight_decay=0.05, betas=(0.9, 0.95), eps=1e-6)),
    "adam_lr1e-3_wd5e-4": run(lambda p: Adam(p, lr=1e-3, weight_decay=5e-4)),
    "sgd_clip0.5": run(lambda p: SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True), clip=0.5),
    "adamw_clip2": run(lambda p: AdamW(p, lr=1e-2), clip=2),
    "groups": groups(),
    "ema0.9": ema(0.9),
    "onecycle_adamw": run(lambda p: AdamW(p, lr=1e-2), after=lambda o: OneCycleLR(o, 1e-2, total_steps=6).step),
}
pathlib.Path(__file__).with_name("optim.json").write_text(json.dumps(golden, indent=0) + "\n")
