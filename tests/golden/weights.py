"""Small files of weights in every form that worker/weights.h reads, and what is in them: weights/*.

Written by torch.save(), but the tar form, which no torch writes any more, and two kinds of zip: those are put together
here.  Every .pth is read back by torch.load()."""
import collections
import io
import json
import pathlib
import pickle
import struct
import tarfile
import zipfile

import torch

HERE = pathlib.Path(__file__).parent / "weights"


def tensors():
    base = torch.arange(12, dtype=torch.float32)
    return collections.OrderedDict([
        ("conv1.weight", torch.arange(54, dtype=torch.float32).reshape(2, 3, 3, 3) / 10),
        ("bn1.weight", torch.tensor([1.0, 2.0])),
        ("bn1.running_var", torch.tensor([0.5, 0.25])),
        ("bn1.num_batches_tracked", torch.tensor(7)),
        ("view.T", base.reshape(3, 4).t()),  # one storage, strided and with an offset
        ("view.off", base[4:8]),
        ("view.spread", torch.tensor([3.0]).expand(4)),  # stride 0
        ("half", torch.tensor([1.5, -2.0, 65504.0, 6e-8, float("inf"), float("nan")]).half()),
        ("bf16", torch.tensor([1.5, -2.0, 1e30]).bfloat16()),
        ("double", torch.tensor([0.1, -1e300], dtype=torch.float64)),
        ("none", torch.empty(0, 3)),
        ("mask", torch.tensor([True, False])),
        ("fc.bias", torch.nn.Parameter(torch.tensor([3.0]))),
    ])


def truth(state):
    return {name: {"dtype": str(v.dtype).removeprefix("torch."), "shape": list(v.shape),
                   "data": [repr(x) for x in v.detach().double().flatten().tolist()]} for name, v in state.items()}


def keep(name, data, expected):
    """expected: the state dict that must come back, below the keys of `inside`."""
    (HERE / name).write_bytes(data)
    loaded = torch.load(HERE / name, map_location="cpu")
    for key in ("state_dict", "model"):
        loaded = loaded.get(key, loaded)
    assert list(loaded) == list(expected), name
    for key, value in expected.items():
        assert loaded[key].dtype == value.dtype and torch.equal(torch.nan_to_num(loaded[key].detach().double()),
                                                                torch.nan_to_num(value.detach().double())), (name, key)


def saved(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def parts(data):
    """Entries, central directory and number of entries of an archive by torch."""
    count, size, place = struct.unpack("<HII", data[-12:-2])
    return data[:place], bytearray(data[place:place + size]), count


def without_zip64(data):
    """The same archive without ZIP64's end record, as an ordinary zip program writes it."""
    entries, directory, count = parts(data)
    closing = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, count, count, len(directory), len(entries), 0)
    return entries + directory + closing


def with_zip64(data):
    """The same archive as if it were large: sizes and place of the first entry in its ZIP64 extra field alone, everything
    in ZIP64's end record alone."""
    entries, directory, count = parts(data)
    n, extra = struct.unpack("<HH", directory[28:32])
    (length,) = struct.unpack("<I", directory[24:28])
    (offset,) = struct.unpack("<I", directory[42:46])
    directory[20:28] = b"\xff" * 8
    directory[42:46] = b"\xff" * 4
    directory[30:32] = struct.pack("<H", extra + 28)
    directory[46 + n:46 + n] = struct.pack("<HHQQQ", 1, 24, length, length, offset)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), len(entries))
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, len(entries) + len(directory), 1)
    closing = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 0xffff, 0xffff, 0xffffffff, 0xffffffff, 0)
    return entries + directory + end64 + locator + closing


# --- the tar form (torch/serialization.py, legacy_load) ---


def name_op(module, name):
    return f"c{module}\n{name}\n".encode()


def text_op(text):
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def head(key, second, type_name):
    """pickle((key, second, torch.type_name))"""
    return b"\x80\2" + (pickle.dumps(key, 2)[2:-1] + (pickle.dumps(second, 2)[2:-1].replace(b"q\0", b"")) +
                        name_op("torch", type_name) + b"\x87.")


def tar_form(state):
    """Keys as the addresses that torch 0.1 took; all tensors float32."""
    storages, members, entries = [], [], []
    for i, (name, value) in enumerate(state.items()):
        storage_key, key = 94117538124528 + 64 * i, 94117538224000 + 64 * i
        data = value.detach().storage()
        storages.append(head(storage_key, "cpu", "FloatStorage") + struct.pack("<q", len(data)) +
                        struct.pack(f"<{len(data)}f", *data))
        members.append(head(key, storage_key, "FloatTensor") + struct.pack("<ii", value.dim(), 0) +
                       struct.pack(f"<{2 * value.dim()}q", *value.shape, *value.stride()) +
                       struct.pack("<q", value.storage_offset()))
        persistent = text_op(str(key)) + b"Q"
        if isinstance(value, torch.nn.Parameter):
            persistent = (name_op("torch.nn.parameter", "Parameter") + b")\x81(" + persistent + b"NN\x88\x89tb")
        entries.append(text_op(name) + persistent)
    contents = {
        "sys_info": pickle.dumps({"protocol_version": 1000, "little_endian": True,
                                  "type_sizes": {"short": 2, "int": 4, "long": 4}}, 2),
        "pickle": b"\x80\2" + name_op("collections", "OrderedDict") + b")R(" + b"".join(entries) + b"u.",
        "tensors": pickle.dumps(len(members), 2) + b"".join(members),
        # one more storage: a view of the first
        "storages": pickle.dumps(len(storages), 2) + b"".join(storages) +
        pickle.dumps([(94117538124521, 94117538124528, 1, 2)], 2),
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            info.pax_headers = {"mtime": "1481224400.5"}
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


# --- safetensors ---

ST_NAMES = {torch.float32: "F32", torch.float64: "F64", torch.float16: "F16", torch.bfloat16: "BF16",
            torch.int64: "I64", torch.bool: "BOOL"}


def safetensors(state):
    header, data = {"__metadata__": {"format": "pt"}}, b""
    for name, value in sorted(state.items(), key=lambda item: -item[1].element_size()):
        flat = value.detach().contiguous().flatten()
        raw = flat.view(torch.int16).numpy().tobytes() if value.dtype == torch.bfloat16 else flat.numpy().tobytes()
        header[name] = {"dtype": ST_NAMES[value.dtype], "shape": list(value.shape),
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def main():
    HERE.mkdir(exist_ok=True)
    state = tensors()
    floats = collections.OrderedDict((k, v) for k, v in state.items() if v.dtype == torch.float32 and v.numel())
    keep("zip.pth", saved(state), state)
    keep("zip64.pth", with_zip64(saved(state)), state)
    keep("zip_plain.pth", without_zip64(saved(state)), state)
    keep("legacy.pth", saved(state, _use_new_zipfile_serialization=False), state)
    keep("tar.pth", tar_form(floats), floats)
    module = {"module." + name: value for name, value in state.items()}
    nested = {"epoch": 3, "state_dict": module, "lr": 0.1, "best": None,
              "optimizer": {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"params": [0]}]}}
    keep("nested.pth", saved(nested), module)
    keep("nested_legacy.pth", saved(dict(nested, model=nested.pop("state_dict")), _use_new_zipfile_serialization=False),
         module)
    (HERE / "all.safetensors").write_bytes(safetensors(state))
    (HERE / "truth.json").write_text(json.dumps(truth(state), indent=0) + "\n")
    for path in HERE.glob("zip*.pth"):
        with zipfile.ZipFile(path) as z:
            assert z.testzip() is None, path


if __name__ == "__main__":
    main()
