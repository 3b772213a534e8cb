"""What is fetched is found, checked and listed; what is there is not fetched again."""
import gzip
import json
import os
import shutil
import stat
import subprocess

import conftest
import pytest
from conftest import sums, tar_of
from server import noise


def test_fetches_an_archive_and_installs_its_files(place):
    done = place.fetch()
    record = place.installed()
    where = place.datasets / "cifar-100-binary"
    assert f"cifar100 fetched and checked: {where}" in done.stdout
    assert sorted(p.name for p in where.iterdir()) == ["fetched.json", "test.bin", "train.bin"]  # no readme.txt
    assert record["source"] == place.server.url + place.ARCHIVE
    assert stat.S_IMODE(where.stat().st_mode) == 0o755 and stat.S_IMODE((where / "test.bin").stat().st_mode) == 0o644


def test_what_is_there_and_right_is_not_fetched_again(place):
    place.fetch()
    assert "cifar100 is there" in place.fetch().stdout
    assert len(place.server.requests) == 1
    place.fetch("cifar100", "--again")
    assert len(place.server.requests) == 2
    place.installed()


def test_damaged_files_are_replaced_and_others_kept(place):
    place.fetch()
    where = place.datasets / "cifar-100-binary"
    (where / "mine.txt").write_text("notes")
    damaged = bytearray(place.CONTENTS["train.bin"])
    damaged[1000] ^= 1
    (where / "train.bin").write_bytes(damaged)
    (where / "test.bin.gz").write_bytes(b"old")
    assert "has sha256" in place.fetch().stderr
    place.installed()
    assert (where / "mine.txt").read_text() == "notes" and not (where / "test.bin.gz").exists()


def test_a_file_touched_but_right_is_read_once_and_recorded(place):
    place.fetch()
    os.utime(place.datasets / "cifar-100-binary/train.bin", (1, 1))
    assert place.run("dataset", "list", "cifar100", "--json").stdout.count('"changed"') == 1
    assert "is there" in place.fetch().stdout
    assert '"checked"' in place.run("dataset", "list", "cifar100", "--json").stdout


def test_list_says_what_is_here(place):
    before = {d["name"]: d for d in json.loads(place.run("dataset", "list", "--json").stdout)}
    assert set(before) == {"cifar10", "cifar100", "mnist", "fashion-mnist"}
    assert before["cifar100"]["state"] == "absent" and before["cifar100"]["download_bytes"] == len(place.archive)
    place.fetch()
    after = json.loads(place.run("dataset", "list", "cifar100", "--json").stdout)[0]
    assert after["state"] == "checked" and after["bytes"] == 390_000
    assert after["path"] == str(place.datasets / "cifar-100-binary") and after["source"].startswith("http://")
    text = place.run("dataset", "list").stdout
    assert "cifar100" in text and "~/.local/share/sweepd/datasets/cifar-100-binary" in text


def test_json_has_one_document_with_each_name(place):
    done = place.fetch("cifar100", "cifar1000", "--json", code=4)
    answer = json.loads(done.stdout)
    assert [a["state"] for a in answer] == ["fetched", "failed"]
    assert answer[0]["path"] == str(place.datasets / "cifar-100-binary") and answer[0]["bytes"] == 390_000
    assert 'did you mean "cifar100"' in answer[1]["error"] and 'did you mean "cifar100"' in done.stderr


def test_verify_reads_every_byte_and_says_what_differs(place):
    assert "not on this machine" in place.run("dataset", "verify", "cifar100", code=4).stderr
    place.fetch()
    assert place.run("dataset", "verify", "cifar100").stdout.startswith("cifar100: ok, ")
    path = place.datasets / "cifar-100-binary/test.bin"
    data = bytearray(path.read_bytes())
    data[-1] ^= 0x80
    times = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # list is fooled, verify is not
    done = place.run("dataset", "verify", "cifar100", code=1)
    assert done.stdout.startswith("cifar100: differs")
    assert f"{path}: has sha256 " in done.stderr and sums(place.CONTENTS["test.bin"])["sha256"] in done.stderr
    assert "sweepctl dataset fetch cifar100" in done.stderr
    assert json.loads(place.run("dataset", "verify", "cifar100", "--json", code=1).stdout)[0]["verdict"] == "differs"
    path.write_bytes(data[:-5])
    (path.parent / "train.bin").write_bytes(b"")
    told = place.run("dataset", "verify", "cifar100", code=1).stderr
    assert "test.bin: has 89995 bytes, expected 90000" in told and "train.bin: has 0 bytes, expected 300000" in told


def test_gzip_of_other_bytes_with_the_right_content_is_right(place):
    packed = place.offer_idx()
    first = next(iter(packed))
    place.server.add(first, gzip.compress(gzip.decompress(packed[first]), 1, mtime=7))
    place.fetch("mnist")
    where = place.datasets / "mnist"
    assert place.run("dataset", "verify", "mnist").stdout.startswith("mnist: ok, ")
    assert sorted(p.name for p in where.iterdir()) == sorted(["fetched.json", *packed])


def test_gzip_of_the_wrong_content_is_refused(place):
    packed = place.offer_idx()
    last = list(packed)[-1]
    for wrong in (gzip.compress(noise(20_000, 99)), packed[last][:-9], gzip.compress(bytes(50_000_000))):
        place.server.add(last, wrong)
        told = place.fetch("mnist", code=1).stderr
        assert f"{last} is not the known file" in told, told
        assert not (place.datasets / "mnist").exists()


@pytest.mark.skipif(not os.path.exists("/usr/share/datasets/fashion-mnist"), reason="no dataset-fashion-mnist")
def test_the_real_fashion_mnist_of_debian_agrees_with_the_built_in_checksums(place):
    place.sweepctl = conftest.PLAIN_SWEEPCTL
    assert "is there: /usr/share/datasets/fashion-mnist" in place.fetch("fashion-mnist").stdout


def test_weights_are_one_file_with_a_record(place):
    place.run("weights", "fetch", "net")
    assert (place.weights / "net.pth").read_bytes() == place.WEIGHTS
    record = json.loads((place.weights / "net.pth.json").read_text())
    assert record["source"] == place.server.url + "net.pth"
    assert record["files"]["net.pth"]["sha256"] == sums(place.WEIGHTS)["sha256"]
    assert "net: ok" in place.run("weights", "verify", "net.pth").stdout
    assert json.loads(place.run("weights", "list", "net", "--json").stdout)[0]["state"] == "checked"
    assert "is there" in place.run("weights", "fetch", "net").stdout
    (place.weights / "net.pth").write_bytes(b"x")
    place.run("weights", "fetch", "net")
    assert (place.weights / "net.pth").read_bytes() == place.WEIGHTS


def test_a_prefix_of_the_checksum_is_checked(place):
    place.offer_weights(place.WEIGHTS)
    source = place.catalogue["weights"]["net"]["sources"][0]
    source["sha256"] = source["sha256"][:8]
    place.run("weights", "fetch", "net")
    source["sha256"] = "00000000"
    told = place.run("weights", "fetch", "net", "--again", code=1).stderr
    assert "expected 00000000" in told


def test_from_a_file_a_directory_and_file_urls(place):
    box = place.directory / "box"
    box.mkdir()
    (box / place.ARCHIVE).write_bytes(place.archive)
    (box / "renamed.tgz").write_bytes(place.archive)
    for source in (box, box / place.ARCHIVE, box / "renamed.tgz", f"file://{box}/", f"file://{box}/renamed.tgz",
                   "box/renamed.tgz"):
        place.fetch("cifar100", "--from", source, "--again")
        place.installed()
    assert not place.server.requests
    assert "--from is one file" in place.fetch("cifar100", "mnist", "--from", box / "renamed.tgz", code=2).stderr


def test_a_plain_tar_is_taken_too(place):
    place.offer(tar_of(place.CONTENTS, "w"))
    place.fetch()
    place.installed()


def test_from_what_is_no_file(place):
    os.mkfifo(place.directory / "pipe")
    place.refused("cifar100", "--from", place.directory / "pipe", words=["is not a file"])
    place.refused("cifar100", "--from", place.directory / "nowhere", words=["No such file"])
    place.refused("cifar100", "--from", place.directory, words=["No such file"])


def test_where_it_is_put(place):
    data = place.directory / "big"
    assert f"submit --data {data}" in place.fetch("cifar100", "--data", data).stderr
    assert (data / "cifar-100-binary/train.bin").exists()
    second = place.directory / "second"
    place.fetch("cifar100", SWEEPD_DATA=f"{second}:/elsewhere", code=0)
    assert (second / "cifar-100-binary/train.bin").exists()
    place.run("weights", "fetch", "net", SWEEPD_DATA=f"{second}")
    assert (second / "weights/net.pth").exists()
    xdg = place.directory / "xdg"
    place.fetch(XDG_DATA_HOME=str(xdg))
    assert (xdg / "sweepd/datasets/cifar-100-binary/train.bin").exists()


def test_training_finds_what_was_fetched_and_errors_name_the_command(place, tmp_path):
    sweep = tmp_path / "sweep.json"
    sweep.write_text('{"name": "s", "method": "grid", "parameters": {"lr": {"values": [0.1]}},'
                     ' "defaults": {"dataset": "cifar100"}}')
    submit = [conftest.SWEEPCTL, "submit", "--dry-run", str(sweep)]
    told = subprocess.run(submit, env=place.env, text=True, capture_output=True, check=False).stderr
    assert "sweepctl dataset fetch cifar100" in told
    place.fetch()
    told = subprocess.run(submit, env=place.env, text=True, capture_output=True, check=True).stderr
    assert "not on this machine" not in told


def test_mirrors_come_first_then_the_catalogue(place):
    place.server.add("lab/" + place.ARCHIVE, place.archive)
    place.fetch("cifar100", "--mirror", place.server.url + "nowhere", "--mirror", place.server.url + "lab/")
    assert [r.path for r in place.server.requests] == [f"/nowhere/{place.ARCHIVE}", f"/lab/{place.ARCHIVE}"]
    place.fetch("cifar100", "--again", SWEEPD_MIRROR=f"  {place.server.url}lab ")
    assert place.server.requests[-1].path == f"/lab/{place.ARCHIVE}" and len(place.server.requests) == 3
    place.fetch("cifar100", "--again", "--mirror", place.server.url + "gone")
    assert place.server.requests[-1].path == f"/{place.ARCHIVE}"


def test_passwords_of_addresses_are_neither_said_nor_recorded(place):
    url = place.server.url.replace("://", "://me:secret@")
    done = place.fetch("cifar100", "--mirror", url + "gone", "--mirror", url)
    assert "authorization" in place.server.requests[-1].headers
    record = place.installed()
    assert "secret" not in done.stderr + done.stdout + json.dumps(record)
    told = place.fetch("cifar100", "--again", "--from", url + "gone", code=1).stderr
    assert "secret" not in told and "is not there" in told


def test_catalogues_are_checked(place):
    def refuse(change, *words):
        catalogue = json.loads(json.dumps(place.catalogue))
        change(catalogue)
        path = place.directory / "bad.json"
        path.write_text(json.dumps(catalogue))
        done = subprocess.run([conftest.SWEEPCTL, "dataset", "list", "--catalogue", path], env=place.env, text=True,
                              capture_output=True, check=False)
        assert done.returncode == 2 and str(path) in done.stderr, done
        assert all(word in done.stderr for word in words), done.stderr

    cifar = ["datasets", "cifar100"]

    def put(catalogue, *path_and_value):
        *path, last, value = path_and_value
        for step in path:
            catalogue = catalogue[step]
        catalogue[last] = value
    refuse(lambda c: put(c, *cifar, "sources", 0, "file", "../../.bashrc"), "plain file name", "bashrc")
    refuse(lambda c: put(c, *cifar, "contents", 0, "file", "a/b"), "plain file name")
    refuse(lambda c: put(c, *cifar, "contents", 0, "file", ".hidden"), "plain file name")
    refuse(lambda c: put(c, *cifar, "sources", 0, "sha256", "xyz"), "sha256", "hexadecimal")
    refuse(lambda c: put(c, *cifar, "sources", 0, "sha256", "abc"), "at least 8")
    refuse(lambda c: put(c, *cifar, "sources", 0, "md5", "abcd"), "32")
    refuse(lambda c: put(c, *cifar, "sources", 0, "bytes", -1), "bytes")
    refuse(lambda c: put(c, *cifar, "contents", 0, "bytes", 0), "bytes: must be given")
    refuse(lambda c: put(c, *cifar, "sources", []), "an archive is one file")
    refuse(lambda c: put(c, *cifar, "archive", False), "expected 2")
    refuse(lambda c: put(c, "datasets", "imagenet", {}), "imagenet", "no data set that sweepd can read")
    refuse(lambda c: put(c, "weights", "a/b", {"sources": []}), "plain name")
    refuse(lambda c: put(c, "weights", "net", "sources", 0, "urls", ["x"]), "urls")
    refuse(lambda c: c.clear(), "expected an object")
    path = place.directory / "bad.json"
    path.write_text("{")
    done = subprocess.run([conftest.SWEEPCTL, "dataset", "list", "--catalogue", path], env=place.env, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 2 and "line 1" in done.stderr


def test_usage(place):
    for args, words in ((["dataset"], "list, fetch or verify?"), (["dataset", "bring"], 'not "bring"'),
                        (["dataset", "fetch"], "which?"), (["dataset", "list", "--again"], "option of fetch"),
                        (["dataset", "fetch", "cifar100", "--timeout", "0"], "--timeout needs a number"),
                        (["weights", "fetch", "net", "--retries", "x"], "--retries needs a number")):
        assert words in place.run(*args, code=2).stderr
    assert "no data set" in place.fetch("cifar200", code=4).stderr
    assert "no weights" in place.run("weights", "fetch", "resnet19-v9", code=4).stderr


def test_sweep_forward_that_is_not_there(place):
    alone = place.directory / "alone"
    alone.mkdir()
    shutil.copy(conftest.SWEEPCTL, alone / "sweepctl")
    done = subprocess.run([alone / "sweepctl", "dataset", "fetch", "cifar100"], env=place.env, text=True,
                          capture_output=True, check=False)
    assert done.returncode == 1 and "sweep-forward is neither" in done.stderr
