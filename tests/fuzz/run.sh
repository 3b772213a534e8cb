#!/usr/bin/env bash
# tests/fuzz/run.sh [SECONDS [TARGET...]]: fuzzes every parser of outside bytes for so many seconds each (default 10).
# Needs clang and libclang-rt-14-dev.  What a target finds lies in build-fuzz/: its own corpus, and the input of a crash.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-10} build=build-fuzz
shift || true
[ $# -gt 0 ] || set -- sweep json confusion tar catalogue event wire checkpoint data pickle pth safetensors
[ -f $build/build.ninja ] || CC=clang meson setup $build -Dfuzz=true -Dtests=disabled -Db_sanitize=address,undefined \
	-Db_lundef=false -Dbuildtype=debugoptimized -Donednn=disabled >/dev/null
targets=("${@/#/tests/fuzz/}")
ninja -C $build "${targets[@]/%/_fuzz}" >/dev/null
export UBSAN_OPTIONS=halt_on_error=1 ASAN_OPTIONS=detect_leaks=0
status=0
for name in "$@"; do
	new=$build/corpus-$name # what the fuzzer finds; the committed corpus is only read
	mkdir -p "$new"
	echo "--- $name"
	"$build/tests/fuzz/${name}_fuzz" -max_total_time="$seconds" -max_len=8192 -timeout=30 -rss_limit_mb=4096 \
		-print_final_stats=1 -artifact_prefix="$build/$name-" "$new" "tests/fuzz/corpus/$name" >"$build/$name.log" 2>&1 ||
		{ status=1; grep -m1 -A12 -E 'ERROR|runtime error|BUG|sweepd-' "$build/$name.log" || true; }
	grep -E 'number_of_executed|average_exec|new_units|Test unit' "$build/$name.log" || true
done
exit $status
