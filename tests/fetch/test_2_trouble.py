"""Servers that break off, lie, hang, change their minds; disks and rights; two at once; kill -9."""
import contextlib
import errno
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import threading

import conftest
import pytest
import server as servers
from conftest import sums
from server import broken_after, noise, then


def test_goes_on_where_it_broke_off(place):
    place.server.fault(place.ARCHIVE, broken_after(100_000), broken_after(50_000, reset=True))
    told = place.fetch().stderr
    place.installed()
    first, *rest = place.server.ranges(place.ARCHIVE)
    assert first is None and len(rest) >= 2 and rest[0] == "bytes=100000-"
    assert all(r.headers["if-range"] == place.server.files["/" + place.ARCHIVE].etag for r in place.server.requests[1:])
    assert "going on at 100000 bytes" in told


def test_a_partial_file_is_gone_on_with_by_the_next_fetch(place):
    place.server.fault(place.ARCHIVE, broken_after(150_000))
    place.refused("cifar100", "--retries", 0, words=["150000 bytes", "goes on where it stopped"])
    assert place.part().stat().st_size == 150_000
    place.fetch()
    place.installed()
    assert place.server.ranges(place.ARCHIVE)[-1] == "bytes=150000-"


def test_a_date_serves_where_there_is_no_strong_etag(place):
    place.server.add(place.ARCHIVE, place.archive, etag='W/"weak"', modified="Wed, 21 Oct 2015 07:28:00 GMT")
    place.server.fault(place.ARCHIVE, broken_after(100_000))
    place.fetch()
    place.installed()
    assert place.server.requests[1].headers["if-range"] == "Wed, 21 Oct 2015 07:28:00 GMT"


def test_without_any_validator_it_begins_anew(place):
    place.server.add(place.ARCHIVE, place.archive, etag='W/"weak"')
    place.server.fault(place.ARCHIVE, broken_after(100_000))
    assert place.fetch("cifar100", "--retries", 0, code=1)
    place.fetch()
    place.installed()
    assert place.server.ranges(place.ARCHIVE) == [None, None]


def test_a_server_that_ignores_ranges(place):
    place.server.add(place.ARCHIVE, place.archive, ranges=False)
    place.server.fault(place.ARCHIVE, broken_after(100_000))
    assert "from the begin" in place.fetch().stderr
    place.installed()


def test_a_file_that_changes_between_two_requests(place):
    old = noise(len(place.archive), 50)
    place.server.add(place.ARCHIVE, old)
    place.server.fault(place.ARCHIVE, then(broken_after(100_000), lambda: place.server.add(place.ARCHIVE, place.archive)))
    place.fetch()
    place.installed()


def test_a_changed_file_of_a_server_that_does_not_look_at_if_range(place):
    """Put together from two it has a wrong sum: once more, in one piece."""
    old = noise(len(place.archive), 50)
    place.server.add(place.ARCHIVE, old)
    place.server.fault(place.ARCHIVE, then(broken_after(100_000), lambda: place.server.add(
        place.ARCHIVE, place.archive, if_range=False)))
    assert "put together from two requests" in place.fetch().stderr
    place.installed()
    assert place.server.ranges(place.ARCHIVE) == [None, "bytes=100000-", None]


def test_a_partial_file_of_another_address_is_not_gone_on_with(place):
    place.server.fault(place.ARCHIVE, broken_after(100_000))
    place.refused("cifar100", "--retries", 0)
    place.server.add("lab/" + place.ARCHIVE, place.archive)
    place.fetch("cifar100", "--mirror", place.server.url + "lab")
    place.installed()
    assert place.server.ranges("lab/" + place.ARCHIVE) == [None]


def test_a_partial_file_longer_than_the_file(place):
    place.server.fault(place.ARCHIVE, broken_after(100_000))
    place.refused("cifar100", "--retries", 0)
    place.part().write_bytes(bytes(len(place.archive) + 1))
    place.fetch()
    place.installed()


def test_a_partial_file_that_is_whole_but_wrong(place):
    place.server.fault(place.ARCHIVE, broken_after(100_000))
    place.refused("cifar100", "--retries", 0)
    place.part().write_bytes(noise(len(place.archive), 51))
    place.fetch()
    place.installed()
    assert place.server.ranges(place.ARCHIVE) == [None, None]


def test_a_whole_gzip_whose_size_is_not_vouched_for(place):
    """416 answers the question for what follows the end."""
    packed = place.offer_idx()
    first = next(iter(packed))
    place.server.fault(first, broken_after(1000))
    place.fetch("mnist", "--retries", 0, code=1)
    (place.datasets / f".fetch/mnist.{first}.part").write_bytes(packed[first])
    place.fetch("mnist")
    assert place.server.ranges(first)[1] == f"bytes={len(packed[first])}-"


def test_lengths_that_are_lies(place):
    longer, shorter = len(place.archive) + 5000, len(place.archive) - 5000
    place.server.fault(place.ARCHIVE, servers.lying_length(longer))
    place.refused(words=[f"has {longer} bytes, expected {len(place.archive)}"])
    place.server.fault(place.ARCHIVE, servers.lying_length(shorter))
    place.refused(words=[f"has {shorter} bytes"])


def test_more_than_expected_is_cut_off(place):
    place.server.fault(place.ARCHIVE, servers.without_length(extra=b"x"))
    place.refused(words=["sends more than"])
    place.server.fault(place.ARCHIVE, servers.without_length())
    place.fetch()
    place.installed()


def test_an_end_that_may_be_a_broken_connection(place):
    """Without a length the first half looks whole; it is short, so the rest is asked for."""
    place.server.fault(place.ARCHIVE, servers.until_close)
    assert "ended after" in place.fetch().stderr
    place.installed()


def test_a_part_that_was_not_asked_for(place):
    place.server.fault(place.ARCHIVE, broken_after(100_000), servers.other_range)
    place.fetch()
    place.installed()
    place.server.fault(place.ARCHIVE, *[broken_after(100_000), servers.other_range] * 3)
    told = place.fetch("cifar100", "--again", code=1).stderr
    assert "another part than asked for" in told


def test_garbage_and_pages(place):
    place.server.fault(place.ARCHIVE, servers.answers(noise(len(place.archive), 52)))
    place.refused(words=["is not the known file", "has sha256", sums(place.archive)["sha256"]])
    place.offer(place.archive, known=["sha256"])
    place.server.fault(place.ARCHIVE, servers.answers(b"\n<!DOCTYPE html><title>log in</title>"))
    place.refused(words=["it is a web page"])
    place.server.fault(place.ARCHIVE, servers.garbage)
    place.refused(words=["does not speak HTTP"])
    assert place.left_over() == []


def test_statuses(place):
    for code, words in ((404, "is not there"), (403, "is not given to us (HTTP 403)"), (418, "answered strangely (HTTP 418)")):
        place.server.fault(place.ARCHIVE, servers.status(code))
        before = len(place.server.requests)
        place.refused(words=[words])
        assert len(place.server.requests) == before + 1
    place.server.fault(place.ARCHIVE, *[servers.status(503)] * 4)
    place.refused(words=["the server answers 503", "(3 of 3)"])
    place.server.fault(place.ARCHIVE, servers.status(500), servers.status(429, Retry_After="0"))
    place.fetch()
    place.installed()


def test_a_server_that_says_nothing_is_given_up(place):
    place.server.fault(place.ARCHIVE, servers.hangs())
    place.refused("cifar100", "--timeout", 1, "--retries", 0, words=["broke off after 0 bytes", "too slow"])
    place.server.fault(place.ARCHIVE, servers.hangs(70_000))
    place.fetch("cifar100", "--timeout", 1)
    place.installed()
    assert place.server.ranges(place.ARCHIVE)[-1] == "bytes=70000-"


def test_redirects(place):
    place.server.add("moved", place.archive)
    place.server.fault(place.ARCHIVE, servers.redirects("/moved"))
    place.fetch()
    assert place.installed()["source"] == place.server.url + place.ARCHIVE
    place.server.fault(place.ARCHIVE, *[servers.redirects(place.ARCHIVE)] * 20)
    assert "redirected more than" in place.fetch("cifar100", "--again", code=1).stderr
    place.server.faults.clear()
    secret = place.directory / "secret"
    secret.write_bytes(place.archive)
    place.server.fault(place.ARCHIVE, servers.redirects(f"file://{secret}"))
    assert "file" in place.fetch("cifar100", "--again", code=1).stderr


def test_nobody_there(place):
    gone = servers.Server()
    gone.stop()
    place.refused("cifar100", "--from", gone.url, words=["cannot reach", "check the network", "--mirror"])
    place.refused("cifar100", "--from", "http://no-such-host.invalid/", words=["cannot reach", "no-such-host.invalid"])
    place.refused("cifar100", "--from", "ftp://localhost/x", words=["expected: http://"])
    assert "trying" in place.fetch("cifar100", "--mirror", gone.url).stderr
    place.installed()


def tls_place(tmp_path, name):
    authority = tmp_path / "authority"
    authority.mkdir()
    server = servers.Server(servers.make_authority(authority, name))
    return conftest.Place(tmp_path, server), server, str(authority / "ca.pem")


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_tls_is_verified(tmp_path):
    place, server, authority = tls_place(tmp_path, "localhost")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        place.refused(words=["the server is not trusted", "certificate", "SSL_CERT_FILE"])
        assert not server.requests
        place.fetch(SSL_CERT_FILE=authority)
        place.installed()
        place.fetch("cifar100", "--again", "--from", f"https://127.0.0.1:{server.port}/", code=1, SSL_CERT_FILE=authority)
        broken = tmp_path / "broken.pem"
        broken.write_text("nothing")
        assert "not trusted" in place.fetch("cifar100", "--again", code=1, SSL_CERT_FILE=str(broken)).stderr


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_a_certificate_of_another_name_is_refused(tmp_path):
    place, server, authority = tls_place(tmp_path, "elsewhere.example")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        place.refused(words=["the server is not trusted", "localhost"], SSL_CERT_FILE=authority)


@pytest.mark.skipif(not shutil.which("openssl"), reason="no openssl")
def test_what_no_checksum_vouches_for_comes_over_https_alone(tmp_path, place):
    place.offer_weights(place.WEIGHTS, known=None)
    told = place.run("weights", "fetch", "net", code=1).stderr
    assert "expected: https://" in told
    (tmp_path / "tls").mkdir()
    secure, server, authority = tls_place(tmp_path / "tls", "localhost")
    with contextlib.ExitStack() as stack:
        stack.callback(server.stop)
        secure.offer_weights(place.WEIGHTS, known=None)
        assert "no checksum of it is known" in secure.run("weights", "fetch", "net", SSL_CERT_FILE=authority).stderr
        # a redirect down to http:// is not followed; with a checksum it may be
        server.fault("net.pth", servers.redirects(place.server.url + "net.pth"))
        assert "https://" in secure.run("weights", "fetch", "net", "--again", code=1, SSL_CERT_FILE=authority).stderr
        # the sum that Hugging Face tells beside its redirect
        right, wrong = sums(place.WEIGHTS)["sha256"], "0" * 64
        server.add("cdn", place.WEIGHTS)
        server.fault("net.pth", servers.redirects("/cdn", X_Linked_ETag=f'"{wrong}"'))
        told = secure.run("weights", "fetch", "net", "--again", code=1, SSL_CERT_FILE=authority).stderr
        assert f"expected {wrong}" in told
        server.fault("net.pth", servers.redirects("/cdn", X_Linked_ETag=f'"{right}"'))
        told = secure.run("weights", "fetch", "net", "--again", SSL_CERT_FILE=authority).stderr
        assert "no checksum" not in told


# --- this machine ---

def test_a_disk_that_is_full(place):
    """A limit on files stands for it: writing fails in the middle, what came stays and is gone on with."""
    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, 120_000))
    done = subprocess.run(place.arguments("dataset", "fetch", "cifar100"), env=place.env, text=True, capture_output=True,
                          check=False, preexec_fn=limit)
    assert done.returncode == 1 and "make room and fetch again" in done.stderr and place.part().stat().st_size == 120_000
    place.fetch()
    place.installed()
    assert place.server.ranges(place.ARCHIVE)[-1] == "bytes=120000-"


def test_no_room_is_said_before_the_download(place):
    place.catalogue["datasets"]["cifar100"]["sources"][0]["bytes"] = 1 << 39
    place.refused(words=["needs", "are free", "--data DIR"])
    assert not place.server.requests


def test_no_right_to_write(place):
    told = place.fetch("cifar100", "--data", "/sys/data", code=7).stderr
    assert "cannot create directory /sys/data" in told and "--data DIR of a directory you may write" in told
    assert not place.server.requests


def test_links_that_somebody_else_put_there(place):
    elsewhere = place.directory / "elsewhere"
    elsewhere.mkdir()
    place.datasets.mkdir(parents=True)
    (place.datasets / ".fetch").symlink_to(elsewhere)
    assert "is not a directory of yours" in place.fetch(code=7).stderr
    (place.datasets / ".fetch").unlink()
    place.fetch()
    assert list(elsewhere.iterdir()) == []
    if os.geteuid() == 0:
        os.chown(place.datasets / "cifar-100-binary", 65534, 65534)
        assert "belongs to another user" in place.fetch("cifar100", "--again", code=7).stderr


def test_two_at_once_do_not_spoil_each_other(place):
    place.server.fault(place.ARCHIVE, servers.hangs(50_000))
    first = subprocess.Popen(place.arguments("dataset", "fetch", "cifar100"), env=place.env, stderr=subprocess.PIPE)
    assert place.server.hanging.wait(60)
    second = subprocess.Popen(place.arguments("dataset", "fetch", "cifar100"), env=place.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    assert re.search(rf"another fetch \(pid {first.pid}, sweep-forward\) is at it", second.stderr.readline())
    place.server.release.set()
    assert first.wait(60) == 0 and "is there" in second.communicate(timeout=60)[0] and second.returncode == 0
    place.installed()
    first.stderr.close()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_it_goes_on_later(place, how):
    place.server.fault(place.ARCHIVE, servers.hangs(50_000))
    process = subprocess.Popen(place.arguments("dataset", "fetch", "cifar100"), env=place.env, stderr=subprocess.PIPE,
                               text=True)
    assert place.server.hanging.wait(60)
    process.send_signal(how)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == (-9 if how == signal.SIGKILL else 130)
    assert how == signal.SIGKILL or "goes on where it stopped" in told
    kept = place.part().stat().st_size if place.part().exists() else 0
    assert not (place.datasets / "cifar-100-binary").exists() and kept <= 50_000
    place.fetch()
    place.installed()
    assert place.server.ranges(place.ARCHIVE)[-1] == (f"bytes={kept}-" if kept else None)


def test_waiting_for_the_other_fetch_can_be_interrupted(place):
    place.server.fault(place.ARCHIVE, servers.hangs(50_000))
    first = subprocess.Popen(place.arguments("dataset", "fetch", "cifar100"), env=place.env, stderr=subprocess.DEVNULL)
    assert place.server.hanging.wait(60)
    second = subprocess.Popen(place.arguments("dataset", "fetch", "cifar100"), env=place.env, stderr=subprocess.PIPE,
                              text=True)
    assert "another fetch" in second.stderr.readline()
    second.send_signal(signal.SIGINT)
    assert second.wait(60) == 130
    second.stderr.close()
    first.kill()
    first.wait()


def can_trace():
    return shutil.which("strace") and subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True,
                                                     check=False).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="no strace, or it may not trace")
def test_killed_at_any_moment_it_leaves_nothing_half(place):
    """kill -9 at each of many moments: never a data set that is not whole, and the next fetch brings it."""
    place.sweepctl = conftest.PLAIN_SWEEPCTL
    killed = 0
    moments = {"rename": 4, "unlink": 8, "fsync": 8, "write": 5, "ftruncate": 1, "mkdir": 1}
    for call, count in [(c, n + 1) for c, most in moments.items() for n in range(most)]:
        shutil.rmtree(place.datasets, ignore_errors=True)
        done = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={count}",
                               *place.arguments("dataset", "fetch", "cifar100")], env=place.env, capture_output=True,
                              check=False)
        killed += done.returncode == -signal.SIGKILL
        if (place.datasets / "cifar-100-binary").exists():
            place_is_whole(place)
        place.fetch()
        place.installed()
    assert killed >= 18


def place_is_whole(place):
    where = place.datasets / "cifar-100-binary"
    assert {p.name: p.read_bytes() for p in where.iterdir() if p.suffix == ".bin"} == place.CONTENTS


def test_a_terminal_gets_a_bar_a_pipe_gets_lines(place):
    place.server.fault(place.ARCHIVE, broken_after(200_000))
    leader, follower = pty.openpty()
    process = subprocess.Popen(place.arguments("dataset", "fetch", "cifar100"), env={**place.env, "TERM": "xterm"},
                               stderr=follower)
    os.close(follower)
    seen = bytearray()
    reader = threading.Thread(target=read_all, args=(leader, seen))
    reader.start()
    assert process.wait(60) == 0
    reader.join(60)
    os.close(leader)
    bar = seen.decode()
    assert "\r" in bar and "[####################]" in bar and "100 %" in bar and "of " in bar
    assert "\x1b" not in place.fetch("cifar100", "--again").stderr


def read_all(fd, into):
    while True:
        try:
            data = os.read(fd, 65536)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            return
        if not data:
            return
        into += data
