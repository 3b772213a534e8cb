#!/bin/bash
# Packs what tests/gpu needs into a folder that runs on a machine where nothing can be built or installed:
#
#   tests/gpu/pack.sh DIR [BUILD [DATA [TRAIN TEST]]]
#
# BUILD: a build directory (build-gpu), e.g. meson setup build-gpu -Dtests=enabled -Dgpu_arch=80,90; DATA: a directory
# with CIFAR-100's train.bin and test.bin, or train-*.bin.xz and test.bin.xz, of which the first TRAIN and TEST images go
# along (12000 and 3000), repeated to the full numbers so that epochs have their real length.
#
# DIR gets run.sh and its parts, and bundle.tar.xz: the programs with every library they need but NVIDIA's, also the C
# library, which is used only where the machine's own is older.  At most 60 MB.  $XZ_LEVEL: xz's, 6.
set -euo pipefail
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 1 ] && [ $# -ne 4 ] && [ $# -le 5 ] || usage
root=$(cd "$(dirname "$0")/../.." && pwd)
dir=$1 build=${2:-$root/build-gpu} data=${3:-} train=${4:-12000} test=${5:-3000}
limit_bytes=60000000
record=3074

fail() { echo "error: $1" >&2; exit 1; }
for tool in patchelf xz strip ldd objdump; do
	command -v "$tool" >/dev/null || fail "$tool is needed (Debian: apt-get install patchelf xz-utils binutils)"
done
[ -d "$build" ] || fail "$build is not there; see the head of this script"
mkdir -p "$dir"
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir "$stage/bin" "$stage/libexec" "$stage/lib" "$stage/glibc" "$stage/sweeps"

programs=(daemon/sweepd ctl/sweepctl worker/sweep-worker tests/gpu/gpu_bench tests/gpu/trajectory tests/gpu/conv_test
	tests/cuda/cuda_step_test tests/cuda/kernel_{augment,bn,loss,optimizer,pool}_test)
for program in "${programs[@]}"; do
	[ -x "$build/$program" ] || fail "$build/$program is not there; build it"
	cp "$build/$program" "$stage/libexec/"
done

# The C library's parts know each other: they go along together or not at all.
is_glibc() {
	case $1 in
	ld-linux* | libc.so* | libm.so* | libpthread.so* | libdl.so* | librt.so* | libresolv.so* | libmvec.so*) return 0 ;;
	esac
	return 1
}
ldd "$stage"/libexec/* | awk '$2 == "=>" && $3 ~ /^\// { print $3 }' | sort -u >"$stage/needed"
missing=$(ldd "$stage"/libexec/* | awk '/not found/ { print $1 }' | sort -u)
[ -z "$missing" ] || fail "not found here: $missing"
libc=
while read -r library; do
	name=$(basename "$library")
	if is_glibc "$name"; then
		[ "$name" != libc.so.6 ] || libc=$library
	else
		cp -L "$library" "$stage/lib/$name"
	fi
done <"$stage/needed"
for name in ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libmvec.so.1 libpthread.so.0 libdl.so.2 librt.so.1 libresolv.so.2; do
	cp -L "$(dirname "$libc")/$name" "$stage/glibc/"
done
rm "$stage/needed"

strip --strip-unneeded "$stage"/libexec/* "$stage"/lib/*
for file in "$stage"/libexec/*; do patchelf --set-rpath "\$ORIGIN/../lib" "$file"; done
for file in "$stage"/lib/*; do patchelf --set-rpath "\$ORIGIN" "$file"; done

# The newest version of the C library that anything asks for.
objdump -T "$stage"/libexec/* "$stage"/lib/* 2>/dev/null | grep -o 'GLIBC_2\.[0-9]*' | sort -u -V | tail -n 1 |
	sed 's/GLIBC_//' >"$stage/bin/glibc-needed"
cat >"$stage/bin/start" <<'END'
#!/bin/sh
# Starts the program of this link's name, with the C library beside it where the machine's is older than it needs.
here=$(cd "$(dirname "$0")/.." && pwd) || exit 1
program=$here/libexec/$(basename "$0")
needed=$(cat "$here/bin/glibc-needed")
found=$(getconf GNU_LIBC_VERSION 2>/dev/null | sed 's/.* //')
export OMP_WAIT_POLICY="${OMP_WAIT_POLICY:-passive}"
if [ "$(printf '%s\n%s\n' "$needed" "${found:-0}" | sort -V | head -n 1)" = "$needed" ]; then
	exec "$program" "$@"
fi
exec "$here/glibc/ld-linux-x86-64.so.2" --library-path "$here/glibc:$here/lib" --argv0 "$0" "$program" "$@"
END
chmod +x "$stage/bin/start"
for file in "$stage"/libexec/*; do ln -s start "$stage/bin/$(basename "$file")"; done
cp "$root/sweeps/grid.json" "$stage/sweeps/"

# records NAME: a split's records, from one file or several.
records() {
	if [ -e "$data/$1.bin" ]; then
		cat "$data/$1.bin"
	elif compgen -G "$data/$1*.bin.xz" >/dev/null; then
		xz -dc "$data/$1"*.bin.xz
	else
		fail "$data has neither $1.bin nor $1*.bin.xz"
	fi
}
# slice NAME COUNT ALL: COUNT records, repeated to ALL.
slice() {
	local part=$stage/part
	{ records "$1" || true; } | head -c $(($2 * record)) >"$part"
	[ "$(stat -c %s "$part")" -eq $(($2 * record)) ] || fail "$data holds fewer than $2 images of $1"
	for ((i = 0; i < ($3 + $2 - 1) / $2; i++)); do cat "$part"; done | head -c $(($3 * record)) >"$stage/data/$1.bin" || true
	rm "$part"
}
if [ -n "$data" ]; then
	[ -d "$data" ] || fail "$data is not there"
	mkdir "$stage/data"
	slice train "$train" 50000
	slice test "$test" 10000
	printf '{"train": %d, "test": %d}\n' "$train" "$test" >"$stage/data/slice.json"
fi

cp "$root"/tests/gpu/{run.sh,README.md} "$root"/tests/gpu/*.py "$dir/"
rm -f "$dir"/test_*.py
tar -C "$stage" --owner=0 --group=0 --sort=name -cf - . |
	xz -c --check=crc64 --lzma2=preset="${XZ_LEVEL:-6}",dict=128MiB >"$dir/bundle.tar.xz"

(cd "$stage" && find . -type f -printf '%10s  %P\n' | sort -k2)
echo "packed:"
(cd "$dir" && find . -maxdepth 1 -type f -printf '%10s  %P\n' | sort -k2)
total=$(find "$dir" -maxdepth 1 -type f -printf '%s\n' | awk '{ n += $1 } END { print n }')
echo "$total bytes in all, at most $limit_bytes"
[ "$total" -le "$limit_bytes" ] || fail "too large: take fewer images"
