#!/usr/bin/env bash
# Fuzzes every parser of outside bytes for so many seconds each (default 10).  Needs clang and libclang-rt-14-dev.
set -eu
cd "$(dirname "$0")/../.."
seconds=${1:-10} build=build-fuzz
[ -f $build/build.ninja ] || CC=clang meson setup $build -Dfuzz=true -Dtests=disabled -Db_sanitize=address,undefined \
	-Db_lundef=false -Dbuildtype=debugoptimized -Donednn=disabled >/dev/null
ninja -C $build tests/fuzz/sweep_fuzz tests/fuzz/json_fuzz >/dev/null
for name in sweep json; do
	new=$build/corpus-$name # what the fuzzer finds; the committed corpus is only read
	mkdir -p "$new"
	UBSAN_OPTIONS=halt_on_error=1 "$build/tests/fuzz/${name}_fuzz" -max_total_time="$seconds" -max_len=8192 -timeout=10 \
		-print_final_stats=1 -artifact_prefix="$build/$name-" "$new" "tests/fuzz/corpus/$name" 2>&1 | tail -n 12
done
