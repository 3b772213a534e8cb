#!/usr/bin/env bash
# Runs every test: installs what they need, builds with sanitizers, runs the unit, parity and program tests, and closes
# with one line `N passed, N failed, N skipped`.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

# shellcheck source=sweeps/packages.sh
. sweeps/packages.sh
# shellcheck disable=SC2086  # a list of names
need_packages $BUILD_PACKAGES libcmocka-dev python3 python3-pip python3-pytest python3-pytest-xdist python3-jsonschema python3-yaml python3-graphql-core openssl patchelf xz-utils dataset-fashion-mnist systemd man-db mandoc zsh strace || exit 1

tests/wandb/install_wandb.sh >/dev/null 2>&1 & # takes a while, and is needed late

build=${SWEEPD_TEST_BUILD:-build-tests}
plain=${SWEEPD_TEST_BUILD:-build-tests}-plain
results=$build/results
setup() { # DIR OPTION...
	local dir=$1
	shift
	[ -f "$dir/build.ninja" ] || meson setup "$dir" -Dtests=enabled -Dwerror=true "$@" >/dev/null || return 1
	ninja -C "$dir" >"$dir/build.log" 2>&1 || { grep -E 'error|warning|FAILED' -A5 "$dir/build.log" | tail -n 60; return 1; }
}
fail_early() { echo "$1"; echo "0 passed, 1 failed, 0 skipped"; exit 1; }

# Sanitizers for everything but the numerics, which would be too slow under them; without CUDA: nvcc's kernels are the same
# in both builds, and what is tested here runs them on the host.
setup "$build" -Dcuda=disabled -Db_sanitize=address,undefined -Db_lundef=false || fail_early "the build with sanitizers failed"
setup "$plain" || fail_early "the build failed"
rm -rf "$results" && mkdir -p "$results"

status=0
meson test -C "$build" --no-rebuild --suite unit --suite cuda --suite style --print-errorlogs || status=1
cp "$build/meson-logs/testlog.junit.xml" "$results/unit.xml"
meson test -C "$plain" --no-rebuild --suite parity --suite numerics --suite trajectory --print-errorlogs || status=1
cp "$plain/meson-logs/testlog.junit.xml" "$results/parity.xml"
tests/onednn3.sh "$build-onednn3" "$results" || status=1

# Programs: sanitized daemon and sweepctl, the worker as it is installed.
export SWEEPD_BUILD=$PWD/$build SWEEPD_PLAIN_BUILD=$PWD/$plain SWEEPCTL=$PWD/$build/ctl/sweepctl
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
for programs in worker daemon ctl fetch wandb gpu chaos systemd; do # one process each: every directory has a conftest.py of its own
	case $programs in # those that mostly wait share the machine
	daemon | ctl | fetch | wandb) share="-n 4" ;;
	*) share="" ;;
	esac
	# shellcheck disable=SC2086  # two words or none
	/usr/bin/python3 -m pytest -q $share --maxfail=20 -p no:cacheprovider --junitxml="$results/$programs.xml" \
		"tests/$programs" || status=1
done

/usr/bin/python3 tests/count.py "$results"/*.xml || status=1
exit $status
