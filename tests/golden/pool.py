#!/usr/bin/python3
"""Makes pool.json.  Needs Debian's python3-torch."""
import json
import pathlib

import torch

CASES = [(3, 2, 1, 2, 8, 8), (3, 2, 1, 3, 7, 5), (3, 2, 1, 2, 1, 1), (3, 2, 1, 1, 2, 3), (2, 2, 0, 2, 6, 6), (3, 1, 1, 1, 5, 4)]

torch.manual_seed(1)
cases = []
for kernel, stride, pad, planes, h, w in CASES:
    x = torch.randint(-4, 0, (1, planes, h, w)).double().requires_grad_()  # many equal; all below the 0 of a wrong padding
    y = torch.nn.functional.max_pool2d(x, kernel, stride, pad)
    dy = torch.arange(1, y.numel() + 1).double().reshape(y.shape) % 23 + 1
    y.backward(dy)
    cases.append({"kernel": kernel, "stride": stride, "pad": pad, "x_shape": list(x.shape[1:]), "y_shape": list(y.shape[1:]),
                  "x": x.flatten().tolist(), "y": y.flatten().tolist(), "dy": dy.flatten().tolist(),
                  "dx": x.grad.flatten().tolist()})
pathlib.Path(__file__).with_name("pool.json").write_text(json.dumps(cases))
