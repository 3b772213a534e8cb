"""Every kernel, every convolution and whole steps on the device, against ref; then NVIDIA's sanitizer over them."""
import os
import shutil

import gpurun

TESTS = ("kernel_augment_test", "kernel_bn_test", "kernel_loss_test", "kernel_optimizer_test", "kernel_pool_test",
         "conv_test", "cuda_step_test")
SANITIZED = ("kernel_bn_test", "kernel_loss_test", "kernel_pool_test", "kernel_optimizer_test")  # our kernels alone
NOT_HERE = ("Device not supported", "is not supported", "Failed to initialize", "Unable to find injection")


def counts(output):
    passed = sum("[       OK ]" in line for line in output.splitlines())
    return f"{passed} tests"


ON_HOST = ("kernel_augment_test", "conv_test")  # enough to show how tests are run


def run_test(part, name):
    output = part.attempt(name, lambda: part.run([part.program(name)], most=240))
    if output is not None:
        part.check(name, True, counts(output))


def sanitizer():
    homes = [os.environ.get("CUDA_HOME"), "/usr/local/cuda"]
    found = shutil.which("compute-sanitizer")
    for home in filter(None, homes):
        found = found or shutil.which("compute-sanitizer", path=f"{home}/bin")
    return found


def sanitize(part, tool, check, name, command, most):
    what = f"{check}: {name}"
    if not tool:
        part.check(what, None, "compute-sanitizer is not here")
        return
    try:
        output = part.run([tool, "--tool", check, "--target-processes", "all", "--error-exitcode", "9", *command], most,
                          check=False)
    except gpurun.Failure as e:
        part.check(what, None, str(e))
        return
    if any(text in output for text in NOT_HERE):
        part.check(what, None, "compute-sanitizer cannot look into this device")
        return
    summary = [line for line in output.splitlines() if "SUMMARY" in line]
    clean = part.exit_code == 0 and bool(summary) and all(": 0 " in s for s in summary)
    part.check(what, clean, summary[-1].strip("= ") if summary else gpurun.last_line(output))


def body(part):
    for name in ON_HOST if part.on_host else TESTS:
        run_test(part, name)
    tool = sanitizer()
    step = [part.program("trajectory"), "--device", part.device, "--model", "resnet8", "--batch", "8", "--steps", "2"]
    sanitize(part, tool, "memcheck", "two steps of resnet8, bf16", [*step, "--amp", "bf16"], 120)
    for check in ("memcheck", "racecheck"):
        for name in SANITIZED[:1] if part.on_host else SANITIZED:
            sanitize(part, tool, check, name, [part.program(name)], 90)


if __name__ == "__main__":
    gpurun.main("ops", body)
