#!/bin/sh
# Compiles the kernels to one module for several architectures and writes it as a C array; what ptxas says (registers and
# spills of each kernel) goes to LOG.
#   embed.sh OUT.c LOG NVCC ARGUMENT...
set -e
out=$1 log=$2
shift 2
"$@" -fatbin -Xptxas -v -o "$out.fatbin" >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
{
	echo '#include "worker/cuda/kernel/kernels.h"'
	echo '_Alignas(64) const unsigned char kernel_fatbin[] = {'
	od -An -v -tu1 "$out.fatbin" | sed 's/ *\([0-9][0-9]*\)/\1,/g'
	echo '};'
	echo 'const size_t kernel_fatbin_size = sizeof(kernel_fatbin);'
} >"$out.part"
mv "$out.part" "$out"
rm "$out.fatbin"
