#!/usr/bin/env python3
"""Measures augmentation: worker/augment.c beside torchvision on PIL images, one thread each, in turns, by the processor time
that they take; and what heavy augmentation on two loader threads costs a ResNet-18 step. Prints docs/performance.md's tables.

    /usr/bin/python3 tests/bench/augment.py BUILD [--rounds N] [--step-rounds N]

torchvision is left out where it is not installed (apt-get install python3-torchvision)."""
import argparse
import pathlib
import random
import statistics
import subprocess
import time

try:
    import numpy
    import torch
    from PIL import Image
    from torchvision import transforms as T
    from torchvision.transforms import InterpolationMode
except ImportError:
    torch = None

NAMES = ["crop, flip", "+ ColorJitter", "+ TrivialAugmentWide", "heavy_aug", "heavy_aug, ColorJitter", "224 px, heavy_aug"]


class Turns:
    """A program that does a round for each line on its stdin and answers with numbers."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def round(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        while True:
            fields = self.process.stdout.readline().split()
            try:
                return [float(f) for f in fields]
            except ValueError:
                continue  # what it says of itself

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def pipelines():
    crop, flip = T.RandomCrop(32, padding=4), T.RandomHorizontalFlip()
    jitter, trivial = T.ColorJitter(.4, .4, .4, .1), T.TrivialAugmentWide(interpolation=InterpolationMode.NEAREST)
    end = [T.ToTensor(), T.Normalize((.5071, .4867, .4408), (.2675, .2565, .2761))]
    erasing = T.RandomErasing(.25)
    steps = [[crop, flip, *end], [crop, flip, jitter, *end], [crop, flip, trivial, *end], [crop, flip, trivial, *end, erasing],
             [crop, flip, jitter, trivial, *end, erasing], [T.RandomResizedCrop(224), flip, trivial, *end, erasing]]
    return dict(zip(NAMES, map(T.Compose, steps)))


def torch_round(pipeline, images):
    start = time.thread_time()
    for image in images:
        pipeline(Image.fromarray(image))
    return (time.thread_time() - start) / len(images)


def augmentation(build, rounds):
    ours, theirs = Turns(build / "tests/bench/augment_bench", "--turns"), None
    if torch:
        torch.set_num_threads(1)
        torch.manual_seed(1)
        numpy.random.seed(1)
        theirs = pipelines()
        images = numpy.random.randint(0, 256, (1000, 32, 32, 3), dtype=numpy.uint8)
    print("| pipeline | worker, us an image | torchvision on PIL | times as fast |\n| --- | --- | --- | --- |")
    for name in NAMES:
        a, b = [], []
        for _ in range(rounds):
            a.append(ours.round(name)[0])
            b.append(torch_round(theirs[name], images[:60 if "224" in name else None]) if theirs else float("nan"))
        ratio = statistics.median(y / x for x, y in zip(a, b))
        print(f"| {name} | {1e6 * statistics.median(a):.1f} | {1e6 * statistics.median(b):.0f} | {ratio:.0f} |", flush=True)
    ours.end()


def steps(build, rounds):
    """The light and the heavy step in turns, in random order. Other programs on the machine slow both, and not alike: the
    processor time of all threads says what augmentation costs even then."""
    command = [build / "tests/bench/step_bench", "--turns", "--workers", "2", "--steps", "2", "--rounds", str(rounds)]
    programs = {"crop, flip": Turns(*command), "heavy_aug, ColorJitter, MixUp": Turns(*command, "--heavy")}
    found = {name: [] for name in programs}
    for i in range(rounds + 1):
        for name in random.sample(list(programs), 2):
            seconds, _, load, cpu = programs[name].round("step")
            if i > 0:  # the first warms up
                found[name].append((seconds, cpu, load))
    print(f"\nResNet-18, batch 128, 2 loader threads, medians of {rounds} rounds\n"
          "| augmentation | ms a step | beside crop, flip | processor ms | beside crop, flip | loading alone, ms of one thread |\n"
          "| --- | --- | --- | --- | --- | --- |")
    light = found["crop, flip"]
    for name, program in programs.items():
        program.end()
        slower, costlier = (statistics.median(h[k] / l[k] for h, l in zip(found[name], light)) for k in (0, 1))
        wall, cpu, load = (1e3 * statistics.median(column) for column in zip(*found[name]))
        print(f"| {name} | {wall:.0f} | {slower:.3f} | {cpu:.0f} | {costlier:.3f} | {load:.2f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--step-rounds", type=int, default=7)
    options = parser.parse_args()
    augmentation(options.build, options.rounds)
    if options.step_rounds:
        steps(options.build, options.step_rounds)


if __name__ == "__main__":
    main()
