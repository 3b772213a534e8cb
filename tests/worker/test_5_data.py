"""The files of a data set under a run: one that is cut short ends the run with a sentence, the pages of one are shared."""
import os
import re

from conftest import CONFIG, Run

RECORD = 3074
CIFAR = dict(CONFIG, dataset="cifar100", model="resnet8", epochs=1000, train_images=40000, test_images=16)


def make_cifar(tmp_path):
    """Sparse files of the official size: black images of class 0."""
    directory = tmp_path / "data" / "cifar-100-binary"
    directory.mkdir(parents=True)
    for name, records in (("train.bin", 50000), ("test.bin", 10000)):
        with open(directory / name, "wb") as f:
            f.truncate(records * RECORD)
    return directory


def test_file_cut_short_under_a_run(tmp_path):
    directory = make_cifar(tmp_path)
    run = Run(tmp_path, dict(CIFAR, train_images=64))
    events, code = run.until(lambda e: e["type"] == "epoch", lambda _: os.truncate(directory / "train.bin", 1000),
                             "--data", str(directory.parent))
    assert code == 1 and events[-1]["type"] == "failed" and events[-1]["class"] == "data"
    assert str(directory / "train.bin") in events[-1]["reason"] and "cut short" in events[-1]["reason"]
    assert not (run.dir / "final.safetensors").exists()


def shared_kib(pid, path):
    """Of the mapping of path: resident, and of that what other processes have too."""
    found = {}
    for mapping in re.split(r"^(?=[0-9a-f]+-[0-9a-f]+ )", open(f"/proc/{pid}/smaps").read(), flags=re.M):
        if mapping.split("\n")[0].endswith(str(path)):
            found = dict(re.findall(r"^(\w+): +(\d+) kB", mapping, re.M))
    return int(found["Rss"]), int(found["Shared_Clean"])


def test_two_workers_share_the_pages(tmp_path):
    directory = make_cifar(tmp_path)
    both = [Run(tmp_path, CIFAR, name=name).start("--data", str(directory.parent)) for name in ("one", "two")]
    try:
        for process in both:
            assert '"started"' in process.stdout.readline()
        for process in both:
            resident, shared = shared_kib(process.pid, directory / "train.bin")
            assert resident > 100_000 and shared > 0.9 * resident  # of 150,098
    finally:
        for process in both:
            process.kill()
            process.communicate()
