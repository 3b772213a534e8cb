# Sourced by demo.sh and tests/run.sh: installs Debian packages, naming them before sudo may ask.
#
# need_packages NAME... : installs those of NAME that are missing.  Where that cannot be done it says which libraries
# are needed (by pkg-config name) and ends the script with exit code 1.

BUILD_PACKAGES="gcc libc6-dev pkg-config meson ninja-build libuv1-dev libsqlite3-dev sqlite3 libjansson-dev
  libyaml-dev libmd-dev libdnnl-dev zlib1g-dev libcurl4-openssl-dev"

need_packages() {
	local missing="" name run=""
	for name in "$@"; do
		dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $name"
	done
	[ -n "$missing" ] || { echo "packages  all installed"; return 0; }
	if ! command -v apt-get >/dev/null; then
		echo "error: this is not Debian; install what the build needs and run again:" >&2
		echo "  meson, ninja, a C compiler; by pkg-config name: libuv sqlite3 jansson yaml-0.1 libmd zlib libcurl; oneDNN (dnnl)" >&2
		exit 1
	fi
	echo "packages  from Debian:$missing"
	if [ "$(id -u)" -ne 0 ]; then
		command -v sudo >/dev/null || { echo "error: not root and no sudo; ask for:$missing" >&2; exit 1; }
		run=sudo
	fi
	$run apt-get update -qq
	# shellcheck disable=SC2086  # a list of names
	$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
