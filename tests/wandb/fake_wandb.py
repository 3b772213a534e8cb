#!/usr/bin/python3
"""A strict fake W&B server: see README.md.  This file is its HTTP side and its command line."""
import argparse
import base64
import collections
import contextlib
import hashlib
import http.server
import json
import os
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import urllib.parse

from faults import Faults
from graphql_api import Executor
from records import MAX_REQUEST_BYTES, Breach, Records, Refused, check, strict_json

KEY = "0123456789abcdef0123456789abcdef01234567"
KEPT_REQUESTS = 50_000
GRACE_S = 0.5  # what was on its way when the server asked for silence


class Answer(Exception):
    """Ends a request; body: an object, text or bytes."""

    def __init__(self, status, body, headers=()):
        super().__init__(status)
        self.status, self.headers = status, dict(headers)
        self.data = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(
            body).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version, disable_nagle_algorithm = "HTTP/1.1", True
    server_version = "fake-wandb"

    def setup(self):
        self.raw = socket.socket(fileno=os.dup(self.request.fileno()))
        if self.server.fake.tls:
            self.request.settimeout(20)
            self.request = self.server.fake.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def finish(self):
        self.raw.close()
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_):
        pass

    def is_gone(self):
        """The client has hung up."""
        try:
            return bool(select.select([self.raw], [], [], 0)[0]) and self.raw.recv(1, socket.MSG_PEEK) == b""
        except OSError:
            return True

    def must_live(self):
        """A request whose client was killed is not applied after its successor's."""
        if self.is_gone():
            raise ConnectionAbortedError("the client is gone")

    def do(self):
        fake, self.fault, self.stream_of = self.server.fake, None, None
        self.arrived, self.entry = time.monotonic(), {"method": self.command, "path": self.path}
        try:
            self.route(fake)
        except Answer as answer:
            self.answer(answer)
        except Breach as e:
            with fake.lock:
                fake.records.violations.append(str(e))
            self.answer(Answer(400, {"error": str(e)}))
        except Refused as e:
            self.answer(Answer(e.status, {"errors": [{"message": str(e), "extensions": {"code": e.code}}]}))
        finally:
            self.done()

    do_GET = do_POST = do_PUT = do_HEAD = do_PATCH = do_DELETE = do

    def route(self, fake):
        if self.path.startswith("http://"):  # a client that takes us for its proxy
            fake.proxied += 1
            self.path = "/" + self.path.split("/", 3)[3]
        path = self.path.partition("?")[0]
        data = self.body()
        if path.startswith("/fake/"):
            raise fake.control(self.command, path[6:], data)
        parts = [urllib.parse.unquote(part) for part in path.split("/")[1:]]
        if self.command == "POST" and path == "/graphql":
            self.graphql(fake, data)
        elif self.command == "POST" and len(parts) == 5 and parts[0] == "files" and parts[4] == "file_stream":
            self.file_stream(fake, parts[1:4], data)
        elif self.command == "PUT" and len(parts) >= 5 and parts[0] == "storage":
            self.upload(fake, parts[1:4], "/".join(parts[4:]), data)
        elif path not in fake.ignored_paths:
            with fake.lock:
                fake.records.violations.append(f"no such place: {self.command} {self.path}")
        raise Answer(404, {"error": "not found"})

    def body(self):
        if self.command in ("GET", "HEAD", "DELETE"):
            return b""
        length = self.headers.get("Content-Length")
        check(length is not None and length.isdigit(), f"{self.command} {self.path} without Content-Length")
        check(int(length) <= MAX_REQUEST_BYTES or self.command == "PUT", f"{self.path}: a request of {length} bytes")
        data = self.rfile.read(int(length))
        if len(data) < int(length):
            raise ConnectionError("the client went before it had said all")
        return data

    def authorize(self, fake):
        """Exactly Basic api:KEY."""
        said = self.headers.get("Authorization")
        if said != fake.authorization:
            with fake.lock:
                fake.unauthorized += 1
                if not fake.wrong_key_expected:
                    fake.records.violations.append(f"Authorization {'is missing' if said is None else 'is wrong'}")
            raise Answer(401, {"errors": [{"message": "user is not logged in", "path": ["viewer"],
                                           "extensions": {"code": "PERMISSION_ERROR"}}], "data": None})

    def json_body(self, data):
        kind = self.headers.get("Content-Type", "")
        check(kind.partition(";")[0].strip() == "application/json", f"{self.path}: Content-Type {kind!r}")
        check(self.headers.get("Content-Encoding") is None, f"{self.path}: Content-Encoding is not enabled")
        check(self.headers.get("User-Agent"), f"{self.path}: no User-Agent")
        try:
            return strict_json(data)
        except ValueError as e:
            raise Breach(f"{self.path}: the body is not JSON ({e}): {data[:200]!r}") from e

    def graphql(self, fake, data):
        self.authorize(fake)
        body = self.json_body(data)
        check(isinstance(body, dict) and isinstance(body.get("query"), str), f"GraphQL without query: {data[:99]}")
        variables = body.get("variables") or {}
        check(isinstance(variables, dict), "GraphQL variables are no object")
        with fake.lock:
            operation = fake.graphql.operation(body["query"], body.get("operationName"))
        run = variables.get("run") or variables.get("name")
        self.note(fake, "graphql", operation, run, {"query": body["query"], "variables": variables})
        self.fault_before(fake, "graphql", operation, run)
        with fake.lock:
            self.must_live()
            status, answer = fake.graphql.execute(body["query"], variables, body.get("operationName"))
        self.fault_after(Answer(status, answer))

    def file_stream(self, fake, key, data):
        self.authorize(fake)
        with fake.lock:
            run = fake.records.run(*key)
            self.stream_of = run
            run.begin(self)
        body = self.json_body(data)
        self.note(fake, "file_stream", None, run.name, body)
        self.fault_before(fake, "file_stream", None, run.name)
        with fake.lock:
            self.must_live()
            fake.records.place(*key[:2])
            run.stream(body)
            stopped = run.stopped or (self.fault and self.fault.stopped)
            run.stopped = run.stopped or bool(stopped)
        self.fault_after(Answer(200, {"exitcode": None, "limits": {}, **({"stopped": True} if stopped else {})}))

    def upload(self, fake, key, name, data):
        check(fake.relative_uploads or self.headers.get("Authorization") is None,
              f"a presigned upload of {name} carries Authorization")
        check(fake.signature(key, name) in self.path, f"upload of {name}: the URL was changed: {self.path}")
        for header in fake.upload_headers:
            header, _, value = header.partition(":")
            check(self.headers.get(header) == value, f"upload of {name} without header {header}: {value}")
        self.note(fake, "upload", None, key[2], {"name": name, "bytes": len(data)})
        self.fault_before(fake, "upload", None, key[2])
        with fake.lock:
            self.must_live()
            fake.records.run(*key).put(name, data)
        self.fault_after(Answer(200, b""))

    # --- faults and pacing ---

    def note(self, fake, channel, operation, run, body):
        self.entry.update(channel=channel, operation=operation, run=run, body=body, at=self.arrived - fake.began,
                          headers=dict(self.headers))
        with fake.lock:
            fake.requests.append(self.entry)
            fake.counts[operation or channel] += 1
            if channel != "upload":
                fake.pace(self.silence_key(), self.arrived)

    def silence_key(self):
        return self.entry["channel"], self.entry["operation"], self.entry["run"]

    def fault_before(self, fake, channel, operation, run):
        with fake.lock:
            if channel != "upload" and (wait_s := fake.over_limit(self.arrived)):
                fake.limited += 1
                raise self.refuse(fake, Answer(429, {"error": "rate limit exceeded"}, {"Retry-After": f"{wait_s:.3f}"}))
            self.fault = fault = fake.faults.take(channel, operation, run)
        if fault and fault.reset == "before":
            self.reset()
        if fault and fault.status:
            body = {"error": http.HTTPStatus(fault.status).phrase} if fault.body is None else fault.body
            wait = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            with fake.lock:
                raise self.refuse(fake, Answer(fault.status, body, {**wait, **fault.headers}))

    def refuse(self, fake, answer):
        """Remembers for how long the server has asked for silence, unless nobody is there to hear it."""
        with contextlib.suppress(KeyError, ValueError):
            self.must_live()
            fake.ask_silence(self.silence_key(), answer.headers["Retry-After"])
        return answer

    def fault_after(self, answer):
        fault, fake = self.fault, self.server.fake
        if fault:
            end = time.monotonic() + fault.slow_s
            while (left_s := end - time.monotonic()) > 0 and not self.is_gone():
                time.sleep(min(left_s, 0.05))
            if fault.reset == "after":
                self.reset()
            if fault.malformed:
                answer = Answer(200, '{"data": {"ups')
            answer.headers.update(fault.headers)
            if str(fault.headers.get("RateLimit-Remaining")) == "0":
                with fake.lock:
                    self.must_live()
                    fake.ask_silence("all", fault.headers["RateLimit-Reset"])
        raise answer

    def reset(self):
        self.done()
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionResetError("as the test asked")

    def done(self):
        """The request is no longer in flight: before its client can know."""
        if self.stream_of:
            with self.server.fake.lock:
                self.stream_of.end(self)

    def answer(self, answer):
        self.done()
        self.entry["status"] = answer.status
        cut = self.fault and self.fault.truncated and answer.status == 200
        lines = [f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}",
                 "Content-Type: application/json", f"Content-Length: {len(answer.data)}",
                 *(f"{name}: {value}" for name, value in answer.headers.items())]
        data = answer.data[:len(answer.data) // 2] if cut else answer.data
        self.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if self.command == "HEAD" else data))
        self.close_connection = self.close_connection or bool(cut)


class HttpServer(http.server.ThreadingHTTPServer):
    daemon_threads, allow_reuse_address, request_queue_size, block_on_close = True, True, 512, False

    def __init__(self, fake, port):
        self.fake, self.open = fake, set()
        super().__init__(("127.0.0.1", port), Handler)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                self.process_request(*self.socket.accept())

    def process_request(self, request, client_address):
        self.open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self.open.discard(request)
        with contextlib.suppress(OSError):  # close() sends the reset if one was asked for
            request.close()

    def handle_error(self, *_):
        if not isinstance(sys.exc_info()[1], OSError):
            self.fake.records.violations.append(f"the fake server failed: {sys.exc_info()[1]!r}")
            super().handle_error(*_)


class FakeWandb:
    """See README.md for how a test uses it."""

    def __init__(self, key=KEY, tls=None, host="127.0.0.1", port=0, seed=1, **records):
        self.key, self.host, self.port, self.lock = key, host, port, threading.RLock()
        self.authorization = "Basic " + base64.b64encode(f"api:{key}".encode()).decode()
        self.records, self.faults = Records(**records), Faults(seed)
        self.features, self.upload_headers, self.relative_uploads = [], ["x-ms-blob-type:BlockBlob"], False
        self.ignored_paths = {"/sdk/otel/v1/metrics"} if self.records.lenient else set()
        self.tls = None
        if tls:  # (certificate, key), see make_certificates()
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*map(str, tls))
        self.requests, self.counts = collections.deque(maxlen=KEPT_REQUESTS), collections.Counter()
        self.wrong_key_expected, self.unauthorized, self.proxied, self.limited = False, 0, 0, 0
        self.silence, self.began = {}, time.monotonic()
        self.limit_per_s = None
        self.graphql, self.http, self.thread = Executor(self), None, None

    # --- its life ---

    def up(self):
        self.http = HttpServer(self, self.port)
        self.port = self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.accept, daemon=True)
        self.thread.start()
        return self

    def down(self):
        """Closes its socket and every connection; what it holds stays, and up() serves it at the same port."""
        if self.http:
            self.http.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
            self.thread.join()
            self.http.server_close()
            for connection in list(self.http.open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.http = None

    def __enter__(self):
        return self.up()

    def __exit__(self, *_):
        self.down()

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    def env(self, **more):
        """The environment of a client."""
        return {"WANDB_BASE_URL": self.url, "WANDB_API_KEY": self.key, **more}

    # --- what requests need ---

    def signature(self, key, name):
        return "signature=" + hashlib.sha256("/".join([self.key, *key, name]).encode()).hexdigest()[:32]

    def upload_url(self, run, name):
        key = (run.entity, run.project, run.name)
        path = "/".join(urllib.parse.quote(part, safe="") for part in key) + "/" + urllib.parse.quote(name)
        return f"{'' if self.relative_uploads else self.url}/storage/{path}?{self.signature(key, name)}"

    def pace(self, key, arrived):
        """Breach for a client that was told to wait and did not."""
        for what in key, "all":
            since, until = self.silence.get(what, (0, 0))
            if since + (GRACE_S if what == "all" else 0) < arrived < until - 0.005:
                self.records.violations.append(
                    f"{what}: a request {until - arrived:.3f} s before the time we asked for")

    def ask_silence(self, what, seconds):
        self.silence[what] = (time.monotonic(), time.monotonic() + float(seconds))

    def over_limit(self, at):
        """Seconds to wait if this request is one too many, else 0."""
        if self.limit_per_s is None:
            return 0
        self.tokens = min(self.limit_burst, self.tokens + (at - self.filled_at) * self.limit_per_s)
        self.filled_at = at
        if self.tokens >= 1:
            self.tokens -= 1
            return 0
        return (1 - self.tokens) / self.limit_per_s

    # --- what a test asks for ---

    def limit(self, per_s, burst=10):
        """At most so many requests a second, 429 and Retry-After for the rest; None: no limit."""
        with self.lock:
            self.limit_per_s, self.limit_burst, self.tokens, self.filled_at = per_s, burst, burst, time.monotonic()

    def fault(self, **members):
        with self.lock:
            return self.faults.add(**members)

    def random_faults(self, chance, **members):
        with self.lock:
            self.faults.add_random(chance, **members)

    def no_more_faults(self):
        with self.lock:
            self.faults.clear()
            self.silence.clear()

    def forget_silence(self):
        """After a client was killed: its successor knows nothing of a Retry-After."""
        with self.lock:
            self.silence.clear()

    def press(self, sweep, state):
        """A button of the sweep's page: PAUSED, RUNNING, FINISHED (stop) or CANCELED."""
        with self.lock:
            next(s for s in self.records.sweeps.values() if sweep in (s.name, s.id)).state = state

    def stop_run(self, run):
        """The button of a run's page."""
        with self.lock:
            next(r for r in self.records.runs.values() if r.name == run).stopped = True

    def state(self):
        """A copy of all it holds, as JSON has it."""
        with self.lock:
            return json.loads(json.dumps({**self.records.dump(), "counts": self.counts, "limited": self.limited,
                                          "unauthorized": self.unauthorized, "faults": self.faults.used}))

    def run_state(self, *key):
        """The same of one run (entity, project, id), or None."""
        with self.lock:
            run = self.records.runs.get(key)
            return json.loads(json.dumps(run.dump())) if run else None

    def check(self):
        """What every test ends with."""
        with self.lock:
            assert not self.records.violations, "\n".join(self.records.violations)

    def control(self, method, what, data):
        """The same for other processes: /fake/WHAT."""
        members = json.loads(data or b"{}")
        verbs = {"fault": self.fault, "random": self.random_faults, "clear": self.no_more_faults, "press": self.press,
                 "stop": self.stop_run, "forget": self.forget_silence, "limit": self.limit}
        if method == "GET" and what == "state":
            return Answer(200, self.state())
        if method == "GET" and what == "requests":
            with self.lock:
                return Answer(200, list(self.requests))
        if method == "POST" and what in verbs:
            verbs[what](**members)
            return Answer(200, {})
        return Answer(404, {"error": "not found"})


def openssl(directory, *arguments):
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)


def make_certificates(directory, name="127.0.0.1"):
    """ca.pem, and a certificate for `name` that it signed: (certificate, key)."""
    kind = "IP" if name.replace(".", "").isdigit() else "DNS"
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(directory, "req", "-x509", *ec, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=a test")
    openssl(directory, "req", *ec, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={name}")
    (directory / "server.ext").write_text(f"subjectAltName={kind}:{name}\n")
    openssl(directory, "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-days", "2", "-out", "server.pem", "-extfile", "server.ext")
    return directory / "server.pem", directory / "server.key"


def main():
    parser = argparse.ArgumentParser(description="a strict fake W&B server")
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--key", default=KEY, help="the only API key it takes (default: %(default)s)")
    parser.add_argument("--dump", metavar="FILE", help="where its final state is written when it is ended")
    parser.add_argument("--fault", action="append", default=[], metavar="JSON", help="as in faults.py")
    parser.add_argument("--random", type=float, metavar="CHANCE", help="random faults")
    options = parser.parse_args()
    fake = FakeWandb(key=options.key, port=options.port)
    for text in options.fault:
        fake.fault(**json.loads(text))
    if options.random:
        fake.random_faults(options.random)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    with fake:
        print(f"WANDB_BASE_URL={fake.url} WANDB_API_KEY={fake.key}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    if options.dump:
        with open(options.dump, "w", encoding="utf-8") as file:
            json.dump(fake.state(), file, indent=1)
    print("\n".join(fake.records.violations) or "no violations", file=sys.stderr)
    sys.exit(bool(fake.records.violations))


if __name__ == "__main__":
    main()
