"""sweep-worker's training step beside its own primitives and beside PyTorch; run.sh finds the programs and calls this.

A shared machine is not the same twice, so all that is compared runs at the same time in turns: every program is started
and warmed up, then each round times one after the other.  Ratios are taken round by round; medians are printed, as
tables of Markdown for docs/performance.md."""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import tempfile

HERE = pathlib.Path(__file__).parent
CASES = {"resnet18": 128, "resnet50": 64}  # batch
WARM_UP = 1  # rounds that do not count
TORCHES = [[], ["--channels-last"], ["--channels-last", "--compile"]]


class Contender:
    """A program that says who it is, then times one round for each line that it is sent."""

    def __init__(self, name, command, header_lines):
        self.name, self.rounds, self.stderr = name, [], tempfile.TemporaryFile("w+")
        environment = dict(os.environ, OMP_WAIT_POLICY="passive")
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.stderr, text=True,
                                        env=environment)
        self.header = [self.line() for _ in range(header_lines)]

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.stderr.seek(0)
            said = self.stderr.read().strip().splitlines() or ["nothing"]
            raise RuntimeError(f"{self.name} ended; it said: {said[-1]}")
        return line.strip()

    def round(self):
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.rounds.append([float(v) for v in self.line().split()])

    def seconds(self, what=0):
        return [r[what] for r in self.rounds[WARM_UP:]]

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) >> 10

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.stderr.close()


def step_bench(args, build, model, batch, bf16):
    command = [build / "tests/bench/step_bench", "--turns", "--model", model, "--batch", str(batch), "--threads",
               str(args.threads), "--steps", str(args.steps), "--rounds", str(args.rounds + WARM_UP)]
    contender = Contender(str(build), command + ["--amp"] * bf16, 3)
    contender.name = "sweep-worker, " + contender.header[1].rsplit(", ", 1)[1]  # oneDNN and its version
    return contender


def torch_contenders(args, model, batch, bf16):
    """Those that start; why the others do not is said."""
    found = []
    for python in args.python:
        for options in TORCHES:
            command = [python, HERE / "torch_step.py", "--model", model, "--batch", str(batch), "--threads",
                       str(args.threads), "--steps", str(args.steps), *options] + ["--bf16"] * bf16
            try:
                contender = Contender(f"{python} {' '.join(options)}", command, 1)
            except (OSError, RuntimeError) as error:
                print(f"left out: {error}")
                continue
            contender.name = contender.header[0] + "".join(", " + o.lstrip("-").replace("-", "_") for o in options)
            found.append(contender)
    return found


def range_of(values):
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def row(*cells):
    print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)


class Tables:
    def __init__(self, threads):
        self.own, self.others, self.memory, self.threads = [], [], [], threads

    def add(self, what, batch, worker, others):
        step, primitives, load = (worker.seconds(i) for i in range(3))
        ratio = statistics.median(p / s for p, s in zip(primitives, step))
        share = statistics.median(100 * l / s for l, s in zip(load, step))
        reorders = worker.header[2].removeprefix("reorders a step").strip()
        self.own.append((what, range_of([batch / s for s in step]), range_of([batch / s for s in primitives]),
                         f"{ratio:.2f}", f"{share:.2f} %", reorders))
        self.others.append((what, worker.name, range_of([batch / s for s in step]), "1"))
        for other in others:
            times = statistics.median(o / s for o, s in zip(other.seconds(), step))
            self.others.append((what, other.name, range_of([batch / s for s in other.seconds()]), f"{times:.2f}"))

    def print(self):
        print("\nWhole step (with loading and augmentation) beside its convolutions and batch norms; images/s\n")
        row("network, batch", "whole step", "primitives alone", "ratio", "loading and augmentation, on one thread",
            "reorders a step")
        row(*["---"] * 6)
        for cells in self.own:
            row(*cells)
        print("\nBeside others; PyTorch is given its batch ready-made\n")
        row("network, batch", "program", "images/s", "the first is so many times as fast")
        row(*["---"] * 4)
        for cells in self.others:
            row(*cells)
        if not self.memory:
            return
        print("\nPeak resident memory of resnet18, batch 128\n")
        row("program", "MiB")
        row(*["---"] * 2)
        for cells in self.memory:
            row(*cells)


def worker_peak_mib(args, bf16):
    """The real program: two steps and a test.  None where its data set is not installed."""
    with tempfile.TemporaryDirectory() as tmp:
        config = {"model": "resnet18", "dataset": "fashion-mnist", "train_images": 256, "test_images": 128, "epochs": 1,
                  "batch_size": 128, "use_amp": bf16, "num_workers": 1}
        (pathlib.Path(tmp) / "job.json").write_text(json.dumps(config))
        process = subprocess.Popen([args.build / "worker/sweep-worker", "--standalone", "--config", f"{tmp}/job.json",
                                    "--dir", f"{tmp}/run", "--threads", str(args.threads)], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return None if process.returncode else usage.ru_maxrss >> 10


def measure(args, tables, model, bf16):
    batch, precision = CASES[model], "bf16" if bf16 else "fp32"
    worker = step_bench(args, args.build, model, batch, bf16)
    if precision not in worker.header[1]:
        print(f"left out: {model} in bf16, which this processor does not have")
        worker.close()
        return
    print(f"{worker.header[1]}: {args.rounds} rounds", flush=True)
    builds = [step_bench(args, build, model, batch, bf16) for build in args.beside]
    torches = torch_contenders(args, model, batch, bf16)
    others = builds + torches
    for _ in range(args.rounds + WARM_UP):
        for contender in (worker, *others):
            contender.round()
    tables.add(f"{model}, {batch}, {precision}", batch, worker, others)
    if model == "resnet18":
        tables.memory.append((f"sweep-worker, {precision}", worker_peak_mib(args, bf16)))
        tables.memory.extend((f"{other.name}, {precision}", other.peak_mib()) for other in torches)
    for contender in (worker, *others):
        contender.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="build directory with sweep-worker and step_bench")
    parser.add_argument("--beside", type=pathlib.Path, action="append", default=[],
                        help="another build, with another oneDNN; repeatable")
    parser.add_argument("--python", action="append", default=[], help="a Python that has torch and torchvision; repeatable")
    parser.add_argument("--model", action="append", choices=CASES, help="default: all")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps a round")
    args = parser.parse_args()
    tables = Tables(args.threads)
    print(f"{platform.node()}, {platform.release()}, {args.threads} threads")
    for model in args.model or CASES:
        for bf16 in (False, True):
            measure(args, tables, model, bf16)
    tables.print()


if __name__ == "__main__":
    main()
