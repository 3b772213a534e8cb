/* What watch and wait know of the store.  However many jobs there are, they hold a survey of them, the jobs that are
 * shown, and those of which lines were said. */
#include "ctl/watch.h"
#include "common/clock.h"

#include <math.h>

#define PICTURE_JOBS   200
#define EVENTS_AT_ONCE 1000

const struct sweep_row *watch_sweep(const struct watch *w)
{
	for (size_t i = 1; i < w->sel.n_parts; i++)
		if (w->sel.parts[i].sweep != w->sel.parts[0].sweep)
			return NULL;
	return w->sel.n_parts ? sweep_row_find(w->sel.sweeps, w->sel.n_sweeps, w->sel.parts[0].sweep) : NULL;
}

/* Rows for a picture of more jobs than the survey holds. */
static int read_page(struct watch *w, struct err *err)
{
	int e = 0;

	job_rows_free(w->page, w->n_page);
	w->page = NULL;
	w->n_page = 0;
	if (w->lines || w->survey.n_jobs == w->survey.n)
		return 0;
	for (size_t k = 0; k < N_JOB_STATES; k++)
		for (size_t i = 0; e >= 0 && i < w->sel.n_parts && w->n_page < PICTURE_JOBS; i++) {
			const struct job_page page = {.of = w->sel.parts[i], .state = (int)eyes_order[k],
						      .limit = (int64_t)(PICTURE_JOBS - w->n_page)};
			e = reader_page(w->reader, &page, &w->page, &w->n_page, err);
		}
	return e;
}

static int take_best(void *data, const struct job_row *job, struct err *err)
{
	struct watch *w = data;

	(void)err;
	w->best_job = isnan(job->value) ? 0 : job->id;
	w->best_value = job->value;
	return 0;
}

static void take_start(struct watch *w, int64_t ms)
{
	if (ms && (!w->first_ms || ms < w->first_ms))
		w->first_ms = ms;
}

/* When it began, once that is known, and when it was over. */
static int read_times(struct watch *w, struct err *err)
{
	bool over = !w->survey.counts[JOB_RUNNING] && !w->survey.counts[JOB_QUEUED];
	bool known = w->first_ms;
	int e = 0;

	for (size_t i = 0; e >= 0 && i < w->sel.n_parts; i++) {
		int64_t began = 0, ended = 0;
		e = known ? 0 : reader_began(w->reader, &w->sel.parts[i], &began, err);
		if (e >= 0 && over)
			e = reader_ended(w->reader, &w->sel.parts[i], &ended, err);
		take_start(w, began);
		w->last_ms = MAX(w->last_ms, ended);
	}
	for (size_t i = 0; i < w->survey.n_jobs; i++)
		take_start(w, w->survey.jobs[i].started_ms); /* one that overtook the first */
	return e;
}

/* Forgets the progress of jobs that do not run any more. */
static void drop_live(struct watch *w)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_live; i++)
		for (size_t k = 0; k < w->survey.n_jobs; k++)
			if (w->survey.jobs[k].id == w->live[i].job && w->survey.jobs[k].state == JOB_RUNNING) {
				w->live[n++] = w->live[i];
				break;
			}
	w->n_live = n;
}

int watch_refresh(struct watch *w, struct err *err)
{
	const struct job_listing first = {.order = ORDER_RANK, .limit = 1};
	struct survey survey = {0};
	int e;

	if (w->quiet) {
		int64_t n = selection_count(&w->sel, w->reader, w->survey.counts, err);
		w->survey.n = (size_t)MAX(n, (int64_t)0);
		return n < 0 ? (int)n : 0;
	}
	e = survey_take(&survey, w->reader, w->sel.parts, w->sel.n_parts, err);
	if (e < 0)
		return e;
	survey_fini(&w->survey);
	w->survey = survey;
	drop_live(w);
	e = read_page(w, err);
	if (e >= 0 && !w->lines)
		e = read_times(w, err);
	if (e >= 0 && !w->lines && watch_sweep(w))
		e = selection_each(&w->sel, w->reader, &first, take_best, w, err);
	return e < 0 ? e : 0;
}

/* --- what changed --- */

struct touched { /* a job that has events */
	int64_t job;
	bool state_changed, known;
	struct job_row row; /* if known */
};

static int by_job(const void *a, const void *b)
{
	const struct touched *x = a, *y = b;

	return (x->job > y->job) - (x->job < y->job);
}

static struct seen *find_seen(struct watch *w, int64_t job)
{
	for (size_t i = 0; i < w->n_seen; i++)
		if (w->seen[i].job == job)
			return &w->seen[i];
	return NULL;
}

void watch_remember(struct watch *w, const struct job_row *job)
{
	struct seen *seen = find_seen(w, job->id);

	if (seen && job_is_final(job->state)) {
		*seen = w->seen[--w->n_seen];
	} else if (seen) {
		seen->state = job->state;
		seen->epoch = job->epoch;
	} else if (!job_is_final(job->state)) {
		w->seen = xrealloc_array(w->seen, w->n_seen + 1, sizeof(w->seen[0]));
		w->seen[w->n_seen++] = (struct seen){.job = job->id, .state = job->state, .epoch = job->epoch};
	}
}

static void say_job(struct watch *w, const struct touched *t)
{
	if (!t->known)
		return;
	watch_say_change(w, &t->row, find_seen(w, t->job), t->state_changed);
	watch_remember(w, &t->row);
}

static int reload_devices(struct watch *w, struct err *err)
{
	struct device_row *rows;
	size_t n;
	int e = w->lines ? 0 : reader_devices(w->reader, &rows, &n, err);

	if (e < 0 || w->lines)
		return e;
	device_rows_free(w->devices, w->n_devices);
	w->devices = rows;
	w->n_devices = n;
	return 0;
}

/* The events since the last time; appended to *ret, one for each job, where lines or news are made of them. */
static int read_events(struct watch *w, struct touched **ret, size_t *ret_n, bool *ret_any, struct err *err)
{
	size_t n;

	do {
		autofree struct event_row *events = NULL;
		n = 0;
		int e = reader_events(w->reader, w->last_event, EVENTS_AT_ONCE, &events, &n, err);
		if (e < 0)
			return e;
		*ret = xrealloc_array(*ret, *ret_n + n + 1, sizeof(**ret));
		for (size_t i = 0; i < n; i++) {
			w->last_event = events[i].id;
			if (!selection_has(&w->sel, events[i].sweep, events[i].job))
				continue;
			*ret_any = true;
			if (!w->quiet)
				(*ret)[(*ret_n)++] = (struct touched){.job = events[i].job, .state_changed = events[i].is_state};
		}
		qsort(*ret, *ret_n, sizeof(**ret), by_job);
		size_t kept = 0;
		for (size_t i = 0; i < *ret_n; i++) {
			bool again = kept && (*ret)[kept - 1].job == (*ret)[i].job;
			if (again)
				(*ret)[kept - 1].state_changed |= (*ret)[i].state_changed;
			else
				(*ret)[kept++] = (*ret)[i];
		}
		*ret_n = kept;
	} while (n == EVENTS_AT_ONCE);
	return 0;
}

/* All of one instant: a row newer than its events would be told now and, with those, again. */
static int read_news(struct watch *w, struct touched **ret, size_t *ret_n, struct err *err)
{
	bool any = false;
	int e = read_events(w, ret, ret_n, &any, err);

	if (e < 0 || !any)
		return e;
	e = watch_refresh(w, err);
	if (e == 0)
		e = reload_devices(w, err);
	for (size_t i = 0; e >= 0 && i < *ret_n; i++) {
		struct touched *t = &(*ret)[i];
		e = reader_job(w->reader, t->job, &t->row, err);
		t->known = e > 0;
	}
	return MIN(e, 0);
}

int watch_catch_up(struct watch *w, struct err *err)
{
	autofree struct touched *touched = NULL;
	int64_t before = w->last_event;
	size_t n = 0;
	int e = reader_begin(w->reader, err);

	if (e == 0)
		e = read_news(w, &touched, &n, err);
	reader_end(w->reader);
	if (e < 0) /* what these events tell is still to be read */
		w->last_event = before;
	for (size_t i = 0; i < n; i++) {
		if (e == 0)
			say_job(w, &touched[i]);
		if (touched[i].known)
			job_row_fini(&touched[i].row);
	}
	return e;
}
