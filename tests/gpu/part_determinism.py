"""The same seed twice, and once killed in the middle and resumed: identical files, identical losses."""
import json
import subprocess
import threading

import gpurun

FILES = ("final.safetensors", "best.safetensors")


def configuration(part):
    directory, train, test, _ = part.data()
    config = {"dataset": "cifar100", "epochs": 3, "batch_size": 128, "lr": 0.05, "scheduler": "StepLR", "step_size": 2,
              "seed": 11, "use_amp": True, "deterministic": True, "train_images": min(train, 12000),
              "test_images": min(test, 1000), "model": "resnet18", "checkpoint_interval_s": 0.3}
    if part.on_host:
        config.update(model="resnet8", batch_size=16, train_images=90, test_images=40, checkpoint_interval_s=0)
    path = part.tmp / "config.json"
    path.write_text(json.dumps(config))
    return [part.program("sweep-worker"), "--standalone", "--config", str(path), "--data", str(directory),
            *(("--backend", "cpu") if part.on_host else ("--backend", "cuda", "--device", part.device))]


def losses(part, name):
    """What each epoch came to; of a run in several attempts, the last word about each epoch."""
    found = {}
    for path in sorted((part.tmp / name).glob("events.*.jsonl")):
        for line in path.read_text().splitlines():
            event = json.loads(line)
            if event["type"] == "epoch":
                found[event["epoch"]] = [event[k] for k in ("train_loss", "train_accuracy", "test_loss", "test_accuracy")]
    return found


def run_killed(part, command, name):
    """Ends it by SIGKILL at the second checkpoint of epoch 2; returns where that was."""
    process = subprocess.Popen([*command, "--dir", str(part.tmp / name)], env=part.env, text=True, stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    timer = threading.Timer(part.seconds_left(150), process.kill)
    timer.start()
    place = None
    for line in process.stdout:
        event = json.loads(line)
        if event["type"] == "checkpoint" and event["epoch"] >= 1 and event["step"] > 0 and not place:
            place = f"epoch {event['epoch'] + 1}, step {event['step']}"
            process.kill()
    timer.cancel()
    process.wait()
    if not place:
        raise gpurun.Failure("it ended before a checkpoint in the middle of an epoch")
    return place


def compare(part, a, b, what, detail):
    for name in FILES:
        same = (part.tmp / a / name).read_bytes() == (part.tmp / b / name).read_bytes()
        part.check(f"{what}: {name}", same, detail if same else "the bytes differ")
    part.check(f"{what}: losses", losses(part, a) == losses(part, b), f"{len(losses(part, a))} epochs")


def body(part):
    command = configuration(part)
    for name in ("once", "again"):
        part.run([*command, "--dir", part.tmp / name], most=150)
    digest = gpurun.sha256(part.tmp / "once" / "final.safetensors")
    part.say(f"final.safetensors: sha256 {digest}")
    compare(part, "once", "again", "the same seed twice", digest[:16])
    place = run_killed(part, command, "killed")
    part.run([*command, "--dir", part.tmp / "killed", "--resume"], most=150)
    compare(part, "once", "killed", "killed and resumed", f"killed at {place}")


if __name__ == "__main__":
    gpurun.main("determinism", body)
