"""The networks of worker/model.c in torch's terms: torchvision's own classes, so that names and shapes of the state dict
are torchvision's.  For the generators here and for tests that compare with torch; needs Debian's python3-torchvision."""
import torch
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

MODELS = {  # block, blocks per stage, width of the first stage
    "resnet8": (BasicBlock, [1, 1, 1], 16), "resnet20": (BasicBlock, [3, 3, 3], 16),
    "resnet18": (BasicBlock, [2, 2, 2, 2], 64), "resnet34": (BasicBlock, [3, 4, 6, 3], 64),
    "resnet50": (Bottleneck, [3, 4, 6, 3], 64),
}
STEMS = ["cifar", "imagenet"]


class Narrow(ResNet):
    """torchvision's ResNet with three stages from `width` channels on: its own blocks, names and projections."""

    def __init__(self, blocks, width, classes):
        super().__init__(BasicBlock, [1, 1, 1, 1], num_classes=classes)
        self.inplanes = width
        self.conv1 = torch.nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(width)
        self.layer1 = self._make_layer(BasicBlock, width, blocks[0])
        self.layer2 = self._make_layer(BasicBlock, 2 * width, blocks[1], stride=2)
        self.layer3 = self._make_layer(BasicBlock, 4 * width, blocks[2], stride=2)
        self.layer4 = torch.nn.Identity()
        self.fc = torch.nn.Linear(4 * width, classes)


def build(model, stem, classes):
    block, blocks, width = MODELS[model]
    net = ResNet(block, blocks, num_classes=classes) if len(blocks) == 4 else Narrow(blocks, width, classes)
    if stem == "cifar":
        net.conv1 = torch.nn.Conv2d(3, width, 3, 1, 1, bias=False)
        net.maxpool = torch.nn.Identity()
    return net
