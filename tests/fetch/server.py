"""A file server that misbehaves on demand.  What is asked is kept in `requests`."""
import hashlib
import itertools
import socket
import ssl
import struct
import subprocess
import threading

CHUNK = 16384


class File:
    def __init__(self, data, etag=None, modified=None, ranges=True, if_range=True):
        self.data, self.ranges, self.if_range = data, ranges, if_range
        self.etag = f'"{hashlib.md5(data).hexdigest()}"' if etag is None else etag
        self.modified = modified


class Request:
    def __init__(self, connection):
        self.connection = connection
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            more = connection.recv(CHUNK)
            if not more:
                raise ConnectionError("no request")
            self.head += more
        lines = self.head.decode().split("\r\n")
        self.method, self.path, _ = lines[0].split(" ")
        self.headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:] if ": " in line)}
        self.range = self.headers.get("range")
        self.status = None

    def send(self, data):
        self.connection.sendall(data)

    def begin(self, status, **headers):
        self.status = status
        lines = [f"HTTP/1.1 {status} X", "Connection: close"]
        lines += [f"{k.replace('_', '-')}: {v}" for k, v in headers.items() if v]
        self.send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def reset(self):
        """The other side sees a broken connection, not an end."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


class Server:
    def __init__(self, tls=None):
        self.files = {}     # path -> File
        self.faults = {}    # path -> list of functions(server, request), one for each request; then it behaves
        self.requests = []
        self.release = threading.Event()  # ends those that hang
        self.hanging = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=32)
        self.port = self.socket.getsockname()[1]
        self.tls = tls
        self.url = f"{'https' if tls else 'http'}://localhost:{self.port}/"
        threading.Thread(target=self.accept, daemon=True).start()

    def add(self, path, data, **kw):
        self.files["/" + path] = File(data, **kw)

    def fault(self, path, *functions):
        self.faults.setdefault("/" + path, []).extend(functions)

    def ranges(self, path):
        return [r.range for r in self.requests if r.path == "/" + path]

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            request = Request(connection)
            self.requests.append(request)
            faults = self.faults.get(request.path)
            (faults.pop(0) if faults else well)(self, request)
        except OSError:
            pass
        finally:
            connection.close()

    def stop(self):
        self.release.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


def describe(file):
    return {"ETag": file.etag, "Last-Modified": file.modified}


def part_of(server, request):
    """The file, the range to send, the status."""
    file = server.files.get(request.path)
    if file is None:
        return None, 0, 404
    wanted = request.headers.get("if-range")
    same = wanted is None or wanted in (file.etag, file.modified) or not file.if_range
    if request.range and file.ranges and same:
        at = int(request.range.removeprefix("bytes=").rstrip("-"))
        return file, at, 206 if at < len(file.data) else 416
    return file, 0, 200


def head(server, request, length=None):
    file, at, status = part_of(server, request)
    if status == 404:
        request.begin(404, Content_Length=9)
        request.send(b"not found")
        return None
    if status == 416:
        request.begin(416, Content_Range=f"bytes */{len(file.data)}", Content_Length=0)
        return None
    body = file.data[at:]
    headers = describe(file)
    if status == 206:
        headers["Content-Range"] = f"bytes {at}-{len(file.data) - 1}/{len(file.data)}"
    request.begin(status, Content_Length=len(body) if length is None else length, **headers)
    return body


def well(server, request):
    body = head(server, request)
    if body:
        request.send(body)


def broken_after(n, reset=False):
    """Sends so many bytes of what it promised."""
    def fault(server, request):
        body = head(server, request)
        if body is not None:
            request.send(body[:n])
            if reset:
                request.reset()
    return fault


def then(fault, action):
    def both(server, request):
        fault(server, request)
        action()
    return both


def lying_length(length):
    def fault(server, request):
        body = head(server, request, length)
        request.send(body)
    return fault


def without_length(extra=b""):
    """Chunked: the end is known, the length is not."""
    def fault(server, request):
        file = server.files[request.path]
        request.begin(200, Transfer_Encoding="chunked", **describe(file))
        data = file.data + extra
        for i in range(0, len(data), CHUNK):
            piece = data[i:i + CHUNK]
            request.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        request.send(b"0\r\n\r\n")
    return fault


def until_close(server, request):
    """Neither length nor chunks: a broken connection looks like the end."""
    file = server.files[request.path]
    request.begin(200, **describe(file))
    request.send(file.data[:len(file.data) // 2])


def answers(data, **headers):
    def fault(server, request):
        request.begin(200, Content_Length=len(data), **headers)
        request.send(data)
    return fault


def status(code, **headers):
    def fault(server, request):
        request.begin(code, Content_Length=0, **headers)
    return fault


def redirects(url, **headers):
    return status(302, Location=url, **headers)


def other_range(server, request):
    """206, but not the part that was asked for."""
    file = server.files[request.path]
    request.begin(206, Content_Length=10, Content_Range=f"bytes 0-9/{len(file.data)}", **describe(file))
    request.send(file.data[:10])


def hangs(n=None):
    """Says nothing, or nothing more after so many bytes, until the test ends."""
    def fault(server, request):
        if n is not None:
            body = head(server, request)
            request.send(body[:n])
        server.hanging.set()
        server.release.wait(60)
    return fault


def garbage(server, request):
    request.send(bytes(range(256)) * 8)
    request.status = 0


def make_authority(directory, name):
    """An authority of our own (ca.pem) and a server certificate for that host name; the server's TLS context."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=tests")
    openssl("req", *key, "-keyout", "server.key", "-out", "server.csr", "-subj", f"/CN={name}")
    (directory / "names").write_text(f"subjectAltName=DNS:{name}\n")
    openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
            "-extfile", "names", "-out", "server.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem", directory / "server.key")
    return context


def noise(size, seed=1):
    """Bytes that do not shrink and are the same in every run."""
    blocks = (hashlib.sha256(f"{seed}/{i}".encode()).digest() for i in itertools.count())
    return b"".join(itertools.islice(blocks, size // 32 + 1))[:size]
