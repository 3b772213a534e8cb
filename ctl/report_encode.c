/* Which colour and which dashes a run's lines have.
 *
 * Colour stands for the first swept parameter, together with the second where both fit into the palette (then the
 * second picks the strong or the light one of a pair); dashes stand for the next that has few enough values.  A
 * parameter of more values than the palette has colours is cut into eight ranges from dark to light. */
#include "ctl/report.h"
#include "ctl/format.h"
#include "common/json.h"

#define AXES_MAX 8 /* so many swept parameters are looked at */

static int compare_numbers(const void *a, const void *b)
{
	double first = json_number_value(*(json_t *const *)a), second = json_number_value(*(json_t *const *)b);

	return (first > second) - (first < second);
}

static size_t level_of(const json_t *levels, const json_t *value)
{
	size_t i;
	json_t *level;

	json_array_foreach(levels, i, level) if (json_equal(level, value)) return i;
	return json_array_size(levels);
}

/* A parameter that a job does not have counts as null. */
static json_t *value_of(const struct report_run *run, const char *name)
{
	json_t *value = json_object_get(run->job->config, name);

	return value ? value : json_null();
}

json_t *report_levels(const struct report *rep, const char *name)
{
	autojson json_t *seen = json_array();
	bool numbers = true;

	for (size_t i = 0; i < rep->n_runs; i++) {
		json_t *value = value_of(&rep->runs[i], name);
		if (level_of(seen, value) < json_array_size(seen))
			continue;
		json_array_append(seen, value);
		numbers = numbers && json_is_number(value);
	}
	size_t n = json_array_size(seen);
	json_t **values = xcalloc(n + 1, sizeof(json_t *)), *levels = json_array();
	for (size_t i = 0; i < n; i++)
		values[i] = json_array_get(seen, i);
	if (numbers)
		qsort(values, n, sizeof(json_t *), compare_numbers);
	for (size_t i = 0; i < n; i++)
		json_array_append(levels, values[i]);
	free(values);
	return levels;
}

char *report_value(const struct report_run *run, const char *name)
{
	return format_value(value_of(run, name));
}

struct factor { /* a swept parameter; levels NULL: there is none */
	const char *name;
	json_t *levels;
	size_t n; /* 1 where there is none */
};

static struct factor factor_of(const struct report *rep, size_t i)
{
	const char *name = json_string_value(json_array_get(rep->axes, i));
	json_t *levels = name ? report_levels(rep, name) : NULL;

	return (struct factor){name, levels, levels ? json_array_size(levels) : 1};
}

static size_t factor_level(const struct factor *f, const struct report_run *run)
{
	return f->levels ? level_of(f->levels, value_of(run, f->name)) : 0;
}

static char *level_text(const struct factor *f, size_t i)
{
	return f->levels ? format_value(json_array_get(f->levels, i)) : xstrdup("");
}

/* Eight ranges of a parameter with many values. */
static void encode_ranges(struct report *rep, const struct factor *f)
{
	struct report_code *code = &rep->code;

	for (size_t i = 0; i < rep->n_runs; i++)
		rep->runs[i].hue = (int)(REPORT_HUES + factor_level(f, &rep->runs[i]) * REPORT_HUES / f->n);
	for (size_t range = 0; range < REPORT_HUES; range++) {
		size_t first = (range * f->n + REPORT_HUES - 1) / REPORT_HUES;
		size_t last = ((range + 1) * f->n + REPORT_HUES - 1) / REPORT_HUES - 1;
		autofree char *lo = level_text(f, first), *hi = level_text(f, last);
		code->hues[REPORT_HUES + range] = first == last ? steal_ptr(lo) : xasprintf("%s to %s", lo, hi);
	}
}

/* One colour for each pair of values of the two; b may be of none. */
static void encode_hues(struct report *rep, const struct factor *a, const struct factor *b)
{
	struct report_code *code = &rep->code;
	size_t stride = b->levels ? b->n : a->n <= REPORT_HUES / 2 ? 2 : 1;

	for (size_t i = 0; i < rep->n_runs; i++)
		rep->runs[i].hue = (int)(factor_level(a, &rep->runs[i]) * stride + factor_level(b, &rep->runs[i]));
	for (size_t i = 0; i < a->n; i++) {
		for (size_t k = 0; k < b->n; k++) {
			autofree char *first = level_text(a, i), *second = level_text(b, k);
			code->hues[i * stride + k] = b->levels ? xasprintf("%s, %s", first, second) : steal_ptr(first);
		}
	}
}

static void encode_dashes(struct report *rep, const struct factor *f)
{
	struct report_code *code = &rep->code;

	if (!f->levels || f->n > REPORT_DASHES)
		return;
	json_array_append_new(code->dash_by, json_string_nocheck(f->name));
	for (size_t i = 0; i < rep->n_runs; i++)
		rep->runs[i].dash = (int)factor_level(f, &rep->runs[i]);
	for (size_t i = 0; i < f->n; i++)
		code->dashes[i] = level_text(f, i);
}

void report_encode(struct report *rep)
{
	struct factor f[AXES_MAX], none = {.n = 1};
	struct report_code *code = &rep->code;

	for (size_t i = 0; i < AXES_MAX; i++)
		f[i] = factor_of(rep, i);
	bool both = f[1].levels && f[0].n * f[1].n <= REPORT_HUES;
	code->hue_by = json_array();
	code->dash_by = json_array();
	for (size_t i = 0; i < (both ? 2u : f[0].levels ? 1u : 0u); i++)
		json_array_append_new(code->hue_by, json_string_nocheck(f[i].name));
	if (!f[0].levels)
		for (size_t i = 0; i < rep->n_runs; i++)
			rep->runs[i].hue = (int)(i % REPORT_HUES);
	else if (f[0].n > REPORT_HUES)
		encode_ranges(rep, &f[0]);
	else
		encode_hues(rep, &f[0], both ? &f[1] : &none);
	for (size_t i = both ? 2 : 1; i < AXES_MAX && !json_array_size(code->dash_by); i++)
		encode_dashes(rep, &f[i]);
	for (size_t i = 0; i < AXES_MAX; i++)
		json_decref(f[i].levels);
}

void report_code_fini(struct report_code *code)
{
	json_decref(code->hue_by);
	json_decref(code->dash_by);
	for (size_t i = 0; i < ARRAY_LEN(code->hues); i++)
		free(code->hues[i]);
	for (size_t i = 0; i < ARRAY_LEN(code->dashes); i++)
		free(code->dashes[i]);
}
