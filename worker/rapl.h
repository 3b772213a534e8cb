/* Energy of the processor's packages as RAPL counts it (/sys/class/powercap), where this user may read it: often only root
 * may.  It is the whole machine's, whoever uses it; memory is not in it. */
#pragma once

struct rapl;

/* dir: /sys/class/powercap; NULL: that.  NULL: there are no packages, or one of them cannot be read. */
struct rapl *rapl_new(const char *dir);
void rapl_free(struct rapl *rapl); /* accepts NULL */
/* Joules of all packages since rapl_new(); at least once in the minutes that a counter needs to begin anew.  NAN: one could
 * not be read. */
double rapl_joules(struct rapl *rapl);
