/* What the kernel says of processes: a pid alone names none for ever, pid + start time + boot do. */
#pragma once

#include "common/base.h"

#include <sys/types.h>

/* Clock ticks after boot (field 22 of /proc/PID/stat); -1: no such process. */
int64_t proc_start_time(pid_t pid);
/* /proc/sys/kernel/random/boot_id; "" when there is none. */
void proc_boot_id(char *buf, size_t size);
/* Kills every process of this user that has that entry ("NAME=VALUE") in its environment, also what those start
 * meanwhile.  Reads all of /proc: for a thread of its own.  Returns how many. */
int proc_kill_marked(const char *entry);
/* The last line of a text file that says something, "" when there is none: what a program said before it died. */
void last_words(const char *path, char *buf, size_t size);
/* When memory is short the kernel shall take that child rather than this process: undoes a protection (a negative
 * oom_score_adj) that it inherited. */
void proc_unprotect(pid_t pid);
/* Cores this process may run on. */
int usable_cores(void);
