"""How fast PyTorch trains: eager (channels_last, AMP bf16, cuDNN's benchmark, fused SGD) or torch.compile(max-autotune),
on normalised images that lie on the device.  Prints one line of JSON."""
import argparse
import json
import time

import torch
from torch.nn.functional import cross_entropy

import torch_net


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--mode", choices=("eager", "compile"), default="eager")
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    o = parser.parse_args()
    torch.backends.cudnn.benchmark = True
    torch.set_float32_matmul_precision("high")
    net = torch_net.resnet(o.model).to(o.device, memory_format=torch.channels_last).train()
    forward = torch.compile(net, mode="max-autotune") if o.mode == "compile" else net
    optimizer = torch_net.optimizer_of(net, 1e-3, o.device)
    batches = 8
    images = [torch.randn(o.batch, 3, o.size, o.size, device=o.device).to(memory_format=torch.channels_last)
              for _ in range(batches)]
    labels = [torch.randint(100, (o.batch,), device=o.device) for _ in range(batches)]

    def step(i):
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(o.device, dtype=torch.bfloat16):
            loss = cross_entropy(forward(images[i % batches]).float(), labels[i % batches])
        loss.backward()
        optimizer.step()

    def synchronize():
        if o.device == "cuda":
            torch.cuda.synchronize()

    def round_rate():
        synchronize()
        begin, steps = time.monotonic(), 0
        while time.monotonic() - begin < o.seconds:
            for i in range(10):
                step(i)
            steps += 10
            synchronize()
        return steps * o.batch / (time.monotonic() - begin)

    for i in range(10):
        step(i)
    rounds = [round_rate() for _ in range(o.rounds)]
    print(json.dumps({"mode": o.mode, "model": o.model, "images_per_s": max(rounds), "rounds": rounds,
                      "torch": torch.__version__}))


if __name__ == "__main__":
    main()
