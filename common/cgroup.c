/* See cgroup.h. */
#include "cgroup.h"

#include "fs.h"

#define SMALL_FILE (256 * 1024)

/* Files of /proc and /sys have no size: read what is there. */
static char *read_text(const char *path)
{
	char *text = NULL;
	return fs_read_file(path, SMALL_FILE, &text, NULL, NULL) < 0 ? NULL : text;
}

/* The number behind "KEY " at the beginning of a line; -1: no such line. */
static int64_t value_of(const char *text, const char *key)
{
	size_t size = strlen(key);
	for (const char *line = text; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
		if (strncmp(line, key, size) == 0 && (line[size] == ' ' || line[size] == ':'))
			return strtoll(line + size + 1, NULL, 10);
	return -1;
}

static int64_t file_value(const char *path, const char *key)
{
	autofree char *text = read_text(path);
	return value_of(text, key);
}

/* --- finding the group --- */

/* The path of a line of /proc/PID/cgroup: "4:memory:/PATH" (version 1) or "0::/PATH" (2); allocated, or NULL. */
static char *path_in_hierarchy(const char *text, int version)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		const char *names = strchr(line, ':');
		const char *path = names ? strchr(names + 1, ':') : NULL;
		if (!path)
			return NULL;
		autofree char *list = xasprintf(",%.*s,", (int)(path - names - 1), names + 1);
		if (version == 2 ? strncmp(line, "0::", 3) == 0 : strstr(list, ",memory,") != NULL)
			return xasprintf("%.*s", (int)strcspn(path + 1, "\n"), path + 1);
	}
	return NULL;
}

/* Where that hierarchy is mounted, and which of its directories is: from a line of /proc/self/mountinfo
 * "36 25 0:31 ROOT POINT OPTIONS - cgroup2 SOURCE SUPER_OPTIONS". */
static bool find_mount(const char *text, int version, char *ret_root, char *ret_point)
{
	for (const char *line = text; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		char type[32] = "", super[256] = "";
		autofree char *copy = xasprintf("%.*s", (int)strcspn(line, "\n"), line);
		const char *rest = strstr(copy, " - ");
		if (!rest || sscanf(copy, "%*s %*s %*s %511s %511s", ret_root, ret_point) != 2 ||
		    sscanf(rest, " - %31s %*s %255s", type, super) < 1)
			continue;
		autofree char *options = xasprintf(",%s,", super);
		if (str_eq(type, version == 2 ? "cgroup2" : "cgroup") && (version == 2 || strstr(options, ",memory,")))
			return true;
	}
	return false;
}

static bool find_group(const char *root, const char *groups, const char *mounts, int version, struct cgroup *g)
{
	char mount_root[512], point[512];
	autofree char *path = path_in_hierarchy(groups, version);
	if (!path || !find_mount(mounts, version, mount_root, point))
		return false;
	size_t above = str_eq(mount_root, "/") ? 0 : strlen(mount_root);
	const char *below =
		strncmp(path, mount_root, above) == 0 ? path + above : ""; /* a container's: mounted at its own */
	g->top = (size_t)snprintf(g->dir, sizeof(g->dir), "%s%s", root, point);
	if (g->top + strlen(below) >= sizeof(g->dir))
		return false;
	snprintf(g->dir + g->top, sizeof(g->dir) - g->top, "%s", str_eq(below, "/") ? "" : below);
	if (!fs_exists(g->dir))
		g->dir[g->top] = '\0';
	autofree char *sign = xasprintf("%s/%s", g->dir, version == 2 ? "cgroup.controllers" : "memory.limit_in_bytes");
	autofree char *controllers = version == 2 ? read_text(sign) : NULL;
	if (version == 2 ? !controllers || !strstr(controllers, "memory") : !fs_exists(sign))
		return false;
	g->version = version;
	return true;
}

void cgroup_of(const char *root, pid_t pid, struct cgroup *ret)
{
	autofree char *groups_path =
		pid ? xasprintf("%s/proc/%d/cgroup", root, (int)pid) : xasprintf("%s/proc/self/cgroup", root);
	autofree char *mounts_path = xasprintf("%s/proc/self/mountinfo", root);
	autofree char *groups = read_text(groups_path), *mounts = read_text(mounts_path);
	*ret = (struct cgroup){0};
	if (groups && mounts && !find_group(root, groups, mounts, 2, ret) && !find_group(root, groups, mounts, 1, ret))
		*ret = (struct cgroup){0};
}

/* --- what it says --- */

struct names {
	const char *limit, *usage, *cache;
};
static const struct names names[] = {
	[1] = {"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
	[2] = {"memory.max", "memory.current", "inactive_file"},
};

static int64_t file_number(const char *dir, const char *name)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	autofree char *text = read_text(path);
	char *end = text;
	long long n = text ? strtoll(text, &end, 10) : -1;
	return end == text ? -1 : n; /* "max": no number */
}

static size_t left_in(const char *dir, const struct names *n)
{
	int64_t limit = file_number(dir, n->limit), usage = file_number(dir, n->usage);
	if (limit < 0 || usage < 0 || limit >= INT64_MAX / 2) /* version 1's "no limit" is a large number */
		return SIZE_MAX;
	autofree char *stat = xasprintf("%s/memory.stat", dir);
	int64_t cache = MAX(file_value(stat, n->cache), 0);
	return (size_t)MAX(limit - MAX(usage - cache, 0), 0);
}

size_t cgroup_memory_left(const struct cgroup *g)
{
	size_t left = SIZE_MAX;
	struct cgroup at = *g;
	while (at.version) {
		left = MIN(left, left_in(at.dir, &names[at.version]));
		if (strlen(at.dir) <= at.top)
			break;
		*strrchr(at.dir, '/') = '\0';
	}
	return left;
}

int64_t cgroup_oom_kills(const struct cgroup *g)
{
	if (!g->version)
		return -1;
	autofree char *path = xasprintf("%s/%s", g->dir, g->version == 2 ? "memory.events" : "memory.oom_control");
	return file_value(path, "oom_kill");
}

int64_t machine_oom_kills(const char *root)
{
	autofree char *path = xasprintf("%s/proc/vmstat", root);
	return file_value(path, "oom_kill");
}

size_t memory_available(const char *root)
{
	struct cgroup group;
	autofree char *path = xasprintf("%s/proc/meminfo", root);
	int64_t kib = file_value(path, "MemAvailable");
	cgroup_of(root, 0, &group);
	return MIN(kib < 0 ? SIZE_MAX : (size_t)kib << 10, cgroup_memory_left(&group));
}
