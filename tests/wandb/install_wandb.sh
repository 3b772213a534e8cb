#!/bin/sh
# Installs W&B's own client where the tests look for it and prints the directory, which goes into PYTHONPATH.  Once: it
# stays outside the build directories.  Exit code 77: it cannot be had here.
set -eu
version=${SWEEPD_TEST_WANDB_VERSION:-0.31.0}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sweepd-tests
dir=$cache/wandb-$version
mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -d "$dir" ]; then
	rm -rf "$dir.new"
	/usr/bin/python3 -m pip install -q --retries 2 --timeout 15 --disable-pip-version-check --no-input --no-warn-script-location \
		--root-user-action=ignore --target "$dir.new" "wandb==$version" >"$cache/pip.log" 2>&1 || {
		echo "wandb $version cannot be installed: $(tail -n 1 "$cache/pip.log")" >&2
		exit 77
	}
	mv "$dir.new" "$dir"
fi
echo "$dir"
