#!/bin/sh
# Proves and measures training on a GPU: one part, unattended, in less than 9 minutes.  README.md says how.
#
#   run.sh ops|determinism|throughput|torch|sweep
#
# From the source tree it runs the programs of $SWEEPD_BUILD (build-gpu); from a folder that pack.sh made, those in it.
# Exit code 0: everything held, 1: something did not, 2: wrong usage, 77: there is no GPU.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
case ${1:-} in
ops | determinism | throughput | torch | sweep) ;;
*)
	echo "usage: $0 ops|determinism|throughput|torch|sweep" >&2
	exit 2
	;;
esac
command -v python3 >/dev/null || { echo "error: python3 is needed" >&2; exit 1; }
PYTHONUNBUFFERED=1 exec python3 -B "$here/part_$1.py"
