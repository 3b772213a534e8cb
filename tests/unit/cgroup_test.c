/* Limits and counters of control groups, from copies of the kernel's files. */
#include "cmocka_all.h"

#include "common/cgroup.h"
#include "common/fs.h"

#include <libgen.h>

static void put(const char *root, const char *path, const char *text)
{
	struct err err;
	autofree char *full = xasprintf("%s/%s", root, path), *copy = xstrdup(full);
	assert_int_equal(fs_mkdirs(dirname(copy), 0755, &err), 0);
	assert_int_equal(fs_write_file(full, text, strlen(text), 0644, &err), 0);
}

#define MIB(n)    ((size_t)(n) << 20)
#define UNLIMITED "9223372036854771712\n"

static void put_common(const char *root, const char *groups, const char *mounts)
{
	put(root, "proc/self/cgroup", groups);
	put(root, "proc/77/cgroup", groups);
	put(root, "proc/self/mountinfo", mounts);
	put(root, "proc/meminfo", "MemTotal:       8388608 kB\nMemFree: 1 kB\nMemAvailable:   4194304 kB\n");
	put(root, "proc/vmstat", "nr_free_pages 5\noom_kill 9\n");
}

static void test_version_2(void **state)
{
	struct cgroup g;
	char *root = temp_dir();
	put_common(root, "0::/a/b\n",
		   "24 1 0:22 / /proc rw - proc proc rw\n30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 "
		   "rw,nsdelegate\n");
	put(root, "sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
	put(root, "sys/fs/cgroup/a/cgroup.controllers", "cpu memory\n");
	put(root, "sys/fs/cgroup/a/memory.max", "1073741824\n");
	put(root, "sys/fs/cgroup/a/memory.current", "805306368\n");
	put(root, "sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 268435456\nactive_file 7\n");
	put(root, "sys/fs/cgroup/a/b/cgroup.controllers", "memory\n");
	put(root, "sys/fs/cgroup/a/b/memory.max", "max\n");
	put(root, "sys/fs/cgroup/a/b/memory.current", "1048576\n");
	put(root, "sys/fs/cgroup/a/b/memory.events", "low 0\noom 4\noom_kill 3\noom_group_kill 1\n");
	cgroup_of(root, 77, &g);
	assert_int_equal(g.version, 2);
	assert_true(cgroup_memory_left(&g) == MIB(512)); /* the limit above it: 1024 - (768 - 256) */
	assert_int_equal(cgroup_oom_kills(&g), 3);
	assert_int_equal(machine_oom_kills(root), 9);
	assert_true(memory_available(root) == MIB(512));
	temp_dir_remove(root);
}

static void test_version_1_beside_2(void **state)
{
	struct cgroup g;
	char *root = temp_dir();
	put_common(root, "4:memory,hugetlb:/jobs\n1:cpu:/\n0::/\n",
		   "40 1 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,hugetlb,memory\n"
		   "41 1 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	put(root, "sys/fs/cgroup/unified/cgroup.controllers", "\n");
	put(root, "sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED);
	put(root, "sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n");
	put(root, "sys/fs/cgroup/memory/jobs/memory.limit_in_bytes", "67108864\n");
	put(root, "sys/fs/cgroup/memory/jobs/memory.usage_in_bytes", "33554432\n");
	put(root, "sys/fs/cgroup/memory/jobs/memory.stat", "inactive_file 1\ntotal_inactive_file 0\n");
	put(root, "sys/fs/cgroup/memory/jobs/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
	cgroup_of(root, 0, &g);
	assert_int_equal(g.version, 1);
	assert_true(cgroup_memory_left(&g) == MIB(32));
	assert_int_equal(cgroup_oom_kills(&g), 2);
	temp_dir_remove(root);
}

static void test_a_container_sees_its_own_group_as_the_mount(void **state)
{
	struct cgroup g;
	char *root = temp_dir();
	put_common(root, "0::/docker/abc/x\n", "30 24 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
	put(root, "sys/fs/cgroup/cgroup.controllers", "memory\n");
	put(root, "sys/fs/cgroup/memory.max", "104857600\n");
	put(root, "sys/fs/cgroup/memory.current", "0\n");
	put(root, "sys/fs/cgroup/x/cgroup.controllers", "memory\n");
	cgroup_of(root, 0, &g);
	assert_true(cgroup_memory_left(&g) == MIB(100));
	temp_dir_remove(root);
}

static void test_more_used_than_allowed_leaves_nothing(void **state)
{
	char *root = temp_dir();
	put_common(root, "0::/\n", "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
	put(root, "sys/fs/cgroup/cgroup.controllers", "memory\n");
	put(root, "sys/fs/cgroup/memory.max", "100\n");
	put(root, "sys/fs/cgroup/memory.current", "200\n");
	assert_true(memory_available(root) == 0);
	temp_dir_remove(root);
}

static void test_no_groups(void **state)
{
	struct cgroup g;
	char *root = temp_dir();
	cgroup_of(root, 0, &g);
	assert_int_equal(g.version, 0);
	assert_true(cgroup_memory_left(&g) == SIZE_MAX && memory_available(root) == SIZE_MAX);
	assert_int_equal(cgroup_oom_kills(&g), -1);
	assert_int_equal(machine_oom_kills(root), -1);
	put_common(root, "nonsense", "36 25 x\n - \n");
	cgroup_of(root, 0, &g);
	assert_int_equal(g.version, 0);
	assert_true(memory_available(root) == MIB(4096));
	temp_dir_remove(root);
}

static void test_this_machine(void **state)
{
	assert_true(memory_available("") > MIB(1) && memory_available("") < SIZE_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_version_2),
		cmocka_unit_test(test_version_1_beside_2),
		cmocka_unit_test(test_a_container_sees_its_own_group_as_the_mount),
		cmocka_unit_test(test_more_used_than_allowed_leaves_nothing),
		cmocka_unit_test(test_no_groups),
		cmocka_unit_test(test_this_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
