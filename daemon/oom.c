/* See oom.h. */
#include "oom.h"

#include <signal.h>

void oom_read(struct oom_counters *ret, const struct cgroup *group)
{
	*ret = (struct oom_counters){.group = cgroup_oom_kills(group), .machine = machine_oom_kills("")};
}

static bool rose(int64_t before, int64_t after)
{
	return before >= 0 && after > before;
}

enum oom_verdict oom_judge(const struct oom_counters *before, const struct oom_counters *after, int signal)
{
	if (signal != SIGKILL && signal != -1)
		return OOM_NO;
	if (rose(before->group, after->group))
		return OOM_YES;
	return signal == SIGKILL && rose(before->machine, after->machine) ? OOM_PROBABLY : OOM_NO;
}
