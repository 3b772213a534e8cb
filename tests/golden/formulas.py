"""Numbers from formulas, the same here and in tests/unit/golden.c: weights and images of resnet.json, and what is kept
of a tensor."""
import math

import numpy

PROJECTIONS = 8


def splitmix64(z):
    with numpy.errstate(over="ignore"):
        z = z + numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        return z ^ (z >> numpy.uint64(31))


def stream(tid, n):
    return splitmix64((numpy.uint64(tid) << numpy.uint64(32)) + numpy.arange(n, dtype=numpy.uint64))


def u(tid, n):
    """resnet.json's `prng`, as float32."""
    return (stream(tid, n) >> numpy.uint64(40)).astype(numpy.float32) * numpy.float32(2.0**-23) - numpy.float32(1)


def scale_and_base(name, shape):
    if len(shape) == 4:
        return math.sqrt(6.0 / (shape[0] * shape[2] * shape[3])), 0
    if name == "fc.weight":
        return 1 / math.sqrt(shape[1]), 0
    if name.endswith("running_var"):
        return 0.5, 1
    return 0.1, 1 if name.endswith(".weight") else 0


def filled(tid, name, shape):
    """resnet.json's `fill`: the flat float32 values of tensor number tid of a state dict."""
    scale, base = scale_and_base(name, shape)
    values = numpy.float32(scale) * u(tid, int(numpy.prod(shape)))
    return numpy.float32(base) + values if base else values


def projections(values):
    """Of a flat array on PROJECTIONS vectors of +1 and -1, by the top bits of splitmix64 stream 3000: the mean square of
    the difference of two tensors' projections estimates the square of their Euclidean distance."""
    bits = (stream(3000, values.size) >> numpy.uint64(56)).astype(numpy.uint8)
    values = values.astype(numpy.float64)
    return [float(numpy.where(bits >> j & 1, values, -values).sum()) for j in range(PROJECTIONS)]


def stats(values):
    """What is kept of a tensor."""
    flat = values.astype(numpy.float64).ravel()
    return {"l2": shorter(float(numpy.linalg.norm(flat))), "proj": [shorter(p) for p in projections(flat)],
            "first": [shorter(v) for v in flat[:4].tolist()], "last": [shorter(v) for v in flat[-2:].tolist()]}


def shorter(value):
    """13 digits: ten times better than what is asked of anyone."""
    return float(f"{value:.13g}")
