#!/usr/bin/python3
"""The training step of ResNet-18 (CIFAR stem) in PyTorch, beside step_bench's: one after the other, round by round,
since a shared machine is not the same twice.  Medians of the rounds.

    OMP_WAIT_POLICY=passive tests/bench/torch_step.py --step-bench BUILD/tests/bench/step_bench

Needs Debian's python3-torch.  torch gets its batch ready-made: its time is forward, loss, backward and optimizer, while
step_bench's holds loading and augmentation too."""
import argparse
import re
import statistics
import subprocess
import time

import torch
from torch import nn
from torch.nn.functional import cross_entropy, relu


class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False),
                                            nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)), inplace=True)))
        return relu(y + self.downsample(x), inplace=True)


def resnet18(classes=100):
    layers, channels_in = [nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)], 64
    for channels, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(channels_in, channels, stride), Block(channels, channels, 1)]
        channels_in = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, classes))


class TorchStep:
    def __init__(self, batch, bf16, channels_last):
        self.bf16, self.batch = bf16, batch
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.net = resnet18().to(memory_format=layout)
        self.optimizer = torch.optim.SGD(self.net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        self.images = torch.rand(batch, 3, 32, 32).to(memory_format=layout)
        self.labels = torch.randint(100, (batch,))

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.net(self.images)
        cross_entropy(logits.float(), self.labels).backward()
        self.optimizer.step()

    def images_per_second(self, steps):
        start = time.monotonic()
        for _ in range(steps):
            self.step()
        return self.batch * steps / (time.monotonic() - start)


def step_bench(program, batch, threads, steps, *options):
    out = subprocess.run([program, "--batch", str(batch), "--threads", str(threads), "--steps", str(steps), "--rounds", "3",
                          *options], capture_output=True, text=True, check=True).stdout
    return {what: float(re.search(rf"^{re.escape(what)} +([0-9.]+)", out, re.M).group(1))
            for what in ("whole step", "conv + bn primitives", "ratio")}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--step-bench", metavar="PROGRAM", help="measured beside torch")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    nets = {(bf16, last): TorchStep(args.batch, bf16, last) for bf16 in (False, True) for last in (False, True)}
    for net in nets.values():
        net.step()
    found = {}
    for _ in range(args.rounds):
        for bf16 in (False, True):
            name = "bf16" if bf16 else "fp32"
            if args.step_bench:
                got = step_bench(args.step_bench, args.batch, args.threads, args.steps, *(["--amp"] if bf16 else []))
                for what, value in got.items():
                    found.setdefault(f"{name}  sweep-worker, {what}", []).append(value)
            for last in (False, True):
                what = f"{name}  torch {torch.__version__}{', channels_last' if last else ''}"
                found.setdefault(what, []).append(nets[bf16, last].images_per_second(args.steps))
    for what, values in found.items():
        print(f"{what:48} {statistics.median(values):8.3f}   {min(values):8.3f} to {max(values):8.3f}")


if __name__ == "__main__":
    main()
