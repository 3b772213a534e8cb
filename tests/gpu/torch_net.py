"""ResNets with torchvision's names and the CIFAR stem, in PyTorch alone; files and images for them."""
import json
import pathlib
import struct

import torch
from torch import nn
from torch.nn.functional import relu


class Basic(nn.Module):
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = shortcut(inputs, width, stride)

    def forward(self, x):
        y = self.bn2(self.conv2(relu(self.bn1(self.conv1(x)), inplace=True)))
        return relu(y + (self.downsample(x) if self.downsample else x), inplace=True)


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(4 * width)
        self.downsample = shortcut(inputs, 4 * width, stride)

    def forward(self, x):
        y = relu(self.bn2(self.conv2(relu(self.bn1(self.conv1(x)), inplace=True))), inplace=True)
        y = self.bn3(self.conv3(y))
        return relu(y + (self.downsample(x) if self.downsample else x), inplace=True)


def shortcut(inputs, outputs, stride):
    if stride == 1 and inputs == outputs:
        return None
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


class ResNet(nn.Module):
    def __init__(self, block, blocks, width, classes):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        inputs = width
        for i, n in enumerate(blocks):
            layers = []
            for j in range(n):
                layers.append(block(inputs, width << i, 2 if i and not j else 1))
                inputs = (width << i) * block.expansion
            setattr(self, f"layer{i + 1}", nn.Sequential(*layers))
        self.stages = len(blocks)
        self.fc = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x):
        x = relu(self.bn1(self.conv1(x)), inplace=True)
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return self.fc(x.mean((2, 3)))


def resnet(name, classes=100):
    kinds = {"resnet8": (Basic, (1, 1, 1), 16), "resnet18": (Basic, (2, 2, 2, 2), 64),
             "resnet50": (Bottleneck, (3, 4, 6, 3), 64)}
    return ResNet(*kinds[name], classes)


def read_safetensors(path):
    """A state dict of a file with fp32 tensors."""
    raw = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            begin, end = (8 + length + at for at in entry["data_offsets"])
            tensors[name] = torch.frombuffer(bytearray(raw[begin:end]), dtype=torch.float32).reshape(entry["shape"])
    return tensors


def load_start(net, path):
    missing, unexpected = net.load_state_dict(read_safetensors(path), strict=False)
    wrong = [name for name in missing if not name.endswith("num_batches_tracked")] + list(unexpected)
    if wrong:
        raise SystemExit(f"{path} is not of this network: {wrong[:3]}")


def optimizer_of(net, lr, device):
    return torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9, weight_decay=5e-4,
                           **({"fused": True} if device == "cuda" else {}))
