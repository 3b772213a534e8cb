#!/usr/bin/env python3
"""Writes sched.json: traces of torch.optim.lr_scheduler.

/usr/bin/python3 tests/golden/sched.py (Debian's python3-torch, 1.13.1)

<a list>       the rate of each epoch, before the scheduler's step behind it
OneCycle*      lr and momentum of each step; total is their number
Plateau*       rows [metric, lr after step(metric), num_bad_epochs, cooldown_counter, best]
warm5_plateau  rows [metric, lr of the epoch]: LinearLR for 5 epochs, then ReduceLROnPlateau, which SequentialLR cannot hold"""
import json
import math
import pathlib
import warnings

import torch
from torch.optim import SGD
from torch.optim.lr_scheduler import (CosineAnnealingLR, LinearLR, MultiStepLR, OneCycleLR, ReduceLROnPlateau, SequentialLR,
                                      StepLR)

warnings.filterwarnings("ignore")


def optimizer(lr):
    return SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)


def run(make, n, lr=0.1):
    o = optimizer(lr)
    s, lrs, momenta = make(o), [], []
    for i in range(n):
        lrs.append(o.param_groups[0]["lr"])
        momenta.append(o.param_groups[0]["momentum"])
        o.step()
        if i + 1 < n:
            s.step()
    return lrs, momenta


def plateau(metrics, lr=0.1, **settings):
    o = optimizer(lr)
    s, rows = ReduceLROnPlateau(o, **settings), []
    for v in metrics:
        s.step(v)
        rows.append([v, o.param_groups[0]["lr"], s.num_bad_epochs, s.cooldown_counter, s.best])
    return rows


def warm_plateau(metrics, epochs, lr=0.1, **settings):
    o = optimizer(lr)
    warm, main, rows = LinearLR(o, 0.1, 1.0, epochs), ReduceLROnPlateau(o, **settings), []
    for i, v in enumerate(metrics):
        rows.append([v, o.param_groups[0]["lr"]])
        o.step()
        warm.step() if i < epochs else main.step(v)
    return rows


def cycle(total, **settings):
    lr, momentum = run(lambda o: OneCycleLR(o, 0.1, total_steps=total, **settings), total)
    return {"lr": lr, "momentum": momentum}


def warm(make, milestone):
    return lambda o: SequentialLR(o, [LinearLR(o, 0.01, 1.0, milestone), make(o)], [milestone])


LOSSES = [1.0, 0.9, 0.8, 0.8, 0.79995, 0.7999, 0.81, 0.7, 0.7, 0.7, 0.7, 0.7, 0.7, 0.69, 0.69, 0.69, 0.69, 0.69, 0.69, 0.69]
ACCURACIES = [10, 20, 30, 30.001, 30.004, 30, 29, 28, 27, 26, 26, 31, 31, 31, 31, 31, 31, 31, 31, 31]
golden = {
    "StepLR_lr0.1_step50_g0.1_200ep": run(lambda o: StepLR(o, 50, 0.1), 200)[0],
    "StepLR_lr0.05_step30_g0.1_100ep": run(lambda o: StepLR(o, 30, 0.1), 100, 0.05)[0],
    "MultiStep_60_120_160_g0.2_200ep": run(lambda o: MultiStepLR(o, [60, 120, 160], 0.2), 200)[0],
    "Cosine_T200_eta0_201": run(lambda o: CosineAnnealingLR(o, 200), 201)[0],
    "Cosine_T10_eta1e-3_25": run(lambda o: CosineAnnealingLR(o, 10, 1e-3), 25)[0],
    "Linear_start1/3_5iters_8": run(lambda o: LinearLR(o), 8)[0],
    "warm5_Cosine195_200": run(warm(lambda o: CosineAnnealingLR(o, 195), 5), 200)[0],
    "warm5_Step30_100": run(warm(lambda o: StepLR(o, 30, 0.1), 5), 100)[0],
    "warm3_MultiStep_10_20_g0.2_40": run(warm(lambda o: MultiStepLR(o, [10, 20], 0.2), 3), 40)[0],
    "warm5_plateau": warm_plateau(LOSSES, 5, factor=0.5, patience=1),
    "OneCycle_total100": cycle(100),
    "OneCycle_three_phase_linear_pct0.2_total100": cycle(100, anneal_strategy="linear", three_phase=True, pct_start=0.2),
    "OneCycle_three_phase_cos_total60": cycle(60, three_phase=True, div_factor=10, final_div_factor=100),
    "OneCycle_fixed_momentum_total12": cycle(12, cycle_momentum=False, pct_start=0.5),
    "Plateau_min_f0.1_p2": plateau(LOSSES, factor=0.1, patience=2),
    "Plateau_min_f0.5_p2_cool2_min0.02": plateau(LOSSES, factor=0.5, patience=2, cooldown=2, min_lr=0.02),
    "Plateau_max_f0.1_p3": plateau(ACCURACIES, mode="max", factor=0.1, patience=3),
    "Plateau_max_abs_th0.5_p1": plateau(ACCURACIES, mode="max", factor=0.5, patience=1, threshold=0.5, threshold_mode="abs"),
    "Plateau_min_abs_th0.05_p0": plateau(LOSSES, factor=0.5, patience=0, threshold=0.05, threshold_mode="abs"),
    "Plateau_nan_p1": [[None if math.isnan(v) else v for v in row]
                       for row in plateau([1.0, math.nan, math.nan, 0.5, math.nan], factor=0.5, patience=1)],
    "Plateau_eps": plateau([1.0] * 12, lr=1e-7, factor=0.1, patience=0),
    "Plateau_eps1e-3": plateau([1.0] * 12, lr=0.1, factor=0.1, patience=0, eps=1e-3),
}
pathlib.Path(__file__).with_name("sched.json").write_text(json.dumps(golden, indent=0) + "\n")
