/* Whether the kernel killed a worker for lack of memory.  It does not say so to anybody but root (/dev/kmsg), but it
 * counts: per control group and for the machine.  The counters are read when a job starts and when its worker has
 * ended. */
#pragma once

#include "common/cgroup.h"

struct oom_counters { /* -1: not known */
	int64_t group, machine;
};

/* Of the group that process is in now. */
void oom_read(struct oom_counters *ret, const struct cgroup *group);

enum oom_verdict { OOM_NO, OOM_PROBABLY, OOM_YES };

/* signal: that ended it; 0: it ended by itself; -1: not known (nobody's child here).
 * YES: its group's counter rose.  PROBABLY: only the machine's did, and the worker ended by the signal the kernel uses:
 * another victim at the same moment is possible.  Pure. */
enum oom_verdict oom_judge(const struct oom_counters *before, const struct oom_counters *after, int signal);
