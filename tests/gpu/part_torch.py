"""The same training elsewhere: 50 steps from the same weights and batches on the device, the CPU and in PyTorch on the
same device; then CIFAR-100 for some epochs, accuracy beside PyTorch's."""
import json
import math

import gpurun

STEPS, BATCH, MODEL = 50, 64, "resnet18"
# Losses in fp32 part by about 2.5 times a step: on two CPUs' libraries 1e-7 becomes 5e-4 within 10 steps at trajectory's
# lr (0.05 instead of 0.01: 6e-3).  In bf16 they part from the first step on.
FIRST = 10
FIRST_LIMIT = {"none": 2e-3, "bf16": 0.02}  # relative, of each of the first steps
ALL_LIMIT = {"none": 0.05, "bf16": 0.08}    # relative, mean over all steps
EPOCHS, STEP_SIZE, LR = 30, 12, 0.1
ACCURACY_LIMIT = 4.0  # points; one seed each


def trajectory(part, device, amp, export, size):
    model, batch, steps = size
    return part.run_json([part.program("trajectory"), "--device", device, "--amp", amp, "--model", model, "--batch", batch,
                          "--steps", steps, *(["--export", export] if export else [])], most=240)["loss"]


def apart(a, b):
    """(worst of the first steps, mean of all), relative."""
    off = [abs(x - y) / abs(y) for x, y in zip(a, b)]
    if len(a) != len(b) or not all(map(math.isfinite, [*a, *b])):
        return math.inf, math.inf
    return max(off[:FIRST]), sum(off) / len(off)


def compare(part, amp, ours, theirs, who):
    first, mean = apart(ours, theirs)
    good = first <= FIRST_LIMIT[amp] and mean <= ALL_LIMIT[amp]
    part.check(f"losses, {'fp32' if amp == 'none' else amp}: {who}", good,
               f"first {min(FIRST, len(ours))} steps {first:.1e} of {FIRST_LIMIT[amp]:.0e}, all {mean:.1e} of {ALL_LIMIT[amp]:.0e}")


def trajectories(part, torch_problem):
    size = ("resnet8", 4, 3) if part.on_host else (MODEL, BATCH, STEPS)
    export = part.tmp / "export"
    export.mkdir()
    columns = {}
    for amp in ("none", "bf16"):
        ours = columns[f"device {amp}"] = trajectory(part, part.device, amp, export, size)
        if amp == "none":
            columns["cpu none"] = trajectory(part, "cpu", "none", None, size)
            compare(part, amp, ours, columns["cpu none"], "the CPU")
        if not torch_problem:
            theirs = columns[f"torch {amp}"] = part.torch_script("torch_train.py", "steps", export, "--amp", amp)["loss"]
            compare(part, amp, ours, theirs, "PyTorch")
    compare(part, "bf16", columns["device bf16"], columns["device none"], "the device's own fp32")
    n = len(columns["device none"])
    shown = sorted({0, 1, 2, 4, 9, 19, 29, 39, n - 1} & set(range(n)))
    part.table("Loss:", ("step", *columns), [(i + 1, *(f"{c[i]:.5f}" for c in columns.values())) for i in shown])
    part.record["losses"] = columns
    return export


def our_accuracies(part, directory, train, test, epochs):
    config = {"dataset": "cifar100", "model": MODEL, "epochs": epochs, "batch_size": 128, "lr": LR, "scheduler": "StepLR",
              "step_size": STEP_SIZE, "seed": 7, "train_images": train, "test_images": test}
    if part.on_host:
        config.update(model="resnet8", batch_size=16)
    path = part.tmp / "accuracy.json"
    path.write_text(json.dumps(config))
    backend = ("--backend", "cpu") if part.on_host else ("--device", part.device)
    output = part.run([part.program("sweep-worker"), "--standalone", "--config", path, "--data", directory, "--dir",
                       part.tmp / "accuracy", *backend])
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return [e["test_accuracy"] for e in events if e["type"] == "epoch"]


def accuracies(part, export, torch_problem):
    directory, train, test, real = part.data()
    if part.on_host:
        train, test, epochs = 64, 32, 2
    elif real:
        epochs = EPOCHS
    else:
        part.check("accuracy beside PyTorch's", None, "there is no CIFAR-100 here (SWEEPD_DATA, or pack.sh with data)")
        return
    ours = our_accuracies(part, directory, train, test, epochs)
    part.check(f"{epochs} epochs trained", len(ours) == epochs, f"{train} images, accuracy {ours[-1]:.2f} %")
    columns = {"device": ours}
    if not torch_problem:
        theirs = columns["torch"] = part.torch_script(
            "torch_train.py", "epochs", export, "--amp", "bf16", "--data", directory, "--train", train, "--test", test,
            "--epochs", epochs, "--step-size", STEP_SIZE, "--lr", LR)["accuracy"]
        part.check("accuracy beside PyTorch's", ours[-1] >= theirs[-1] - ACCURACY_LIMIT,
                   f"{ours[-1]:.2f} %, PyTorch {theirs[-1]:.2f} %, at most {ACCURACY_LIMIT} below")
    part.table("Test accuracy, %:", ("epoch", *columns),
               [(i + 1, *(f"{c[i]:.2f}" for c in columns.values())) for i in range(epochs)])
    part.record["accuracy"] = columns


def body(part):
    problem = "no PyTorch on the host" if part.on_host else part.torch_problem()
    if problem:
        part.check("PyTorch beside it", None if part.on_host else False, problem)
    export = trajectories(part, problem)
    accuracies(part, export, problem)


if __name__ == "__main__":
    gpurun.main("torch", body)
