"""What the parts of run.sh share: where programs, data and the GPU are; starting programs within the part's time; the
table, the checks, the result file and the exit code.

Environment: TEST_GPU (cuda:0; "host" puts the host in the device's place, with tiny sizes, to test this itself),
SWEEPD_BUILD (a build directory), SWEEPD_DATA (a directory with CIFAR-100), OUT (results go there), GPU_SECONDS (510)."""
import hashlib
import json
import os
import pathlib
import platform
import random
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
SKIPPED = 77
PROGRAMS = {  # in a build directory; in a bundle they lie in bin/
    "sweepd": "daemon", "sweepctl": "ctl", "sweep-worker": "worker", "gpu_bench": "tests/gpu", "trajectory": "tests/gpu",
    "conv_test": "tests/gpu", "cuda_step_test": "tests/cuda", "kernel_augment_test": "tests/cuda",
    "kernel_bn_test": "tests/cuda", "kernel_loss_test": "tests/cuda", "kernel_optimizer_test": "tests/cuda",
    "kernel_pool_test": "tests/cuda",
}
CIFAR_RECORD = 3074
CIFAR_COUNTS = {"train": 50000, "test": 10000}


class Failure(Exception):
    """A program that did not do what was asked; the text is for people."""


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


class Part:
    def __init__(self, name):
        self.name = name
        self.device = os.environ.get("TEST_GPU") or "cuda:0"
        self.on_host = self.device == "host"
        self.end = time.monotonic() + float(os.environ.get("GPU_SECONDS") or 510)
        self.lines, self.record, self.failed = [], {"part": name, "checks": []}, 0
        self.exit_code = 0  # of the program that run() ran last
        self.tmp = pathlib.Path(tempfile.mkdtemp(prefix="sweepd-gpu."))
        self.out = pathlib.Path(os.environ.get("OUT") or HERE / "results")
        self.root = unpacked() or HERE.parents[1]
        self.env = dict(os.environ, TEST_GPU=self.device)
        self.env.setdefault("VIRTUAL_ENV", sys.prefix)  # cuDNN may lie in this Python's site-packages alone
        self.env.setdefault("XDG_CACHE_HOME", str(self.tmp / "cache"))

    # --- programs ---

    def program(self, name):
        if (self.root / "bin" / name).exists():
            return str(self.root / "bin" / name)
        build = pathlib.Path(os.environ.get("SWEEPD_BUILD") or self.root / "build-gpu")
        path = build / PROGRAMS[name] / name
        if not path.exists():
            raise Failure(f"{path} is not there: build it, or name the build directory in SWEEPD_BUILD")
        return str(path.resolve())

    def seconds_left(self, most=10000):
        left = min(most, self.end - time.monotonic())
        if left < 2:
            raise Failure("the time is over")
        return left

    def run(self, command, most=10000, check=True, **env):
        """stdout; a Failure with the program's last line on stderr (or stdout) when it fails."""
        try:
            done = subprocess.run([str(c) for c in command], env=dict(self.env, **env), text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=self.seconds_left(most))
        except subprocess.TimeoutExpired:
            raise Failure(f"{pathlib.Path(command[0]).name}: not finished in time")
        except OSError as e:
            raise Failure(f"{command[0]}: {e.strerror}")
        self.save_log(command, done)
        self.exit_code = done.returncode
        if check and done.returncode:
            how = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
            raise Failure(f"{pathlib.Path(command[0]).name}: {how}: {last_line(done.stdout + done.stderr)}")
        return done.stdout

    def save_log(self, command, done):
        with open(self.tmp / "log.txt", "a") as f:
            f.write(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}[exit code {done.returncode}]\n")

    def run_json(self, command, **options):
        return json.loads(self.run(command, **options).splitlines()[-1])

    def torch_script(self, name, *args, most=10000):
        """The JSON that a script of ours prints with PyTorch."""
        return self.run_json([sys.executable, HERE / name, *args], most=most)

    def torch_problem(self):
        """Why PyTorch cannot train here, or None."""
        try:
            self.run([sys.executable, "-c", "import torch; assert torch.cuda.is_available(), 'PyTorch sees no GPU'"], 120)
        except Failure as e:
            return str(e)
        return None

    # --- the GPU ---

    def need_gpu(self):
        """Ends the part with 77 where nothing can be trained on; else notes device and versions."""
        found = self.run_json([self.program("sweep-worker"), "--devices", "--json"], most=60)
        gpus = [d for d in found["devices"] if d["kind"] == "cuda"]
        usable = [d for d in gpus if d["trains"]]
        if not usable and not self.on_host:
            cuda, nvml = found["cuda"], found["nvml"]
            why = next((d["reason"] for d in gpus), None) or (cuda.get("driver") or {}).get("problem") or nvml["problem"] \
                or ("none was found" if cuda["built"] else "this build trains on the CPU only")
            print(f"{self.name}: skipped: there is no GPU to train on: {why}")
            self.clean()
            sys.exit(SKIPPED)
        device = "the host in a GPU's place" if self.on_host else usable[0]["name"]
        cudnn = (found["cuda"].get("cudnn") or {}).get("version")
        self.record.update(device=device, cudnn=cudnn, driver=found["nvml"]["driver"], machine=platform.machine(),
                           cuda=(found["cuda"].get("driver") or {}).get("cuda"), at=time.strftime("%Y-%m-%d %H:%M"))
        self.say(f"# {self.name}: {device}; driver {found['nvml']['driver']}, cuDNN {cudnn}; {self.record['at']}")

    # --- data ---

    def data(self):
        """(directory, training images, test images, whether they are real) of CIFAR-100 in its own format."""
        bundled = self.root / "data"
        if (bundled / "slice.json").exists() and not self.on_host:
            counts = json.loads((bundled / "slice.json").read_text())
            return bundled, counts["train"], counts["test"], True
        for place in filter(None, (os.environ.get("SWEEPD_DATA") or "").split(":")):
            if any((pathlib.Path(place) / sub / "train.bin").exists() for sub in ("", "cifar-100-binary")):
                return pathlib.Path(place), *CIFAR_COUNTS.values(), True
        return self.made_data(), *CIFAR_COUNTS.values(), False

    def made_data(self):
        """Files of CIFAR-100's form with noise in them."""
        draw = random.Random(1)
        directory = self.tmp / "data"
        directory.mkdir(exist_ok=True)
        for name, count in CIFAR_COUNTS.items():
            block = b"".join(bytes((0, draw.randrange(100))) + draw.randbytes(CIFAR_RECORD - 2) for _ in range(1000))
            (directory / f"{name}.bin").write_bytes(block * (count // 1000))
        return directory

    # --- what is said ---

    def say(self, line=""):
        print(line, flush=True)
        self.lines.append(line)

    def table(self, title, header, rows):
        cells = [[str(c) for c in row] for row in [header, *rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        self.say(f"\n{title}" if title else "")
        for i, row in enumerate(cells):
            self.say("| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |")
            if i == 0:
                self.say("|" + "|".join("-" * (w + 2) for w in widths) + "|")

    def check(self, what, good, detail=""):
        """good None: it could not be checked (the reason is in detail), which fails nothing."""
        word = {True: "ok", False: "FAILED", None: "skipped"}[good]
        self.failed += good is False
        self.record["checks"].append({"what": what, "result": word, "detail": detail})
        return good

    def attempt(self, what, action):
        """action()'s result; None, and a failed check, when it ends in a Failure."""
        try:
            return action()
        except Failure as e:
            self.check(what, False, str(e))
            return None

    def finish(self):
        checks = self.record["checks"]
        self.table("", ["check", "result", "detail"], [(c["what"], c["result"], c["detail"]) for c in checks])
        if not any(c["result"] == "ok" for c in checks) and not self.failed:
            self.failed = 1
            self.say("nothing was checked")
        self.say(f"\n{self.name}: {'FAILED' if self.failed else 'ok'}")
        self.out.mkdir(parents=True, exist_ok=True)
        text = "\n".join(self.lines) + "\n\njson " + json.dumps(self.record) + "\n"
        (self.out / f"{self.name}.txt").write_text(text)
        if self.failed:
            print(f"what the programs said: {self.out / (self.name + '.log')}")
            if (self.tmp / "log.txt").exists():
                shutil.copy(self.tmp / "log.txt", self.out / f"{self.name}.log")
        self.clean()
        return 1 if self.failed else 0

    def clean(self):
        shutil.rmtree(self.tmp, ignore_errors=True)


def unpacked():
    """The root of a bundle's programs, unpacked at the first call; None in the source tree."""
    packed, directory = HERE / "bundle.tar.xz", HERE / "bundle"
    if not packed.exists():
        return directory if directory.exists() else None
    stamp = f"{packed.stat().st_size} {packed.stat().st_mtime_ns}"
    mark = directory / "unpacked"
    if not mark.exists() or mark.read_text() != stamp:
        shutil.rmtree(directory, ignore_errors=True)
        with tarfile.open(packed) as tar:
            tar.extractall(directory)
        mark.write_text(stamp)
    return directory


def sha256(path):
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()


def main(name, body):
    """Runs body(part) and ends the program: failures of the part's own become a failed check."""
    part = Part(name)
    try:
        part.need_gpu()
        body(part)
    except Failure as e:
        part.check("the part ran to its end", False, str(e))
    sys.exit(part.finish())
