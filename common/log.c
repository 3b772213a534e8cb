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

static void print_line(enum log_level level, const char *fmt, va_list ap)
{
	if (level > limit)
		return;
	flockfile(stderr);
	print_head(level);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	funlockfile(stderr);
}

void log_line(enum log_level level, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	print_line(level, fmt, ap);
	va_end(ap);
}

void log_seldom(struct log_rate *rate, enum log_level level, const char *fmt, ...)
{
	double now_s = monotonic_s();
	if (now_s < rate->next_s) {
		rate->left_out++;
		return;
	}
	if (rate->left_out)
		log_line(level, "%u lines like the next one were left out", rate->left_out);
	*rate = (struct log_rate){.next_s = now_s + 1};
	va_list ap;
	va_start(ap, fmt);
	print_line(level, fmt, ap);
	va_end(ap);
}
