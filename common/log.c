/* See log.h. */
#include "log.h"

#include "clock.h"

static const struct {
	const char *name;
	int priority; /* sd-daemon(3) */
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", 3},
	[LOG_LEVEL_WARN] = {"warn", 4},
	[LOG_LEVEL_INFO] = {"info", 6},
	[LOG_LEVEL_DEBUG] = {"debug", 7},
};

static enum log_level limit = LOG_LEVEL_INFO;

void log_set_level(enum log_level level)
{
	limit = level;
}

int log_level_parse(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(levels); i++)
		if (str_eq(levels[i].name, name))
			return (int)i;
	return -EINVAL;
}

static void print_head(enum log_level level)
{
	if (getenv("JOURNAL_STREAM")) {
		fprintf(stderr, "<%d>", levels[level].priority);
		return;
	}
	char stamp[32];
	int64_t now = wall_ms();
	time_t seconds = (time_t)(now / 1000);
	struct tm tm;
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", localtime_r(&seconds, &tm));
	fprintf(stderr, "%s.%03d %-5s ", stamp, (int)(now % 1000), levels[level].name);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	if (level > limit)
		return;
	va_list ap;
	va_start(ap, fmt);
	flockfile(stderr);
	print_head(level);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	funlockfile(stderr);
	va_end(ap);
}
