/* What this process uses, from /proc/self. */
#pragma once

#include <stdint.h>

/* Peak resident memory since procstat_reset_peak(), MiB. */
int64_t procstat_peak_ram_mib(void);
void procstat_reset_peak(void);
int64_t procstat_ram_mib(void);
/* CPU seconds used by all threads so far. */
double procstat_cpu_seconds(void);
