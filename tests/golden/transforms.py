#!/usr/bin/python3
"""Makes transforms.json: what torchvision computes on PIL images, as the first 16 hex digits of the SHA-256 of the result's
bytes (pixels interleaved; float tensors as they are), and what its transforms draw, as histograms.

Needs Debian's python3-torchvision (0.14.1, Pillow 9.4).  Takes a minute."""
import hashlib
import json
import math
import pathlib

import numpy
import torch
from PIL import Image
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import TrivialAugmentWide, _apply_op


HERE = pathlib.Path(__file__).parent
MEAN, STD = (.5071, .4867, .4408), (.2675, .2565, .2761)
FACTORS = [0, .2, .4, .8, 1, 1.2, 1.9, 5]
HUES = [-.5, -.3, -.1, -.003, 0, .003, .1, .25, .5]
BOXES = [(3, 5, 20, 24), (0, 0, 32, 32), (31, 0, 1, 32), (0, 31, 32, 1), (10, 11, 1, 1), (7, 0, 25, 9), (16, 16, 16, 16)]
SIZES = [32, 64, 224]
DRAWS = 200000


def digest(array):
    return hashlib.sha256(numpy.ascontiguousarray(array).tobytes()).hexdigest()[:16]


def splitmix64(z):
    mask = (1 << 64) - 1
    z = (z + 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def noise(size):
    values = [splitmix64((2000 << 32) + i) >> 56 for i in range(size * size * 3)]
    return numpy.array(values, numpy.uint8).reshape(size, size, 3)


def images(size):
    """kind -> (size, size, 3) bytes; the same in tests/unit/augment_pillow_test.c."""
    byte = noise(size)
    y, x = numpy.mgrid[0:size, 0:size]
    last = size - 1
    base = numpy.stack([x * 255 // last, y * 255 // last, (x + y) * 255 // (2 * last)], -1)
    smooth = ((base * 3 + byte) // 4).astype(numpy.uint8)
    return {"smooth": smooth, "noise": byte, "gray": numpy.repeat(smooth[..., :1], 3, -1), "faint": 100 + smooth // 16,
            "two": numpy.where(byte > 127, 203, 17).astype(numpy.uint8)}


def colours(image):
    return {"brightness": [digest(F.adjust_brightness(image, f)) for f in FACTORS],
            "contrast": [digest(F.adjust_contrast(image, f)) for f in FACTORS],
            "saturation": [digest(F.adjust_saturation(image, f)) for f in FACTORS],
            "sharpness": [digest(F.adjust_sharpness(image, f)) for f in FACTORS],
            "hue": [digest(F.adjust_hue(image, h)) for h in HUES]}


def linspace(torchs):
    """torch.linspace()'s formula in float32.  What torch itself gives depends on the processor in the last bit."""
    f, first, last = numpy.float32, numpy.float32(torchs[0]), numpy.float32(torchs[-1])
    step = (last - first) / f(30)
    made = [first + step * f(i) if i < 15 else last - step * f(30 - i) for i in range(31)]
    assert numpy.allclose(made, torchs, rtol=2e-7, atol=0)
    return [float(v) for v in made]


def trivial_magnitudes():
    space = TrivialAugmentWide()._augmentation_space(31)
    return {name: (linspace(m.numpy()) if m.is_floating_point() and m.ndim else m.tolist() if m.ndim else [0.0] * 31, signed)
            for name, (m, signed) in space.items()}


def apply(image, name, magnitude):
    return _apply_op(image, name, float(magnitude), interpolation=InterpolationMode.NEAREST, fill=None)


def trivial(image, bins):
    """name -> a digest per bin, of a signed operation two: +, -."""
    return {name: [digest(apply(image, name, magnitudes[b] * sign)) for b in bins for sign in ((1, -1) if signed else (1,))]
            for name, (magnitudes, signed) in trivial_magnitudes().items()}


def places(image):
    """Of the 32x32 image."""
    made = {"crop": [digest(F.hflip(crop) if flip else crop) for i in range(9) for j in range(9)
                     for crop in [F.crop(F.pad(image, [4]), i, j, 32, 32)] for flip in (False, True)]}
    for size in SIZES:
        crops = [F.resized_crop(image, *box, [size, size]) for box in BOXES]
        made[f"resized_{size}"] = [digest(F.hflip(crop) if flip else crop) for crop in crops for flip in (False, True)]
    for size in SIZES[1:]:
        side = size * 8 // 7
        large, slack = F.resize(image, [side]), side - size
        made[f"centre_{size}"] = digest(F.center_crop(large, [size, size]))
        made[f"large_{size}"] = [digest(F.crop(large, i, j, size, size)) for i, j in ((0, 0), (slack, 0), (1, slack), (3, 5))]
    return made


# --- whole images, with the draws of worker/sample_draw.h ---

def bits(key, counter):
    seed, sample, epoch = key
    return philox4(seed, sample, epoch, 1, counter)


def philox4(key, c0, c1, c2, c3):
    k0, k1, low = key & 0xFFFFFFFF, key >> 32, 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & low, (p0 >> 32) ^ c3 ^ k1, p0 & low
        k0, k1 = (k0 + 0x9E3779B9) & low, (k1 + 0xBB67AE85) & low
    return c0, c1, c2, c3


def below(v, n):
    return v * n >> 32


def between(v, low, high):
    return low + (high - low) * (v / 2**32)


def draw_resized(key, image, size, scale):
    for t in range(10):
        r = bits(key, 0x100 + t)
        area, ratio = 1024 * between(r[0], scale, 1), math.exp(between(r[1], math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= 32 and 0 < h <= 32:
            return F.resized_crop(image, below(r[2], 33 - h), below(r[3], 33 - w), h, w, [size, size])
    return F.resized_crop(image, 0, 0, 32, 32, [size, size])


def draw_place(key, image, size, crop, scale):
    r = bits(key, 0)
    if crop == "resized":
        image = draw_resized(key, image, size, scale)
    elif size == 32:
        image = F.crop(F.pad(image, [4]), below(r[0], 9), below(r[1], 9), 32, 32)
    else:
        side = size * 8 // 7
        slack = side - size + 1
        image = F.crop(F.resize(image, [side]), below(r[0], slack), below(r[1], slack), size, size)
    return F.hflip(image) if r[2] >> 31 else image


def draw_jitter(key, image, jitter):
    p, r = bits(key, 0x200), bits(key, 0x201)
    order = [0, 1, 2, 3]
    for i in (3, 2, 1):
        j = below(p[i], i + 1)
        order[i], order[j] = order[j], order[i]
    for which in order:
        if jitter[which] == 0:
            continue
        width, middle = float(numpy.float32(jitter[which])), 0 if which == 3 else 1
        low = middle - width if which == 3 else max(0, middle - width)
        factor = float(numpy.float32(between(r[which], low, middle + width)))
        image = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)[which](image, factor)
    return image


def draw_trivial(key, image):
    r, space = bits(key, 0x300), trivial_magnitudes()
    name = list(space)[below(r[0], 14)]
    magnitudes, signed = space[name]
    return apply(image, name, magnitudes[below(r[1], 31)] * (-1 if signed and r[2] >> 31 else 1))


def draw_erasing(key, x, p):
    size = x.shape[-1]
    if bits(key, 0x400)[0] / 2**32 >= float(numpy.float32(p)):
        return x
    for t in range(10):
        r = bits(key, 0x401 + t)
        area, ratio = size * size * between(r[0], .02, .33), math.exp(between(r[1], math.log(.3), math.log(3.3)))
        h, w = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if h < size and w < size:
            return F.erase(x, below(r[2], size - h + 1), below(r[3], size - w + 1), h, w, torch.zeros(1, 1, 1))
    return x


def draw_cutout(key, x, side):
    size = x.shape[-1]
    r = bits(key, 0x500)
    y, c = below(r[0], size) - side // 2, below(r[1], size) - side // 2
    x = x.clone()
    x[:, max(y, 0):y + side, max(c, 0):c + side] = 0
    return x


PIPELINES = [
    {"size": 32, "crop": "random", "jitter": [.4, .4, .4, .1], "trivial": False, "erasing": .5, "cutout": 0},
    {"size": 32, "crop": "random", "jitter": [0, 0, 0, 0], "trivial": True, "erasing": .25, "cutout": 0},
    {"size": 32, "crop": "resized", "jitter": [0, .9, 0, .5], "trivial": True, "erasing": 0, "cutout": 16},
    {"size": 224, "crop": "resized", "jitter": [.2, .2, .2, 0], "trivial": True, "erasing": .9, "cutout": 0},
    {"size": 64, "crop": "random", "jitter": [0, 0, 0, 0], "trivial": True, "erasing": .1, "cutout": 7},
]


def pipeline(image, settings, count):
    made = []
    for sample in range(count):
        key = (0x123456789abcdef, sample, 3)
        x = draw_place(key, image, settings["size"], settings["crop"], .08)
        x = draw_jitter(key, x, settings["jitter"])
        if settings["trivial"]:
            x = draw_trivial(key, x)
        x = draw_erasing(key, F.normalize(F.to_tensor(x), MEAN, STD), settings["erasing"])
        if settings["cutout"]:
            x = draw_cutout(key, x, settings["cutout"])
        made.append(digest(x.numpy()))
    return {**settings, "digests": made}


# --- what is drawn ---

def histogram(values, bins):
    return numpy.bincount(numpy.array(values), minlength=bins).tolist()


def draws():
    torch.manual_seed(1)
    square, x = Image.new("RGB", (32, 32)), torch.ones(3, 32, 32)
    crops = [transforms.RandomResizedCrop.get_params(square, (.08, 1), (3 / 4, 4 / 3)) for _ in range(DRAWS)]
    boxes = [transforms.RandomErasing.get_params(x, (.02, .33), (.3, 3.3), [0.]) for _ in range(DRAWS)]
    jitter = [transforms.ColorJitter.get_params((.6, 1.4), (0, 1.9), (.8, 1.2), (-.1, .1)) for _ in range(20000)]
    beta = {str(a): torch.distributions.Beta(a, a).sample((DRAWS,)).numpy() for a in (.2, 1., 2.5)}
    return {"draws": DRAWS,
            "beta": {a: histogram(numpy.minimum((v * 20).astype(int), 19), 20) for a, v in beta.items()},
            "resized_crop": [histogram([c[k] for c in crops], 33) for k in range(4)],  # top, left, height, width
            "erasing": [histogram([b[k] for b in boxes], 33) for k in range(4)],
            "jitter_mean": [float(numpy.mean([j[k] for j in jitter])) for k in (1, 2, 3, 4)],
            "jitter_std": [float(numpy.std([j[k] for j in jitter])) for k in (1, 2, 3, 4)]}


def main():
    small, made = images(32), {"factors": FACTORS, "hues": HUES, "boxes": BOXES}
    for size in (32, 224):
        bins = range(31) if size == 32 else range(0, 31, 10)
        kinds = {kind: a for kind, a in images(size).items() if size == 32 or kind in ("smooth", "gray")}
        made[f"images_{size}"] = {kind: digest(a) for kind, a in kinds.items()}
        made[f"colours_{size}"] = {kind: colours(Image.fromarray(a)) for kind, a in kinds.items()}
        made[f"trivial_{size}"] = {kind: trivial(Image.fromarray(a), bins) for kind, a in kinds.items()}
    made["places"] = {kind: places(Image.fromarray(small[kind])) for kind in ("smooth", "noise")}
    made["normalized"] = digest(F.normalize(F.to_tensor(Image.fromarray(small["smooth"])), MEAN, STD).numpy())
    made["magnitudes"] = {name: m for name, (m, _) in trivial_magnitudes().items()}
    made["pipelines"] = [pipeline(Image.fromarray(small["smooth"]), s, 100 if s["size"] == 32 else 30) for s in PIPELINES]
    made["drawn"] = draws()
    rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in made.items())
    (HERE / "transforms.json").write_text("{" + rows + "}\n")


if __name__ == "__main__":
    main()
