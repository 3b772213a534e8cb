#!/usr/bin/env bash
# From a clone to a results table: installs what the build needs, builds, starts a sweepd of its own, trains the eight
# configurations of sweeps/demo.json on real images and prints the table.  Run again it goes on, or shows the result.
set -euo pipefail

usage() {
	cat <<'EOT'
usage: sweeps/demo.sh [--data DIR] [--images N] [--again]
  --data DIR   train on CIFAR-100 from DIR (train.bin, test.bin) instead of Fashion-MNIST; also $SWEEPD_DATA
  --images N   train on N images an epoch (default: what this machine does in about 5 to 15 minutes)
  --again      a new sweep even if this one was run before
Everything is kept in ${SWEEPD_DEMO_DIR:-~/.local/share/sweepd-demo}.
EOT
}

root=$(cd "$(dirname "$0")/.." && pwd)
data="" images="" again=""
while [ $# -gt 0 ]; do
	case "$1" in
	--data) data=${2:?--data needs a directory}; shift ;;
	--images) images=${2:?--images needs a number}; shift ;;
	--again) again=--again ;;
	-h | --help) usage; exit 0 ;;
	*) usage >&2; exit 2 ;;
	esac
	shift
done
case "$images" in *[!0-9]*) echo "error: --images expects a whole number, not \"$images\"" >&2; exit 2 ;; esac

export SWEEPD_DIR=${SWEEPD_DEMO_DIR:-${XDG_DATA_HOME:-$HOME/.local/share}/sweepd-demo}
build=$root/build
say() { printf '[%d:%02d] %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*"; }
sweepctl() { "$build/ctl/sweepctl" "$@"; }

# shellcheck source=sweeps/packages.sh
. "$root/sweeps/packages.sh"

# CIFAR-100 where it is, else Debian's Fashion-MNIST.
dataset=fashion-mnist
IFS=: read -ra places <<<"$data:${SWEEPD_DATA:-}"
for dir in "${places[@]}"; do
	for sub in . cifar-100-binary; do
		[ -n "$dir" ] && [ -f "$dir/$sub/train.bin" ] && [ -f "$dir/$sub/test.bin" ] && dataset=cifar100
	done
done
if [ -n "$data" ] && [ $dataset != cifar100 ]; then
	echo "error: no train.bin and test.bin of CIFAR-100 in $data" >&2
	exit 1
fi

say "1/5 packages"
wanted=$BUILD_PACKAGES
[ $dataset = fashion-mnist ] && wanted="$wanted dataset-fashion-mnist"
# shellcheck disable=SC2086  # a list of names
need_packages $wanted

say "2/5 build     $build"
[ -f "$build/build.ninja" ] || meson setup "$build" "$root" -Dtests=disabled >"$root/build-setup.log" 2>&1 ||
	{ cat "$root/build-setup.log" >&2; exit 1; }
rm -f "$root/build-setup.log"
ninja -C "$build" >"$build/build.log" 2>&1 || { tail -n 40 "$build/build.log" >&2; exit 1; }

# Images an epoch: eight jobs shall take about 5 minutes on two fast cores with AVX-512, about 15 on any two.
cores=$(nproc) flags=$(grep -m1 '^flags' /proc/cpuinfo || true)
case " $flags " in
*\ avx512_bf16\ *) kind="AVX-512, AMP is bf16" ;;
*\ avx512f\ *) kind="AVX-512, AMP is fp32" ;;
*) kind="no AVX-512, AMP is fp32" ;;
esac
if [ -z "$images" ]; then
	images=$((320 * cores))
	[ "$images" -ge 640 ] || images=640
	[ "$images" -le 5120 ] || images=5120
fi
say "3/5 machine   $cores cores, $kind: cpu backend"
say "4/5 data      $dataset"

# Ctrl-C and errors stop this demo's own daemon; its jobs go on at the next run.
trap 'sweepctl daemon stop >/dev/null 2>&1 || true' EXIT
trap 'echo "stopped; run again to go on" >&2; exit 130' INT TERM
sweepctl daemon start >/dev/null
# shellcheck disable=SC2086  # $again is one word or none
sweep=$(sweepctl submit --quiet $again ${data:+--data "$data"} --override "dataset=$dataset" \
	--override "train_images=$images" "$root/sweeps/demo.json")
say "5/5 sweep     $sweep demo: 8 jobs, $images images an epoch; all of it under $SWEEPD_DIR"
sweepctl watch "$sweep"
echo
sweepctl results "$sweep"

chance=$([ $dataset = cifar100 ] && echo 1 || echo 10)
good=$(sqlite3 -readonly "$SWEEPD_DIR/results.db" "SELECT count(*) FROM results JOIN job ON job.id = results.job
	WHERE job.sweep = substr('$sweep', 2) AND test_accuracy >= 3 * $chance")
cat <<EOT

$good of 8 reached three times chance (chance: $chance %) in $((SECONDS / 60)) min $((SECONDS % 60)) s.
results   sqlite3 -column -header $SWEEPD_DIR/results.db 'SELECT * FROM results'
again     sweeps/demo.sh          (goes on or shows; --again starts afresh)
EOT
[ "$good" -eq 8 ]
