#!/usr/bin/env bash
# Measures the cpu backend's training step: beside its own primitives, beside PyTorch (Debian's, and PyPI's newest in a
# virtual environment that it makes), its memory, what loading costs.  Prints tables; bench.py says how they come about.
#
#   tests/bench/run.sh [--rounds N] [--steps N] [--threads N] [--model resnet18|resnet50] [--beside BUILD]
#
# About half an hour on two quiet cores; the first time PyPI's torch is downloaded, some GB.
set -euo pipefail
cd "$(dirname "$0")/../.."
build=${SWEEPD_BENCH_BUILD:-build-bench}
venv=${SWEEPD_BENCH_VENV:-/tmp/sweepd-bench-venv}
need_mib=12000

[ -f "$build/build.ninja" ] || meson setup "$build" -Dtests=enabled -Donednn=enabled >/dev/null
ninja -C "$build" worker/sweep-worker tests/bench/step_bench >/dev/null

pythons=()
if /usr/bin/python3 -c 'import torch, torchvision' 2>/dev/null; then
	pythons+=(--python /usr/bin/python3)
else
	echo "left out: Debian's torch, which is not installed (apt-get install python3-torch python3-torchvision)"
fi
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import torch, torchvision' 2>/dev/null; then
	free_mib=$(df -m --output=avail "$(dirname "$venv")" | tail -n 1)
	if [ "$free_mib" -lt "$need_mib" ]; then
		echo "left out: PyPI's torch needs $need_mib MiB in $(dirname "$venv"), $free_mib are free (SWEEPD_BENCH_VENV moves it)"
	else
		python3 -m venv "$venv" && "$venv/bin/pip" install -q torch torchvision numpy || echo "left out: PyPI's torch cannot be installed"
	fi
fi
if "$venv/bin/python" -c 'import torch, torchvision' 2>/dev/null; then
	pythons+=(--python "$venv/bin/python")
fi
exec python3 tests/bench/bench.py --build "$build" "${pythons[@]}" "$@"
