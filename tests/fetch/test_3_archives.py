"""Archives that want out of their directory, or are more than they say."""
import gzip
import hashlib
import io
import tarfile

import pytest
from conftest import tar_of
from server import noise


def refused(place, archive, *words):
    place.offer(archive)
    told = place.refused(words=[place.ARCHIVE, *words])
    outside = [p.name for p in place.directory.rglob("*") if p.name.startswith("evil")]
    assert outside == [] and place.left_over() in ([], [place.part().name, place.part().name + ".json"])
    return told


def members(place, **more):
    return {"cifar-100-binary/" + name: data for name, data in place.CONTENTS.items()} | more


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "..", "cifar-100-binary/../../evil", "./../evil",
                                  "a\\..\\evil", "evil\nline"])
def test_names_that_lead_outside(place, name):
    refused(place, tar_of({name: b"x"} | members(place)), "outside of itself")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE,
                                  tarfile.GNUTYPE_SPARSE])
def test_what_is_no_file(place, kind):
    def change(info):
        if info.name.endswith("evil"):
            info.type, info.linkname, info.size = kind, "/etc/passwd", 0
    refused(place, tar_of({"cifar-100-binary/evil": b""} | members(place), change=change), "refused")


def test_a_link_in_place_of_the_file(place):
    def change(info):
        if info.name.endswith("train.bin"):
            info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
    refused(place, tar_of(members(place), change=change), "link")


def test_a_bomb(place):
    refused(place, tar_of({"zeros": bytes(20 << 20)} | members(place)), "holds more than it should")
    refused(place, tar_of(members(place), "w") + bytes(20 << 20), "holds more than it should")


def test_files_missing_twice_or_of_another_size(place):
    train, test = place.CONTENTS["train.bin"], place.CONTENTS["test.bin"]
    refused(place, tar_of({"train.bin": train}), "does not hold test.bin")
    refused(place, tar_of({"train.bin": train, "test.bin": test, "b/test.bin": test}), "holds test.bin twice")
    refused(place, tar_of({"train.bin": train, "test.bin": test + b"x"}), "test.bin in it has 90001 bytes, expected 90000")
    refused(place, tar_of({"train.bin": train, "test.bin/": b"", "b": b""}), "does not hold test.bin")
    place.offer(tar_of({"train.bin": train, "test.bin": noise(len(test), 77)}))
    assert "has sha256" in place.fetch(code=1).stderr


def test_cut_off_and_damaged(place):
    whole = tar_of(members(place), "w")
    refused(place, gzip.compress(whole[:200_000]), "ends in the middle of a file")
    refused(place, gzip.compress(whole[:700]), "ends in the middle")
    refused(place, gzip.compress(whole[:-10240]), "ends")
    refused(place, place.archive[:-4] + b"abcd", "damaged gzip data")
    refused(place, place.archive[:200_000])
    refused(place, b"", "ends without")
    refused(place, noise(5000, 5), "no tar")
    flipped = bytearray(whole)
    flipped[4] ^= 1
    refused(place, gzip.compress(bytes(flipped)), "checksum")


def test_long_names_of_pax_and_gnu(place):
    deep = "/".join(["directory" * 5] * 12)
    for kind in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT):
        out = io.BytesIO()
        where = "d" * 90 + "/" + "e" * 60 if kind == tarfile.USTAR_FORMAT else deep
        with tarfile.open(fileobj=out, mode="w:gz", format=kind) as tar:
            for name, data in place.CONTENTS.items():
                info = tarfile.TarInfo(f"./{where}/{name}")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        place.offer(out.getvalue())
        place.fetch("cifar100", "--again")
        place.installed()


def test_extended_headers_that_lie(place):
    def pax(records):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            header = tarfile.TarInfo("x")
            header.type, header.size = b"x", len(records)
            tar.addfile(header, io.BytesIO(records))
        return out.getvalue()[:1024]
    for records in (b"99 path=x\n", b"0 path=x\n", b"path=x\n", b"9 path=x", b"-1 path=x\n", b"12 path=x\n"):
        refused(place, pax(records) + tar_of(members(place), "w"), "extended header")
    refused(place, pax(b"23 path=../../../evil1\n") + tar_of(members(place), "w"), "outside of itself")
    refused(place, pax(b"13 size=1000\n") + tar_of(members(place), "w"), "8 GiB")


def test_the_archive_is_told_apart_by_its_sum_even_if_its_files_are_right(place):
    """A lab's own archive of the right files needs a catalogue: the checksum of the archive is part of the promise."""
    other = tar_of({"lab/" + name: data for name, data in place.CONTENTS.items()})
    assert hashlib.sha256(other).digest() != hashlib.sha256(place.archive).digest()
    place.server.add(place.ARCHIVE, other)
    place.refused()
    place.offer(other)
    place.fetch()
    place.installed()
