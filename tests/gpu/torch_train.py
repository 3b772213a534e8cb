"""PyTorch's side of the comparison.  Prints one line of JSON.

    torch_train.py steps DIR      the losses of the steps that trajectory exported to DIR
    torch_train.py epochs DIR     test accuracy after each epoch of CIFAR-100, from DIR's weights (--data, --train, --test)"""
import argparse
import json
import pathlib

import torch
from torch.nn.functional import cross_entropy, pad

import torch_net


def exact(device):
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = device == "cuda"


def open_net(o, recipe):
    net = torch_net.resnet(recipe["model"], recipe["classes"])
    torch_net.load_start(net, o.dir / "start.safetensors")
    return net.to(o.device, memory_format=torch.channels_last)


def normalised(pixels, recipe, device):
    """(n, 3, 32, 32) bytes -> what the network sees."""
    mean, std = (torch.tensor(recipe[k], device=device).view(1, 3, 1, 1) for k in ("mean", "std"))
    return ((pixels.to(device).float() / 255 - mean) / std).to(memory_format=torch.channels_last)


def train_step(o, net, optimizer, images, labels):
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast(o.device, dtype=torch.bfloat16, enabled=o.amp == "bf16"):
        logits = net(images)
    loss = cross_entropy(logits.float(), labels)
    loss.backward()
    optimizer.step()
    return loss


def steps(o, recipe):
    batch, n = recipe["batch"], recipe["steps"]
    pixels = torch.frombuffer(bytearray((o.dir / "images.u8").read_bytes()), dtype=torch.uint8).view(n, batch, 3, 32, 32)
    labels = torch.frombuffer(bytearray((o.dir / "labels.u8").read_bytes()), dtype=torch.uint8).view(n, batch).long()
    net = open_net(o, recipe).train()
    optimizer = torch_net.optimizer_of(net, recipe["lr"], o.device)
    return {"loss": [train_step(o, net, optimizer, normalised(pixels[i], recipe, o.device), labels[i].to(o.device)).item()
                     for i in range(n)]}


def cifar(path, count):
    raw = bytearray(pathlib.Path(path).read_bytes()[:count * 3074])
    records = torch.frombuffer(raw, dtype=torch.uint8).view(count, 3074)
    return records[:, 2:].reshape(count, 3, 32, 32), records[:, 1].long()


def augmented(pixels):
    """RandomCrop(32, padding=4) and RandomHorizontalFlip() of a batch, on its device."""
    n, device = len(pixels), pixels.device
    padded = pad(pixels, (4, 4, 4, 4))
    top, left = (torch.randint(9, (n, 1), device=device) for _ in range(2))
    columns = torch.arange(32, device=device).expand(n, 32)
    columns = torch.where(torch.rand(n, 1, device=device) < 0.5, columns, 31 - columns) + left
    rows = torch.arange(32, device=device) + top
    return padded[torch.arange(n, device=device)[:, None, None, None],
                  torch.arange(3, device=device)[None, :, None, None], rows[:, None, :, None], columns[:, None, None, :]]


@torch.no_grad()
def accuracy(o, net, recipe, pixels, labels):
    net.eval()
    right = sum((net(normalised(pixels[i:i + 1000], recipe, o.device)).argmax(1) == labels[i:i + 1000]).sum().item()
                for i in range(0, len(labels), 1000))
    net.train()
    return 100 * right / len(labels)


def epochs(o, recipe):
    torch.manual_seed(o.seed)
    sub = o.data if (o.data / "train.bin").exists() else o.data / "cifar-100-binary"
    pixels, labels = (t.to(o.device) for t in cifar(sub / "train.bin", o.train))
    test_pixels, test_labels = (t.to(o.device) for t in cifar(sub / "test.bin", o.test))
    net = open_net(o, recipe).train()
    optimizer = torch_net.optimizer_of(net, o.lr, o.device)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, o.step_size, 0.1)
    found = []
    for _ in range(o.epochs):
        for order in torch.randperm(o.train, device=o.device).split(o.batch):
            train_step(o, net, optimizer, normalised(augmented(pixels[order]), recipe, o.device), labels[order])
        schedule.step()
        found.append(accuracy(o, net, recipe, test_pixels, test_labels))
    return {"accuracy": found}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("steps", "epochs"))
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--amp", choices=("none", "bf16"), default="none")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=pathlib.Path)
    for name, value in (("train", 0), ("test", 0), ("epochs", 1), ("batch", 128), ("step-size", 50), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--lr", type=float, default=0.1)
    o = parser.parse_args()
    recipe = json.loads((o.dir / "recipe.json").read_text())
    exact(o.device)
    print(json.dumps({"steps": steps, "epochs": epochs}[o.what](o, recipe)))


if __name__ == "__main__":
    main()
