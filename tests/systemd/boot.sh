#!/usr/bin/env bash
# tests/systemd/boot.sh BUILD PAYLOAD OUT: runs PAYLOAD (a program) under a systemd of its own: pid 1 in new namespaces, on
# an overlay of this machine's files that vanishes with it, with BUILD installed in it.  What PAYLOAD prints goes to
# OUT/log.  Needs root.  Exit code 77: this machine does not let us.
set -u
build=$(realpath "$1") payload=$(realpath "$2") out=$(realpath "$3")
name=sweepd-test-$$
if [ "${4-}" != inside ]; then
	[ "$(id -u)" -eq 0 ] && [ -x /lib/systemd/systemd ] || exit 77
	groups=()
	for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/memory /sys/fs/cgroup; do # version 1, or the one of version 2
		[ -e "$hierarchy/cgroup.procs" ] || continue
		mkdir "$hierarchy/$name" && groups+=("$hierarchy/$name") || exit 77
	done
	[ ${#groups[@]} -gt 0 ] || exit 77
	(
		for group in "${groups[@]}"; do echo $BASHPID >"$group/cgroup.procs"; done
		exec timeout -k 5 "${BOOT_TIMEOUT_S:-120}" unshare -fpmuiC --kill-child "$0" "$build" "$payload" "$out" inside
	)
	for group in "${groups[@]}"; do # what systemd made in it
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
	done
	[ -s "$out/log" ] || exit 77
	exit 0
fi
set -e
mount --make-rprivate /
base=$(mktemp -d) && mount -t tmpfs tmpfs "$base" && mkdir "$base"/{up,work,root}
mount -t overlay overlay -o "lowerdir=/,upperdir=$base/up,workdir=$base/work" "$base/root"
root=$base/root
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
	mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
	mkdir "$root/sys/fs/cgroup"/{systemd,memory}
	mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
	mount -t cgroup -o memory cgroup "$root/sys/fs/cgroup/memory"
fi
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/run/payload" "$root/run/out"
mount --make-rshared "$root" # as systemd would have it: credentials are mounted by a child, for all to see
mount --bind "$out" "$root/run/out"
cp "$payload" "$root/run/payload/run" && chmod 755 "$root/run/payload/run"
DESTDIR=$root meson install -C "$build" --no-rebuild --quiet >"$out/install.log" 2>&1
cat >"$root/etc/systemd/system/payload.service" <<UNIT
[Unit]
DefaultDependencies=no
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
ExecStart=/run/payload/run
StandardOutput=append:/run/out/log
StandardError=append:/run/out/log
UNIT
exec chroot "$root" env -i container=lxc PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --unit=payload.service --log-target=null --show-status=no
