"""How fast: images/s of the networks of the goals, of several slots, beside PyTorch eager and compiled in the same run;
where a step's time goes.  PyTorch gets normalised images that lie on the GPU: no augmentation, no loader."""
import gpurun

# name, gpu_bench's arguments, the goals on an H200: images/s, times PyTorch eager, times torch.compile
CASES = (
    ("resnet18 b128", {"model": "resnet18", "batch": 128}, 55000, 2.5, 1.15),
    ("resnet18 b512", {"model": "resnet18", "batch": 512}, 80000, None, None),
    ("resnet50 b64", {"model": "resnet50", "batch": 64}, 16700, None, None),
    ("resnet50 224px b128", {"model": "resnet50", "batch": 128, "size": 224, "images": 12800}, 5600, None, None),
)
FP16 = ("resnet18 b128 fp16", {"model": "resnet18", "batch": 128, "amp": "fp16"}, None, None, None)
COMPILED = ("resnet18 b128",)  # a compilation takes minutes
SLOTS = (2, 4)
SLOT_GAIN = 1.35  # of 4 slots, times one
STEP_OVER_PLANS, IDLE = 1.4, 0.02
HOST_CASE = ("resnet8 b4", {"model": "resnet8", "batch": 4, "images": 8, "seconds": 0, "rounds": 1}, None, None, None)


def arguments(options):
    return [word for key, value in options.items() for word in (f"--{key}", str(value))]


def measure(part, options, slots=1, breakdown=False):
    return part.run_json([part.program("gpu_bench"), "--device", part.device, "--slots", str(slots), *arguments(options),
                          *(["--breakdown"] if breakdown else [])], most=120)


def torch_rate(part, options, mode, most):
    try:
        result = part.torch_script("torch_bench.py", "--mode", mode, "--model", options["model"], "--batch",
                                   options["batch"], "--size", options.get("size", 32), most=most)
    except gpurun.Failure as e:
        return None, str(e)
    return result["images_per_s"], ""


def idle_share(result):
    """Of the step's time none of its launches accounts for; timed one by one they are a little slower, hence max()."""
    return max(0, 1 - result["launch_ms"] / result["step_ms"])


def over_plans(result):
    return result["step_ms"] / result["plan_ms"] if result["plan_ms"] else None


def number(value, form="{:.2f}"):
    return "" if value is None else form.format(value)


def ratio(a, b):
    return a / b if a and b else None


def row(name, ours, eager, compiled):
    rate = ours["images_per_s"]
    return (name, number(rate, "{:.0f}"), number(ours["step_ms"]), number(ours["launch_ms"]),
            number(100 * idle_share(ours), "{:.1f}"), number(ours["plan_ms"] or None), number(over_plans(ours)),
            number(ours["bytes"] / 1e9, "{:.2f}"), number(eager, "{:.0f}"), number(ratio(rate, eager)),
            number(compiled, "{:.0f}"), number(ratio(rate, compiled)))


HEADER = ("", "images/s", "step ms", "launches ms", "idle %", "plans ms", "step/plans", "GB/step", "eager", "x eager",
          "compiled", "x compiled")


def at_least(part, what, value, goal, is_goal):
    """Goals are an H200's; elsewhere they are told and fail nothing."""
    if goal is None:
        return
    detail = f"{number(value)}, goal {goal}"
    if value is None:
        part.check(what, None, "not measured")
    elif value >= goal:
        part.check(what, True, detail)
    else:
        part.check(what, False if is_goal else None, detail + ("" if is_goal else " on an H200"))


def check_goals(part, name, ours, goals, eager, compiled, is_goal):
    rate = ours["images_per_s"]
    at_least(part, f"{name}: images/s", rate, goals[0], is_goal)
    at_least(part, f"{name}: times PyTorch eager", ratio(rate, eager), goals[1], is_goal)
    at_least(part, f"{name}: times torch.compile", ratio(rate, compiled), goals[2], is_goal)
    if goals[0]:
        plans = over_plans(ours)
        at_least(part, f"{name}: plans' share of the step", 1 / plans if plans else None, round(1 / STEP_OVER_PLANS, 3), is_goal)
        at_least(part, f"{name}: busy share of the step", 1 - idle_share(ours), 1 - IDLE, is_goal)


def breakdown(part, name, result):
    """A row per kernel: its share of the step and what of its bytes it moved a second."""
    kinds = {}
    for launch in result["kernels"]:
        kind = launch["kernel"] if launch["kernel"] != "conv" else "conv " + launch["label"].split()[-1]
        of = kinds.setdefault(kind, [0, 0.0, 0.0])
        of[0] += 1
        of[1] += launch["ms"]
        of[2] += launch["bytes"]
    rows = [(kind, n, number(ms, "{:.4f}"), number(100 * ms / result["launch_ms"], "{:.1f}"),
             number(bytes_ / ms / 1e6 if ms else None, "{:.0f}"))
            for kind, (n, ms, bytes_) in sorted(kinds.items(), key=lambda k: -k[1][1])]
    part.table(f"A step of {name}, launch by launch:", ("kernel", "launches", "ms", "%", "GB/s"), rows)
    slowest = sorted(result["kernels"], key=lambda k: -k["ms"])[:12]
    part.table("Its longest launches:", ("launch", "ms", "plan ms", "GB/s"),
               [(k["label"], number(k["ms"], "{:.4f}"), number(k["plan_ms"] or None, "{:.4f}"),
                 number(k["bytes"] / k["ms"] / 1e6 if k["ms"] else None, "{:.0f}")) for k in slowest])


def measure_slots(part, name, options, one, is_goal):
    rows = [(1, number(one, "{:.0f}"), "1.00")]
    for slots in SLOTS:
        result = part.attempt(f"{name}: {slots} slots", lambda: measure(part, options, slots))
        if not result:
            return
        rows.append((slots, number(result["images_per_s"], "{:.0f}"), number(result["images_per_s"] / one)))
        part.record.setdefault("slots", {})[slots] = result["images_per_s"]
        if slots == SLOTS[-1]:
            at_least(part, f"{name}: {slots} slots, times one", result["images_per_s"] / one, None if part.on_host else SLOT_GAIN,
                     is_goal)
    part.table(f"{name}, several at a time:", ("slots", "images/s", "times one"), rows)


def body(part):
    cases = (HOST_CASE,) if part.on_host else (*CASES, FP16)
    is_goal = "H200" in part.record["device"]
    problem = "no PyTorch on the host" if part.on_host else part.torch_problem()
    if problem:
        part.check("PyTorch beside it", None, problem)
    ours, torch = {}, {}
    for name, options, *_ in cases:
        ours[name] = part.attempt(name, lambda: measure(part, options, breakdown=True))
    if ours[cases[0][0]]:
        measure_slots(part, cases[0][0], cases[0][1], ours[cases[0][0]]["images_per_s"], is_goal)
    for name, options, *_ in () if problem else CASES:
        torch[name, "eager"], why = torch_rate(part, options, "eager", 60)
        if why:
            part.check(f"{name}: PyTorch eager", None, why)
    for name in () if problem else COMPILED:
        torch[name, "compile"], why = torch_rate(part, dict(CASES[0][1]), "compile", 10000)
        if why:
            part.check(f"{name}: torch.compile", None, why)
    rows = []
    for name, _, *goals in cases:
        if ours[name]:
            eager, compiled = torch.get((name, "eager")), torch.get((name, "compile"))
            rows.append(row(name, ours[name], eager, compiled))
            check_goals(part, name, ours[name], goals, eager, compiled, is_goal)
            part.check(f"{name}: measured", True)
    part.table("Training, all of it:", HEADER, rows)
    for name in ours:
        if ours[name]:
            breakdown(part, name, ours[name])
            ours[name].pop("kernels")
    part.record["rates"] = ours


if __name__ == "__main__":
    gpurun.main("throughput", body)
