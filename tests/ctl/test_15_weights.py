"""sweepctl weights inspect and import: files of weights as a person has them.  The worker reads them."""
import hashlib
import json
import os
import struct

import pytest

from conftest import ROOT, Place

GOLDEN = ROOT / "tests/golden"


@pytest.fixture
def here(tmp_path):
    (tmp_path / "home").mkdir()
    return Place(tmp_path / "home")


def resnet8(path, classes=10, names=str):
    """A state dict of resnet8 with the CIFAR stem, as safetensors; names: changes them."""
    keys = json.loads((GOLDEN / "tables.json").read_text())["resnet8_cifar_100"]["keys"]
    header, size = {}, 0
    for name, shape in keys:
        shape = [classes, *shape[1:]] if name.startswith("fc.") else shape
        count, whole = 1, name.endswith("num_batches_tracked")
        for n in shape:
            count *= n
        bytes_ = count * (8 if whole else 4)
        header[names(name)] = {"dtype": "I64" if whole else "F32", "shape": shape, "data_offsets": [size, size + bytes_]}
        size += bytes_
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(size))
    return path


def test_a_file_is_looked_into(here, tmp_path):
    out = here.run("weights", "inspect", GOLDEN / "weights/zip.pth").stdout
    assert "conv1.weight             F32    2x3x3x3\n" in out and "bn1.num_batches_tracked  I64    scalar\n" in out
    assert "13 tensors, 90 elements; pth (zip), 3.8 KiB\n" in out and out.endswith("fits no network of this program\n")
    file = resnet8(tmp_path / "a.safetensors", 7)
    assert here.run("weights", "inspect", file).stdout.endswith("\nfits resnet8 with stem cifar, 7 classes\n")
    (about,) = here.json("weights", "inspect", file)
    assert about["models"] == [{"model": "resnet8", "stem": "cifar", "classes": 7}]
    assert about["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest() and about["bytes"] == file.stat().st_size
    assert about["tensors"][0] == {"name": "conv1.weight", "dtype": "F32", "shape": [16, 3, 3, 3]}


def test_what_is_no_file_of_weights_is_said(here, tmp_path):
    (tmp_path / "text").write_text("hello, this is text")
    done = here.run("weights", "inspect", tmp_path / "text", code=1)
    assert done.stderr == (f"error: {tmp_path}/text: not a file of weights\n"
                           "  expected: safetensors, or a state dict written by torch.save()\n")
    assert "No such file" in here.run("weights", "inspect", tmp_path / "none", code=4).stderr
    assert "inspect which file?" in here.run("weights", "inspect", code=2).stderr
    evil = tmp_path / "evil.pth"  # os.system("touch ...") to whoever unpickles it
    evil.write_bytes(b"\x80\2\x8a\n\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\2M\xe9\3.\x80\2}X\r\0\0\0little_endian\x88s."
                     b"\x80\2cposix\nsystem\nX" + struct.pack("<I", len(str(tmp_path)) + 10) +
                     f"touch {tmp_path}/pwn".encode() + b"\x85R.\x80\2].")
    done = here.run("weights", "inspect", evil, code=1)
    assert "it holds a Python object of its own (posix system), which nothing here may run" in done.stderr
    assert not (tmp_path / "pwn").exists()


def installed(here, name):
    return here.directory / ".local/share/sweepd/weights" / name


def test_import_copies_into_place_and_names_it(here, tmp_path):
    file = resnet8(tmp_path / "mine.safetensors")
    out = here.run("weights", "import", file).stdout
    assert out == ("~/.local/share/sweepd/weights/mine.safetensors: fits resnet8 with stem cifar, 10 classes; in a sweep: "
                   'pretrained true, weights "mine.safetensors"\n')
    there = installed(here, "mine.safetensors")
    assert there.read_bytes() == file.read_bytes() and os.listdir(there.parent) == ["mine.safetensors"]
    here.run("weights", "import", file)  # again: the same file is there
    (about,) = here.json("weights", "import", file)
    assert about["path"] == str(there)
    assert here.run("weights", "inspect", "mine.safetensors").stdout.endswith("with stem cifar, 10 classes\n")
    resnet8(file, 11)
    done = here.run("weights", "import", file, code=6)
    assert f"{there} is there already, another file" in done.stderr
    assert here.run("weights", "import", file, "--data", tmp_path).stdout.startswith(f"{tmp_path}/weights/mine.safetensors: ")


def test_import_refuses_what_it_cannot_stand_for(here, tmp_path):
    assert "fits no network" in here.run("weights", "import", GOLDEN / "weights/zip.pth", code=1).stderr
    file = resnet8(tmp_path / "net-0123abcd.pth")
    digits = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
    done = here.run("weights", "import", file, code=1)
    assert f"its name says that its sha256 begins with 0123abcd, but it begins with {digits}" in done.stderr
    assert not installed(here, "x").parent.exists()
    good = file.rename(tmp_path / f"net-{digits}.pth")
    here.run("weights", "import", good)
    assert installed(here, good.name).exists()


def test_import_into_a_place_that_cannot_be(here, tmp_path):
    (tmp_path / "file").write_text("")
    done = here.run("weights", "import", resnet8(tmp_path / "a.safetensors"), "--data", tmp_path / "file", code=1)
    assert str(tmp_path / "file") in done.stderr


def test_names_of_a_file_do_not_reach_the_terminal_raw(here, tmp_path):
    file = resnet8(tmp_path / "a.safetensors", names=lambda n: n.replace("fc.", "\x1b[2Jfc."))
    assert "\x1b" not in here.run("weights", "inspect", file, code=1).stderr
