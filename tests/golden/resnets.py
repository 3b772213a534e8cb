#!/usr/bin/python3
"""Makes resnet.json and tables.json, in about two minutes.  Needs Debian's python3-torch and python3-torchvision.
README.md says what the files hold."""
import json
import pathlib

import numpy
import torch
from torch.nn.functional import cross_entropy

import formulas
from torch_nets import MODELS, STEMS, build

HERE = pathlib.Path(__file__).parent
IMAGES, CLASSES = 8, 100
NETS = [(model, "cifar", 32) for model in MODELS] + [(model, "imagenet", 64) for model in ("resnet18", "resnet50")]
PRNG = ("u(tid,i): z=splitmix64((tid<<32)+i) [state+=0x9E3779B97F4A7C15 first]; u=(z>>40)*2^-23-1 (exact float32 in [-1,1))")
FILL = ("state_dict order, tid counts all tensors but num_batches_tracked: conv u*sqrt(6/(O*kh*kw)); fc.weight u/sqrt(in); "
        "fc.bias 0.1u; running_var 1+0.5u; running_mean 0.1u; bn weight 1+0.1u; bn bias 0.1u; input NCHW u(1000,i); "
        "label[n]=(37n+11)%100")


def fill(net):
    tensors = [(k, v) for k, v in net.state_dict().items() if not k.endswith("num_batches_tracked")]
    for tid, (name, tensor) in enumerate(tensors):
        tensor.copy_(torch.from_numpy(formulas.filled(tid, name, tensor.shape)).reshape(tensor.shape))


def stats(tensor):
    return formulas.stats(tensor.detach().numpy())


def first8(logits):
    return [[formulas.shorter(v) for v in row] for row in logits[:, :8].tolist()]


def run(model, stem, size, dtype):
    """Evaluation, then three steps of training; the network's gradients are those of step 1."""
    net = build(model, stem, CLASSES)
    fill(net)
    net.to(dtype).eval()
    x = torch.from_numpy(formulas.u(1000, IMAGES * 3 * size * size)).reshape(IMAGES, 3, size, size).to(dtype)
    labels = torch.tensor([(37 * i + 11) % CLASSES for i in range(IMAGES)])
    result = {"logits_eval_first8": first8(net(x)), "loss_3_steps": []}
    net.train()
    sgd = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    for step in range(3):
        sgd.zero_grad()
        logits = net(x)
        loss = cross_entropy(logits, labels, label_smoothing=0.1)
        loss.backward()
        result["loss_3_steps"].append(loss.item())
        if step == 0:
            result["logits_train_first8"] = first8(logits)
            gradients = {k: p.grad.clone() for k, p in net.named_parameters()}
            result["grad_step1"] = {k: stats(g) for k, g in gradients.items()}
        sgd.step()
        if step == 0:
            result["param_after_step1"] = {k: stats(p) for k, p in net.named_parameters()}
            result["running_after_step1"] = {k: stats(v) for k, v in net.state_dict().items() if "running" in k}
    return result, gradients


def torch_float32_off(model, stem, size, truth, true_gradients):
    """How far torch's own float32 is from its float64."""
    result, gradients = run(model, stem, size, torch.float32)
    off = {k: ((gradients[k].double() - g).norm() / g.norm()).item() for k, g in true_gradients.items()}
    logits = numpy.abs(numpy.array(result["logits_eval_first8"]) - numpy.array(truth["logits_eval_first8"])).max()
    return {"logits": float(logits), "loss": abs(result["loss_3_steps"][0] / truth["loss_3_steps"][0] - 1),
            "worst_gradient": max(off.values()), "gradient": sum(off.values()) / len(off)}


def table(net):
    params = list(net.parameters())
    return {"params": sum(p.numel() for p in params), "n_param_tensors": len(params), "n_state": len(net.state_dict()),
            "keys": [[k, list(v.shape)] for k, v in net.state_dict().items()]}


def main():
    tables = {f"{model}_{stem}_{CLASSES}": table(build(model, stem, CLASSES)) for model in MODELS for stem in STEMS}
    (HERE / "tables.json").write_text(json.dumps(tables))
    nets = {"prng": PRNG, "fill": FILL}
    for model, stem, size in NETS:
        truth, gradients = run(model, stem, size, torch.float64)
        off = torch_float32_off(model, stem, size, truth, gradients)
        nets[f"{model}_{stem}_N{IMAGES}_S{size}"] = {"float64": truth, "float32_off": off}
        print(model, stem, off)
    (HERE / "resnet.json").write_text(json.dumps(nets))


if __name__ == "__main__":
    main()
