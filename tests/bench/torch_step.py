"""The training step of one of worker/model.c's networks in PyTorch: one of the programs that bench.py times in turns.

    torch_step.py --model resnet18 --batch 128 [--bf16] [--channels-last] [--compile]

Says what it is, then for each line on stdin trains --steps steps and prints the seconds of one.  Its batch is made
beforehand: the time is that of forward, loss, backward and optimizer, without loading and augmentation."""
import argparse
import pathlib
import sys
import time

import torch
from torch.nn.functional import cross_entropy

sys.path.append(str(pathlib.Path(__file__).parent.parent / "golden"))
import torch_nets


class Step:
    def __init__(self, args):
        layout = torch.channels_last if args.channels_last else torch.contiguous_format
        net = torch_nets.build(args.model, "cifar", 100).to(memory_format=layout)
        self.optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
        self.net = torch.compile(net) if args.compile else net
        self.images = torch.rand(args.batch, 3, 32, 32).to(memory_format=layout)
        self.labels = torch.randint(100, (args.batch,))
        self.bf16 = args.bf16

    def run(self):
        self.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.bf16):
            logits = self.net(self.images)
        loss = cross_entropy(logits.float(), self.labels)
        loss.backward()
        self.optimizer.step()
        return loss.item()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="resnet18", choices=torch_nets.MODELS)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    parser.add_argument("--bf16", action="store_true", help="autocast")
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true", help="torch.compile, with its defaults")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    step = Step(args)
    step.run()  # compiles
    print("torch " + torch.__version__, flush=True)
    for _ in sys.stdin:
        start = time.monotonic()
        for _ in range(args.steps):
            step.run()
        print(f"{(time.monotonic() - start) / args.steps:.6f}", flush=True)


if __name__ == "__main__":
    main()
