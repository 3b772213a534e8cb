"""Runs the real sweepctl and sweep-forward against a server of our own (server.py) and a catalogue of small files."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import subprocess
import tarfile

import pytest
import server as servers

ROOT = pathlib.Path(__file__).resolve().parents[2]
SWEEPCTL = os.environ.get("SWEEPCTL", str(ROOT / "build/ctl/sweepctl"))
PLAIN_SWEEPCTL = os.environ["SWEEPD_PLAIN_BUILD"] + "/ctl/sweepctl" if "SWEEPD_PLAIN_BUILD" in os.environ else SWEEPCTL


def sums(data, *names):
    every = {"bytes": len(data), "md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}
    return {name: every[name] for name in names or every}


def tar_of(members, mode="w:gz", change=lambda info: None):
    """members: name -> bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            tar.addfile(info, io.BytesIO(data) if info.isreg() else None)
    return out.getvalue()


class Place:
    """A home of its own, and the files that the catalogue promises."""
    CONTENTS = {"train.bin": servers.noise(300_000, 1), "test.bin": servers.noise(90_000, 2)}
    ARCHIVE = "cifar-100-binary.tar.gz"
    WEIGHTS = servers.noise(200_000, 3)

    def __init__(self, directory, server):
        self.directory, self.server, self.sweepctl = directory, server, SWEEPCTL
        self.home = directory / "home"
        self.home.mkdir()
        self.datasets = self.home / ".local/share/sweepd/datasets"
        self.weights = self.home / ".local/share/sweepd/weights"
        self.env = {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8", "TZ": "UTC",
                    **{k: v for k, v in os.environ.items() if k.endswith("SAN_OPTIONS")}}
        self.archive = tar_of({"cifar-100-binary/" + name: data for name, data in self.CONTENTS.items()} |
                              {"cifar-100-binary/readme.txt": b"not wanted"})
        self.catalogue = {"datasets": {}, "weights": {}}
        self.offer(self.archive)
        self.offer_weights(self.WEIGHTS)

    def offer(self, archive, known=("bytes", "sha256"), urls=None, contents=None):
        """The server has that archive as cifar100."""
        self.server.add(self.ARCHIVE, archive)
        self.catalogue["datasets"]["cifar100"] = {
            "archive": True,
            "sources": [{"file": self.ARCHIVE, "urls": urls or [self.server.url], **(sums(archive, *known) if known else {})}],
            "contents": [{"file": name, **sums(data, "bytes", "sha256")}
                         for name, data in (contents or self.CONTENTS).items()]}

    def offer_weights(self, data, known=("bytes", "sha256"), urls=None):
        self.server.add("net.pth", data)
        self.catalogue["weights"]["net"] = {"about": "made for the tests", "sources": [
            {"file": "net.pth", "urls": urls or [self.server.url], **(sums(data, *known) if known else {})}]}

    def offer_idx(self):
        """The four files of mnist; ret: name -> gzip bytes on the server."""
        names = [f"{s}-{k}-ubyte" for s in ("train", "t10k") for k in ("images-idx3", "labels-idx1")]
        contents = {name: servers.noise(20_000, name) for name in names}
        packed = {name + ".gz": gzip.compress(data, mtime=0) for name, data in contents.items()}
        for name, data in packed.items():
            self.server.add(name, data)
        self.catalogue["datasets"]["mnist"] = {
            "sources": [{"file": name, "urls": [self.server.url], **sums(data)} for name, data in packed.items()],
            "contents": [{"file": name, **sums(data, "bytes", "md5")} for name, data in contents.items()]}
        return packed

    def arguments(self, *args):
        path = self.directory / "catalogue.json"
        path.write_text(json.dumps(self.catalogue))
        defaults = ["--catalogue", path]
        if "fetch" in args:
            defaults += ["--retry-delay", 0, "--retries", 3]
        return [self.sweepctl, *map(str, [*args[:2], *defaults, *args[2:]])]

    def run(self, *args, code=0, **env):
        done = subprocess.run(self.arguments(*args), env={**self.env, **env}, text=True, capture_output=True, timeout=120,
                              check=False, cwd=self.directory)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
        return done

    def fetch(self, *args, code=0, **env):
        return self.run("dataset", "fetch", *(args or ["cifar100"]), code=code, **env)

    def refused(self, *args, code=1, words=(), **env):
        """The fetch fails with a sentence, what to do, and leaves nothing that a reader would find."""
        told = self.fetch(*args, code=code, **env).stderr
        assert told.count("error: ") == 1 and "do this:" in told, told
        for word in words:
            assert word in told, (word, told)
        assert not (self.datasets / "cifar-100-binary").exists()
        return told

    def installed(self):
        where = self.datasets / "cifar-100-binary"
        assert {p.name: p.read_bytes() for p in where.iterdir() if p.suffix == ".bin"} == self.CONTENTS
        assert self.left_over() == []
        record = json.loads((where / "fetched.json").read_text())
        assert {name: f["sha256"] for name, f in record["files"].items()} == \
            {name: hashlib.sha256(data).hexdigest() for name, data in self.CONTENTS.items()}
        return record

    def left_over(self):
        """Partial files and half-made directories."""
        return sorted(p.name for p in self.datasets.glob(".fetch/*") if p.suffix != ".lock")

    def part(self):
        return self.datasets / f".fetch/cifar100.{self.ARCHIVE}.part"


@pytest.fixture
def server():
    made = servers.Server()
    yield made
    made.stop()


@pytest.fixture
def place(tmp_path, server):
    return Place(tmp_path, server)
