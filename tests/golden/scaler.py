#!/usr/bin/env python3
"""Writes scaler.json: torch.amp.GradScaler through good and bad steps.

python3 tests/golden/scaler.py, with a PyTorch whose GradScaler runs on the CPU (2.3 and later; made with 2.15)

interval    growth_interval of the trace
rows        [a gradient was infinite, scale, growth_tracker, the parameter after the step]: SGD(lr 0.5) of one parameter
            that begins at 8 and whose gradient is 1 where it is not infinite"""
import json
import pathlib

import torch


def trace(bad, init, interval):
    p = torch.nn.Parameter(torch.tensor([8.0]))
    optimizer = torch.optim.SGD([p], lr=0.5)
    scaler, rows = torch.amp.GradScaler("cpu", init_scale=init, growth_interval=interval), []
    for b in bad:
        optimizer.zero_grad()
        scaler.scale(p.sum()).backward()
        if b:
            p.grad.fill_(float("inf"))
        scaler.step(optimizer)
        scaler.update()
        rows.append([int(b), scaler.get_scale(), scaler._get_growth_tracker(), p.item()])
    return {"init": init, "interval": interval, "rows": rows}


golden = {
    "mixed": trace([0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], 65536.0, 3),
    "growth": trace([0] * 12, 2.0 ** 125, 2),
    "backoff": trace([1] * 20 + [0] * 3, 4.0, 2),
    "each": trace([0, 1, 0, 1, 1, 0, 0], 65536.0, 1),
}
pathlib.Path(__file__).with_name("scaler.json").write_text(json.dumps(golden, indent=0) + "\n")
