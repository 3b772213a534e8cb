/* See duration.h. */
#include "duration.h"

#include <math.h>

static const struct {
	char letter;
	double seconds;
} units[] = {{'d', 86400}, {'h', 3600}, {'m', 60}, {'s', 1}};

/* A plain decimal number: no sign, no exponent, no hexadecimal. */
static bool take_number(const char **at, double *ret)
{
	size_t size = strspn(*at, "0123456789.");
	char digits[32];
	char *end;
	if (size == 0 || size >= sizeof(digits) || (*at)[0] == '.')
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)size, *at);
	*ret = strtod(digits, &end);
	*at += size;
	return *end == '\0';
}

/* "1d12h": each unit at most once, the largest first. */
static bool parse_units(const char *text, double *ret)
{
	double n, sum = 0;
	size_t next = 0;
	for (const char *at = text; *at; at++) {
		if (!take_number(&at, &n))
			return false;
		while (next < ARRAY_LEN(units) && units[next].letter != *at)
			next++;
		if (next == ARRAY_LEN(units))
			return false;
		sum += n * units[next++].seconds;
	}
	*ret = sum;
	return *text;
}

/* "D-HH[:MM[:SS]]" or "HH:MM:SS". */
static bool parse_clock(const char *text, double *ret)
{
	double parts[4] = {0}; /* days, hours, minutes, seconds */
	bool days = strchr(text, '-');
	size_t first = days ? 0 : 1, i = first;
	const char *at = text;
	for (;; i++) {
		if (i == ARRAY_LEN(parts) || strspn(at, "0123456789") == 0 || !take_number(&at, &parts[i]) ||
		    parts[i] != floor(parts[i]))
			return false;
		if (i > first && parts[i] > (i == 1 ? 23 : 59))
			return false;
		if (!*at)
			break;
		if (*at++ != (i == 0 ? '-' : ':'))
			return false;
	}
	*ret = parts[0] * 86400 + parts[1] * 3600 + parts[2] * 60 + parts[3];
	return days ? i >= 1 : i == 3;
}

int duration_parse(const char *text, double *ret_s, struct err *err)
{
	double s;
	if (!parse_units(text, &s) && !parse_clock(text, &s))
		return err_set(err, -EINVAL, "\"%.40s\" is not a length of time", text);
	if (!(s > 0 && s <= DURATION_MAX_S))
		return err_set(err, -EINVAL, "\"%.40s\" is not between nothing and a year", text);
	*ret_s = s;
	return 0;
}

const char *duration_text(double seconds, char *buf)
{
	static const struct {
		const char *name;
		double seconds;
	} names[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	if (seconds < 120) {
		snprintf(buf, DURATION_TEXT_MAX, "%.3g s", seconds);
		return buf;
	}
	double whole = round(seconds);
	size_t i = 0;
	while (whole < names[i].seconds)
		i++;
	double large = floor(whole / names[i].seconds),
	       small = i + 1 < ARRAY_LEN(names) ? floor(fmod(whole, names[i].seconds) / names[i + 1].seconds) : 0;
	if (small > 0)
		snprintf(buf, DURATION_TEXT_MAX, "%.0f %s %.0f %s", large, names[i].name, small, names[i + 1].name);
	else
		snprintf(buf, DURATION_TEXT_MAX, "%.0f %s", large, names[i].name);
	return buf;
}
