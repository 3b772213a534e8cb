/* Numbers as a person reads them; see format.h. */
#include "ctl/format.h"
#include "ctl/columns.h"
#include "common/clock.h"
#include "common/json.h"

#include <ctype.h>
#include <math.h>
#include <time.h>

const char *format_accuracy(double percent, char *buf)
{
	buf[0] = 0;
	if (isfinite(percent))
		snprintf(buf, FORMAT_MAX, "%.2f", percent);
	return buf;
}

const char *format_minutes(double minutes, char *buf)
{
	buf[0] = 0;
	if (isfinite(minutes) && minutes < 0.1)
		snprintf(buf, FORMAT_MAX, "%.2f s", minutes * 60);
	else if (isfinite(minutes))
		snprintf(buf, FORMAT_MAX, "%.2f min", minutes);
	return buf;
}

const char *format_minutes_bare(double minutes, char *buf)
{
	buf[0] = 0;
	if (isfinite(minutes))
		snprintf(buf, FORMAT_MAX, "%.*f", minutes < 0.1 ? 4 : 2, minutes);
	return buf;
}

const char *format_span(double seconds, char *buf)
{
	if (!isfinite(seconds))
		return strcpy(buf, "-");
	int64_t s = (int64_t)(seconds < 0 ? 0 : seconds + 0.5);
	if (s < 60)
		snprintf(buf, FORMAT_MAX, "%d s", (int)s);
	else if (s < 3600)
		snprintf(buf, FORMAT_MAX, "%d m %d s", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(buf, FORMAT_MAX, "%d h %d m", (int)(s / 3600), (int)(s % 3600 / 60));
	else
		snprintf(buf, FORMAT_MAX, "%lld d %d h", (long long)(s / 86400), (int)(s % 86400 / 3600));
	return buf;
}

const char *format_short(double seconds, char *buf)
{
	buf[0] = 0;
	if (!isfinite(seconds))
		return buf;
	int64_t s = (int64_t)(seconds < 0 ? 0 : seconds + 0.5);
	if (s < 60)
		snprintf(buf, FORMAT_MAX, "%ds", (int)s);
	else if (s < 3600)
		snprintf(buf, FORMAT_MAX, "%dm", (int)(s / 60));
	else if (s < 86400)
		snprintf(buf, FORMAT_MAX, "%dh%02dm", (int)(s / 3600), (int)(s % 3600 / 60));
	else
		snprintf(buf, FORMAT_MAX, "%lldd%02dh", (long long)(s / 86400), (int)(s % 86400 / 3600));
	return buf;
}

const char *format_bytes(double bytes, char *buf)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t unit = 0;

	while (bytes >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, FORMAT_MAX, unit == 0 || bytes >= 100 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
	return buf;
}

const char *format_speed(double per_second, char *buf)
{
	buf[0] = 0;
	if (isfinite(per_second))
		snprintf(buf, FORMAT_MAX, "%.*f", per_second < 10 ? 2 : per_second < 100 ? 1 : 0, per_second);
	return buf;
}

const char *format_count(int64_t n, char *buf)
{
	char digits[24];
	size_t size = (size_t)snprintf(digits, sizeof(digits), "%lld", (long long)n), at = 0;

	for (size_t i = 0; i < size; i++) {
		if (i && (size - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = 0;
	return buf;
}

const char *format_loss(double loss, char *buf)
{
	buf[0] = 0;
	if (isfinite(loss))
		snprintf(buf, FORMAT_MAX, "%.3f", loss);
	return buf;
}

const char *format_clock(int64_t ms, char *buf)
{
	time_t t = ms / 1000, now = wall_ms() / 1000;
	struct tm tm, today;

	localtime_r(&t, &tm);
	localtime_r(&now, &today);
	bool same_day = tm.tm_year == today.tm_year && tm.tm_yday == today.tm_yday;
	strftime(buf, FORMAT_MAX, same_day ? "%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
	return buf;
}

const char *format_rfc3339(int64_t ms, char *buf)
{
	time_t t = ms / 1000;
	struct tm tm;
	char zone[8];

	localtime_r(&t, &tm);
	strftime(zone, sizeof(zone), "%z", &tm);
	size_t used = strftime(buf, FORMAT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(buf + used, FORMAT_MAX - used, ".%03d%.3s:%.2s", (int)(ms % 1000), zone, zone + 3);
	return buf;
}

char *format_bar(double fraction, int cells)
{
	char *bar = xmalloc((size_t)cells + 3);
	int full = isfinite(fraction) ? (int)(fraction * cells + 1e-9) : 0;

	full = full < 0 ? 0 : full > cells ? cells : full;
	bar[0] = '[';
	memset(bar + 1, '#', (size_t)full);
	memset(bar + 1 + full, '-', (size_t)(cells - full));
	strcpy(bar + 1 + cells, "]");
	return bar;
}

char *format_value(const json_t *value)
{
	char number[32];

	if (!value || json_is_null(value))
		return xstrdup("-");
	if (json_is_string(value))
		return text_clean(json_string_value(value));
	if (json_is_real(value))
		return xstrdup(number_text(json_real_value(value), number));
	return json_line(value);
}

char *format_jobs(const int64_t *ids, size_t n)
{
	char *text = xstrdup(n == 1 ? "job " : "jobs ");

	for (size_t i = 0; i < n; i++) {
		size_t last = i;
		while (last + 1 < n && ids[last + 1] == ids[last] + 1)
			last++;
		text_append(&text, "%s%lld", i ? "," : "", (long long)ids[i]);
		if (last > i)
			text_append(&text, "-%lld", (long long)ids[last]);
		i = last;
	}
	return text;
}

char *format_path(const char *path)
{
	const char *home = getenv("HOME");
	size_t size = home ? strlen(home) : 0;

	if (size > 1 && strncmp(path, home, size) == 0 && (path[size] == '/' || !path[size]))
		return xasprintf("~%s", path + size);
	return xstrdup(path);
}

char *format_upper(const char *text)
{
	char *upper = xstrdup(text);

	for (char *c = upper; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	return upper;
}

void text_append(char **text, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	autofree char *more = xvasprintf(fmt, ap);
	va_end(ap);
	size_t used = *text ? strlen(*text) : 0;
	*text = xrealloc_array(*text, used + strlen(more) + 1, 1);
	strcpy(*text + used, more);
}
