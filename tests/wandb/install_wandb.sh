#!/bin/sh
# Installs W&B's own client where the tests look for it; prints two directories for PYTHONPATH: a current version with
# all that it needs, and the last one that has a reader of .wandb files in Python (which lives on the first one's
# packages).  Once: they stay outside the build directories.  Exit code 77: they cannot be had here.
set -eu
current=0.31.0 reader=0.28.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sweepd-tests/$(/usr/bin/python3 -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
install() { # VERSION OPTION...
	version=$1
	shift
	[ ! -d "$cache/wandb-$version" ] || return 0
	rm -rf "$cache/wandb-$version.new"
	/usr/bin/python3 -m pip install -q --retries 2 --timeout 15 --disable-pip-version-check --no-input \
		--root-user-action=ignore --target "$cache/wandb-$version.new" "$@" "wandb==$version" \
		>"$cache/pip.log" 2>&1 || {
		echo "wandb $version cannot be installed: $(tail -n 1 "$cache/pip.log")" >&2
		exit 77
	}
	mv "$cache/wandb-$version.new" "$cache/wandb-$version"
}
install $current
install $reader --no-deps
printf '%s\n' "$cache/wandb-$current" "$cache/wandb-$reader"
