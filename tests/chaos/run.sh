#!/usr/bin/env bash
# tests/chaos/run.sh [--kills N] [--seed S]: kills at any instant, with the builds of tests/run.sh or those that
# SWEEPD_BUILD and SWEEPD_PLAIN_BUILD name.  Exit code 1: an invariant was broken; the directory of the round is kept.
set -eu
cd "$(dirname "$0")/../.."
export SWEEPD_BUILD=${SWEEPD_BUILD:-$PWD/build-tests} SWEEPD_PLAIN_BUILD=${SWEEPD_PLAIN_BUILD:-$PWD/build-tests-plain}
exec /usr/bin/python3 tests/chaos/chaos.py "$@"
