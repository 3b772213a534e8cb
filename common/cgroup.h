/* What the control groups (cgroups) of a process say of memory: how much more its groups let it have, and whether the
 * kernel killed something there for want of it.  Version 2 and version 1, limits looked for up to the root.
 *
 * root is put before every path: "" for this machine, a directory with a copy of the files in a test. */
#pragma once

#include "base.h"

#include <sys/types.h>

struct cgroup { /* of the memory controller */
	int version;	  /* 1, 2; 0: none is there */
	char dir[1024];	  /* the group's directory */
	size_t top;	  /* length of the mount point at its beginning: where the way up ends */
};

/* The group of a process (0: of this one). */
void cgroup_of(const char *root, pid_t pid, struct cgroup *ret);
/* The least that a limit of the group, or of one above it, leaves; memory that only caches files counts as free.
 * SIZE_MAX: no limit. */
size_t cgroup_memory_left(const struct cgroup *g);
/* Times the kernel killed a process of the group (version 2: or of one below it) for lack of memory; -1: not known. */
int64_t cgroup_oom_kills(const struct cgroup *g);
/* The same of the whole machine, containers and all (/proc/vmstat); -1: not known. */
int64_t machine_oom_kills(const char *root);
/* What this process can have without swapping: the machine's MemAvailable and its groups' limits; SIZE_MAX: not known. */
size_t memory_available(const char *root);
