/* What a daemon says while it runs, on stderr: with a time stamp, or under systemd's journal (JOURNAL_STREAM) with a
 * priority prefix instead.  For programs; library code returns errors and does not log. */
#pragma once

#include "base.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Lines above the level are not written; LOG_LEVEL_INFO unless told. */
void log_set_level(enum log_level level);
/* Level of that name ("error", "warn", "info", "debug"), or -EINVAL. */
int log_level_parse(const char *name);

/* At most one of a call's lines a second; then how many were left out.  For what somebody outside can cause at will. */
struct log_rate {
	double next_s;
	unsigned left_out;
};
void log_seldom(struct log_rate *rate, enum log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void log_line(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
