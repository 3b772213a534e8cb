/* sweepctl watch on a terminal: the picture.  Painted as lines of text; screen.c puts it over the last one. */
#include "ctl/format.h"
#include "ctl/table.h"
#include "ctl/text.h"
#include "ctl/watch.h"
#include "common/clock.h"
#include "common/json.h"

#include <math.h>

#define JOB_BAR     8
#define LINES_BELOW 6 /* below the jobs: a blank, paused, news, keys, the cursor's; and the table's titles */

static const enum job_state count_order[] = {JOB_DONE,   JOB_RUNNING,   JOB_QUEUED, JOB_FAILED,
					     JOB_PAUSED, JOB_CANCELLED, JOB_PRUNED};

_Static_assert(ARRAY_LEN(count_order) == N_JOB_STATES, "all states");

/* "s1 grid   4 done, 2 running, 2 queued"; allocated. */
static char *headline(const struct watch *w, const struct estimate *e)
{
	const struct sweep_row *sweep = watch_sweep(w);
	size_t n_sweeps = 1;
	const char *comma = "";
	char *text = NULL;

	for (size_t i = 1; i < w->sel.n_parts; i++)
		n_sweeps += w->sel.parts[i].sweep != w->sel.parts[i - 1].sweep;
	if (!sweep)
		text = xasprintf("%zu sweeps   ", n_sweeps);
	else if ((int64_t)w->survey.n == sweep->n_jobs)
		text = xasprintf("s%lld %s   ", (long long)sweep->id, sweep->name);
	else
		text = xasprintf("%zu of s%lld %s   ", w->survey.n, (long long)sweep->id, sweep->name);
	for (size_t i = 0; i < ARRAY_LEN(count_order); i++) {
		size_t count = e->counts[count_order[i]];
		if (!count)
			continue;
		text_append(&text, "%s%zu %s", comma, count, job_state_names[count_order[i]]);
		comma = ", ";
	}
	return text;
}

/* "1 h 36 m so far, 1 h 59 m left"; allocated. */
static char *times(const struct watch *w, const struct estimate *e)
{
	bool over = !e->counts[JOB_RUNNING] && !e->counts[JOB_QUEUED];
	char text[FORMAT_MAX];
	char *line = NULL;

	if (!w->first_ms)
		return xstrdup(over ? "" : "not started yet");
	double so_far = (double)((over ? w->last_ms : wall_ms()) - w->first_ms) / 1000;
	text_append(&line, over ? "%s" : "%s so far, ", format_span(so_far, text));
	if (!over && isnan(e->left_seconds))
		text_append(&line, "time: known after the first epoch");
	else if (!over)
		text_append(&line, "%s left", left_text(e, text));
	return line;
}

/* left and right, pushed apart to the width of the screen; they share a line only where both fit. */
static void print_apart(FILE *out, const struct screen *s, const char *left, const char *right)
{
	size_t taken = text_columns(left, strlen(left)) + text_columns(right, strlen(right));

	if (taken + 2 > (size_t)s->columns)
		fprintf(out, "%s\n%s\n", left, right);
	else
		fprintf(out, "%s%*s%s\n", left, (int)((size_t)s->columns - taken), "", right);
}

/* "[#####-----]  45 % of the time   best 75.90  (job 3)"; by the count of jobs while no time is known. */
static void draw_progress(FILE *out, const struct watch *w, const struct estimate *e)
{
	const struct sweep_row *sweep = watch_sweep(w);
	bool known = !isnan(e->fraction);
	size_t over = w->survey.n - e->counts[JOB_RUNNING] - e->counts[JOB_QUEUED] - e->counts[JOB_PAUSED];
	double fraction = known ? e->fraction : (double)over / (double)w->survey.n;
	autofree char *text = xasprintf(" %3.0f %% of the %s", floor(fraction * 100), known ? "time" : "jobs");
	char value[FORMAT_MAX];

	if (sweep && w->best_job)
		text_append(&text, "   best %s  (job %lld)", metric_text(sweep->metric, w->best_value, value),
			    (long long)w->best_job);
	int room = w->ctl->out.columns, cells = MIN(room / 2 - 2, room - (int)strlen(text) - 2);
	autofree char *bar = format_bar(fraction, MAX(cells, 10));
	fprintf(out, "%s%s\n", bar, text);
}

static const struct job_row *job_on(const struct watch *w, const char *device)
{
	for (size_t i = 0; i < w->survey.n_jobs; i++) {
		const struct job_row *job = &w->survey.jobs[i];
		if (job->state == JOB_RUNNING && job->device && str_eq(job->device, device))
			return job;
	}
	return NULL;
}

/* "cpu     Intel Xeon, 2 threads   187 %   655 MiB   job 5" */
static void draw_devices(FILE *out, const struct watch *w)
{
	const struct screen *s = &w->ctl->out;

	for (size_t i = 0; i < w->n_devices; i++) {
		const struct device_row *d = &w->devices[i];
		const struct job_row *job = job_on(w, d->id);
		autofree char *name = text_clean(d->name ? d->name : "");
		autofree char *reason = text_clean(d->reason ? d->reason : "");
		fprintf(out, "%-7s %s", d->id, name);
		if (!str_eq(d->state, "ready"))
			fprintf(out, "  %s%s%s%s%s", tone_on(s, TONE_WARN),
				str_eq(d->state, "absent") ? "absent" : "set aside", d->reason ? ": " : "",
				reason, tone_off(s, TONE_WARN));
		autofree char *use = device_use_text(d);
		if (*use)
			fprintf(out, "   %s", use);
		if (job && !isnan(job->ram_mib))
			fprintf(out, "   %.0f MiB", job->ram_mib);
		if (job)
			fprintf(out, "   job %lld", (long long)job->id);
		fputc('\n', out);
	}
	if (w->n_devices)
		fputc('\n', out);
}

static void job_cells(struct table *t, const struct watch *w, const struct job_row *job, const json_t *columns, double left_s)
{
	bool running = job->state == JOB_RUNNING;
	const struct live *live = running ? watch_live(w, job) : NULL;
	char text[FORMAT_MAX];
	size_t k;
	json_t *name;

	snprintf(text, sizeof(text), "%lld", (long long)job->id);
	table_cell(t, text);
	json_array_foreach(columns, k, name)
	{
		autofree char *value = format_value(json_object_get(job->config, json_string_value(name)));
		table_cell(t, value);
	}
	double part = live ? live->part : 0;
	autofree char *bar = format_bar((job->epoch + part) / MAX(job->epochs, 1), JOB_BAR);
	const char *state = job_state_names[job->state];
	table_cell_tone(t, running ? bar : state, state_tone(state));
	snprintf(text, sizeof(text), "%d/%d", job->epoch, job->epochs);
	table_cell(t, job->attempts ? text : "");
	table_cell(t, format_speed(live && live->images_per_second > 0 ? live->images_per_second
									  : job->images_per_second,
				   text));
	table_cell(t, format_accuracy(job->test_accuracy, text));
	table_cell(t, !running ? "" : left_s < 1 ? "<1s" : format_short(left_s, text));
}

/* Rows that may be shown. */
static const struct job_row *rows_of(const struct watch *w, size_t *ret_n)
{
	*ret_n = w->page ? w->n_page : w->survey.n_jobs;
	return w->page ? w->page : w->survey.jobs;
}

/* The jobs that have room: all in their order, else by what needs eyes first. */
static size_t *choose(const struct watch *w, size_t room, size_t *ret_n)
{
	size_t n_rows, n = 0;
	const struct job_row *rows = rows_of(w, &n_rows);
	size_t *order = xcalloc(n_rows + 1, sizeof(*order));

	if (w->survey.n <= room) {
		while (n < n_rows) {
			order[n] = n;
			n++;
		}
	}
	for (size_t k = 0; w->survey.n > room && k < N_JOB_STATES; k++)
		for (size_t i = 0; i < n_rows && n < room; i++)
			if (rows[i].state == eyes_order[k])
				order[n++] = i;
	*ret_n = n;
	return order;
}

/* Of a row that may be shown. */
static double left_of(const struct watch *w, const struct estimate *e, const struct job_row *job)
{
	for (size_t i = 0; job->state == JOB_RUNNING && i < w->survey.n_jobs; i++)
		if (w->survey.jobs[i].id == job->id)
			return e->left[i];
	return NAN;
}

/* above: lines of the picture that are there already. */
static void draw_jobs(FILE *out, const struct watch *w, const struct estimate *e, size_t above)
{
	const struct screen *s = &w->ctl->out;
	size_t around = above + LINES_BELOW;
	size_t room = (size_t)s->rows > around + 2 ? (size_t)s->rows - around : 2, n, n_rows;
	const struct job_row *rows = rows_of(w, &n_rows);
	json_t *columns = selection_columns(&w->sel, false), *name;
	struct table *t = table_new();
	size_t i;

	table_column(t, "JOB", true, 0);
	json_array_foreach(columns, i, name)
	{
		autofree char *title = format_upper(json_string_value(name));
		table_column(t, title, false, 0);
		table_shrink(t, 8);
	}
	table_column(t, "STATE", false, 0);
	table_column(t, "EPOCH", true, 1);
	table_column(t, "IMG/S", true, 3);
	table_column(t, "TEST %", true, 0);
	table_column(t, "LEFT", true, 2);
	autofree size_t *order = choose(w, w->survey.n > room ? room - 1 : room, &n);
	for (i = 0; i < n; i++)
		job_cells(t, w, &rows[order[i]], columns, left_of(w, e, &rows[order[i]]));
	table_print(t, s, out);
	if (n < w->survey.n)
		fprintf(out, "    %zu more\n", w->survey.n - n);
	table_free(t);
	json_decref(columns);
}

static size_t count_lines(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

/* A low terminal has no room for empty lines, and what does not fit even so is cut off at the end: the head would scroll
 * off, where nothing can paint over it. */
static void fit_rows(char *picture, size_t room)
{
	size_t n = count_lines(picture), size;
	char *to = picture;

	for (const char *at = picture; *at; at += size) {
		size = strcspn(at, "\n") + 1;
		if (size == 1 && n > room) {
			n--;
			continue;
		}
		memmove(to, at, size);
		to += size;
	}
	for (; n > room; n--)
		for (to--; to > picture && to[-1] != '\n';)
			to--;
	*to = 0;
}

void watch_draw(struct watch *w)
{
	struct screen *s = &w->ctl->out;
	struct estimate e;
	autofree char *picture = NULL;
	size_t size = 0;
	char at[FORMAT_MAX];
	FILE *out = open_memstream(&picture, &size);

	INVARIANT(out, "no memory for a picture");
	watch_estimate(w, &e);
	autofree char *left = headline(w, &e);
	autofree char *clean = text_clean(left);
	autofree char *right = times(w, &e);
	if (w->gone_ms)
		fprintf(out, "%ssweepd is gone since %s; workers go on; trying to reach it%s\n", tone_on(s, TONE_WARN),
			format_clock(w->gone_ms, at), tone_off(s, TONE_WARN));
	print_apart(out, s, clean, right);
	draw_progress(out, w, &e);
	fputc('\n', out);
	draw_devices(out, w);
	fflush(out);
	draw_jobs(out, w, &e, count_lines(picture));
	fputc('\n', out);
	bool moving = e.counts[JOB_RUNNING] || e.counts[JOB_QUEUED];
	if (!moving && e.counts[JOB_PAUSED])
		fprintf(out, "%sall that is left is paused%s; sweepctl resume lets it go on\n", tone_on(s, TONE_WARN),
			tone_off(s, TONE_WARN));
	fprintf(out, "%s\n", w->news ? w->news : "");
	if (s->keys && (moving || e.counts[JOB_PAUSED]))
		fputs("q leave (training goes on)\n", out);
	fclose(out);
	fit_rows(picture, (size_t)MAX(s->rows - 1, 1));
	screen_draw(s, picture);
	estimate_fini(&e);
}
