#!/usr/bin/env bash
# The worker on oneDNN 3.x, which Debian 12 does not have: builds it in DIR against PyPI's build for GNU OpenMP (newer ones
# there compute with SYCL, which the cpu backend does not speak) and runs the parity tests and some of tests/worker.
#
#   tests/onednn3.sh DIR RESULTS
#
# Leaves JUnit files in RESULTS.  Where pip cannot fetch it, it says so and leaves one test that was skipped.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
dir=$1 results=$2
version=2023.2.0 # of the packages; the library in them is 3.2.0

prefix=$PWD/$dir/onednn
mkdir -p "$prefix" "$results"
if ! find "$prefix" -name 'libdnnl.so.3' | grep -q .; then
	if ! /usr/bin/python3 -m pip install -q --root-user-action=ignore --ignore-installed --no-deps --no-compile \
		--only-binary=:all: --timeout 20 --retries 1 --prefix "$prefix" \
		"onednn-cpu-gomp==$version" "onednn-devel-cpu-gomp==$version" 2>"$dir/pip.log"; then
		said=$(tail -n 1 "$dir/pip.log" | tr -d '<>&"')
		why="oneDNN 3.x was not tested: pip cannot fetch it from PyPI ($said)"
		echo "skipped: $why"
		echo "<testsuite><testcase name=\"onednn3\"><skipped message=\"$why\"/></testcase></testsuite>" >"$results/onednn3.xml"
		exit 0
	fi
fi
[ -d "$prefix/local" ] && prefix=$prefix/local # where Debian's pip puts it

failed() {
	echo "oneDNN 3.x: $1"
	echo "<testsuite><testcase name=\"onednn3\"><failure message=\"$1\"/></testcase></testsuite>" >"$results/onednn3.xml"
	exit 1
}
if [ ! -f "$dir/build.ninja" ]; then
	meson setup "$dir" -Dtests=enabled -Dwerror=true -Donednn=enabled "-Dc_args=-I$prefix/include" \
		"-Dc_link_args=-L$prefix/lib -Wl,-rpath,$prefix/lib" >"$dir/setup.log" ||
		{ tail "$dir/setup.log"; failed "meson setup failed"; }
fi
ninja -C "$dir" parity-tests worker/sweep-worker tests/worker/libcount_allocs.so >"$dir/build.log" 2>&1 ||
	{ tail -n 40 "$dir/build.log"; failed "the build failed"; }
ldd "$dir/worker/sweep-worker" | grep -q "libdnnl.so.3 => $prefix" || failed "the worker is linked with another oneDNN"

status=0
meson test -C "$dir" --no-rebuild --suite onednn --print-errorlogs || status=1
cp "$dir/meson-logs/testlog.junit.xml" "$results/onednn3-parity.xml"
SWEEPD_PLAIN_BUILD=$PWD/$dir /usr/bin/python3 -m pytest -q -p no:cacheprovider --junitxml="$results/onednn3-worker.xml" \
	-k "events_are or final_weights or same_seed or killed_in_both or twice_the_steps" tests/worker || status=1
exit $status
