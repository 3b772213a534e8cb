"""Reads .wandb files without W&B's code: the log's blocks and checksums, and the messages' fields by their numbers."""
import binascii
import json
import struct

BLOCK, CHUNK_HEAD, FILE_HEAD = 32768, 7, b":W&B\xe1\xbe\x00"
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4
KINDS = {2: "history", 3: "summary", 6: "files", 7: "stats", 11: "telemetry", 12: "metric", 13: "output_raw", 17: "run",
         18: "exit", 20: "final", 21: "header", 22: "footer"}


def chunks(data):
    assert data[:len(FILE_HEAD)] == FILE_HEAD
    at = len(FILE_HEAD)
    while at < len(data):
        left = BLOCK - at % BLOCK
        if left < CHUNK_HEAD:
            assert not any(data[at:at + left])
            at += left
            continue
        crc, size, kind = struct.unpack_from("<IHB", data, at)
        body = data[at + CHUNK_HEAD:at + CHUNK_HEAD + size]
        assert len(body) == size and CHUNK_HEAD + size <= left
        assert crc == binascii.crc32(bytes([kind]) + body)
        yield kind, body
        at += CHUNK_HEAD + size


def payloads(data):
    parts = []
    for kind, body in chunks(data):
        assert (kind in (FULL, FIRST)) == (not parts)
        parts.append(body)
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []
    assert not parts, "the file ends in the middle of a record"


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7f) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data):
    """[(number, value)]: int, or bytes."""
    at, found = 0, []
    while at < len(data):
        tag, at = varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(data, at)
        elif wire == 1:
            value, at = data[at:at + 8], at + 8
        else:
            assert wire == 2, wire
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        found.append((number, value))
    return found


def first(message, number, otherwise=None):
    return next((value for n, value in message if n == number), otherwise)


def text(message, number):
    value = first(message, number)
    return None if value is None else value.decode()


def items(message, number):
    """{key: JSON text} of repeated items."""
    found = [fields(value) for n, value in message if n == number]
    return {text(item, 1): text(item, 16) for item in found}


def seconds(message, number):
    stamp = fields(first(message, number))
    return first(stamp, 1) + first(stamp, 2, 0) / 1e9


def read(path):
    """{kind: [what the record holds]} and the kinds in their order."""
    records, order = {}, []
    for number, payload in enumerate(payloads(path.read_bytes()), 1):
        record = fields(payload)
        assert first(record, 1) == number
        (which, body), = [(n, v) for n, v in record if n != 1]
        kind, message = KINDS[which], fields(body)
        order.append(kind)
        records.setdefault(kind, []).append(DECODE.get(kind, list)(message))
    return records, order


def number_of(value):
    return json.loads(value)  # NaN, Infinity and -Infinity too


def run(message):
    config = {key: json.loads(value) for key, value in items(fields(first(message, 4)), 1).items()}
    return {"run_id": text(message, 1), "entity": text(message, 2), "project": text(message, 3), "config": config,
            "group": text(message, 6), "job_type": text(message, 7), "name": text(message, 8), "notes": text(message, 9),
            "tags": [value.decode() for n, value in message if n == 10], "sweep": text(message, 12),
            "host": text(message, 13), "started": seconds(message, 17)}


DECODE = {
    "run": run,
    "history": lambda m: {"step": first(fields(first(m, 2)), 1), **{k: number_of(v) for k, v in items(m, 1).items()}},
    "summary": lambda m: {k: number_of(v) for k, v in items(m, 1).items()},
    "stats": lambda m: {"at": seconds(m, 2), **{k: number_of(v) for k, v in items(m, 3).items()}},
    "output_raw": lambda m: (first(m, 1), seconds(m, 2), text(m, 3)),
    "exit": lambda m: {"exit_code": first(m, 1), "runtime": first(m, 2)},
    "files": lambda m: [(text(fields(v), 1), first(fields(v), 2), first(fields(v), 3)) for n, v in m if n == 1],
    "metric": lambda m: (text(m, 1), text(m, 4)),
}
