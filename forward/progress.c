/* See progress.h. */
#include "progress.h"

#include "common/clock.h"
#include "common/duration.h"

#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_S 0.2
#define LINE_S   2.0 /* between plain lines */
#define CELLS    20

const char *bytes_text(int64_t bytes, char *buf)
{
	static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	size_t unit = 0;
	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

void progress_init(struct progress *p)
{
	const char *term = getenv("TERM");
	*p = (struct progress){0};
	p->terminal = isatty(STDERR_FILENO) && term && !str_eq(term, "dumb");
}

void progress_begin(struct progress *p, const char *name, int64_t total, int64_t done)
{
	p->name = name;
	p->total = total;
	p->begun_at = done;
	p->begun_s = monotonic_s();
	p->drawn_s = p->terminal ? 0 : p->begun_s;
	p->tenth = total ? (int)(done * 10 / total) : 0;
}

static int terminal_columns(void)
{
	struct winsize size;
	return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
}

/* "43 %  72.1 MiB of 160.7 MiB  5.2 MiB/s  17 s left". */
static char *numbers(const struct progress *p, int64_t done)
{
	char have[32], all[32], rate[32], left[DURATION_TEXT_MAX];
	double passed_s = monotonic_s() - p->begun_s,
	       per_s = passed_s > 0.5 ? (double)(done - p->begun_at) / passed_s : 0;
	autofree char *speed = per_s > 0 ? xasprintf("  %s/s", bytes_text((int64_t)per_s, rate)) : xstrdup("");
	if (!p->total)
		return xasprintf("%s%s", bytes_text(done, have), speed);
	double left_s = per_s > 0 ? (double)(p->total - done) / per_s : 0;
	autofree char *time =
		left_s >= 1 ? xasprintf("  %s left", duration_text((double)(int64_t)left_s, left)) : xstrdup("");
	return xasprintf("%3d %%  %s of %s%s%s", (int)(done * 100 / p->total), bytes_text(done, have),
			 bytes_text(p->total, all), speed, time);
}

static void draw(struct progress *p, int64_t done)
{
	char bar[CELLS + 1] = "";
	autofree char *text = numbers(p, done);
	int full = p->total ? (int)(MIN(done, p->total) * CELLS / p->total) : 0;
	for (int i = 0; i < CELLS; i++)
		bar[i] = i < full ? '#' : '-';
	autofree char *line =
		p->total ? xasprintf("%s  [%s]  %s", p->name, bar, text) : xasprintf("%s  %s", p->name, text);
	fprintf(stderr, "\r%.*s\033[K", terminal_columns() - 1, line);
	fflush(stderr);
	p->drawn = true;
	p->drawn_s = monotonic_s();
}

void progress_update(struct progress *p, int64_t done)
{
	int tenth = p->total ? (int)(done * 10 / p->total) : 0;
	if (p->terminal) {
		if (monotonic_s() - p->drawn_s >= REDRAW_S)
			draw(p, done);
		return;
	}
	if (tenth <= p->tenth || tenth >= 10 || monotonic_s() - p->drawn_s < LINE_S)
		return;
	autofree char *text = numbers(p, done);
	fprintf(stderr, "%s  %s\n", p->name, text);
	p->tenth = tenth;
	p->drawn_s = monotonic_s();
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	va_list ap;
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

void progress_end(struct progress *p, int64_t done)
{
	if (!p->name)
		return;
	if (p->terminal) {
		draw(p, done);
		fputc('\n', stderr);
		p->drawn = false;
	}
	p->name = NULL;
}
