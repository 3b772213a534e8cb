/* See offline_follow.h. */
#include "offline_follow.h"

#include "offline_run.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"

#include <math.h>

#define LOOK_S   1.0 /* between two looks for jobs that ended */
#define MAX_TOLD 256 /* runs in one report */

struct offlines {
	struct follow *follow;
	char *dir;
	json_t *written;                   /* by job: reports that sweepd has not stored yet */
	json_t *problems;                  /* by sweep: its report */
	json_t *failing;                   /* by sweep: what was said last */
	json_t *told_runs, *told_problems; /* of written and problems: what is under way to sweepd */
	bool touched;
	double look_s;
};

struct offlines *offlines_new(struct follow *f)
{
	struct offlines *o = xcalloc(1, sizeof(*o));
	o->follow = f;
	o->dir = offline_default_dir(&f->paths);
	o->written = json_object();
	o->problems = json_object();
	o->failing = json_object();
	o->told_runs = json_object();
	o->told_problems = json_object();
	o->touched = true;
	return o;
}

void offlines_free(struct offlines *o)
{
	if (!o)
		return;
	json_decref(o->written);
	json_decref(o->problems);
	json_decref(o->failing);
	json_decref(o->told_runs);
	json_decref(o->told_problems);
	free(o->dir);
	free(o);
}

void offlines_touch(struct offlines *o)
{
	o->touched = true;
}

#define KEY_MAX 24
static const char *key_of(int64_t id, char *buf)
{
	snprintf(buf, KEY_MAX, "%lld", (long long)id);
	return buf;
}

/* --- a sweep's problem --- */

/* problem NULL: it is over. */
static void say_problem(struct offlines *o, int64_t sweep, const char *problem)
{
	char key[KEY_MAX];
	const char *before = json_string_value(json_object_get(o->failing, key_of(sweep, key)));
	if (problem ? before && str_eq(before, problem) : !before)
		return;
	if (problem) {
		log_error("sweep s%lld: %s", (long long)sweep, problem);
		json_object_set_new(o->failing, key, json_string(problem));
	} else {
		json_object_del(o->failing, key);
	}
	json_object_set_new(o->problems, key, json_pack("{s:I, s:s?}", "sweep", (json_int_t)sweep, "problem", problem));
}

/* --- writing --- */

struct due {
	const struct offlines *o;
	int64_t job; /* the first that is not written; 0: none */
};

static void take_due(void *arg, int64_t job)
{
	char key[KEY_MAX];
	struct due *due = arg;
	if (!due->job && !json_object_get(due->o->written, key_of(job, key)))
		due->job = job;
}

static json_t *report_of(int64_t job, const struct offline_result *result)
{
	const struct position *at = &result->at;
	return json_pack("{s:I, s:s, s:s?, s:s, s:n, s:s, s:n, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "job",
			 (json_int_t)job, "run_id", result->run_id, "entity", result->entity, "project",
			 result->project, "url", "phase", run_phase_names[RUN_FINISHED], "problem", "last_event",
			 (json_int_t)at->last_event, "last_epoch", (json_int_t)at->last_epoch, "last_step",
			 (json_int_t)at->last_step, "history", (json_int_t)at->history, "events",
			 (json_int_t)at->events, "output", (json_int_t)at->output,
			 "output_bytes", (json_int_t)at->output_bytes, "stopped", 0);
}

/* false: not now. */
static bool write_run(struct offlines *o, int64_t job)
{
	char key[KEY_MAX];
	struct err err;
	struct job_place place;
	struct offline_result result;
	struct follow *f = o->follow;
	if (rows_place(f->rows, job, &place, NULL) != 1)
		return false;
	int r = offline_write_run(f->rows, &f->paths, o->dir, job, &result, &err);
	say_problem(o, place.sweep, r < 0 ? err.text : NULL);
	if (r < 0)
		return false;
	log_info("job %lld: %s", (long long)job, result.path);
	json_object_set_new(o->written, key_of(job, key), report_of(job, &result));
	offline_result_fini(&result);
	return true;
}

double offlines_tick(struct offlines *o, double now_s)
{
	struct err err;
	struct due due = {.o = o};
	if (!o->touched || o->follow->stopping)
		return INFINITY;
	if (now_s < o->look_s)
		return o->look_s;
	o->look_s = now_s + LOOK_S;
	if (rows_offline_due(o->follow->rows, take_due, &due, &err) < 0) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_WARN, "%s", err.text);
		return o->look_s;
	}
	o->touched = due.job;
	if (!due.job)
		return INFINITY;
	double retry_s = now_s + o->follow->options.person_ms / 1000.0;
	o->look_s = write_run(o, due.job) ? now_s : retry_s; /* the next one after others had their turn */
	return o->look_s;
}

/* --- what sweepd is told --- */

/* Up to max reports go out; what goes is kept in told. */
static void tell(const json_t *from, json_t *told, json_t *list, size_t max)
{
	const char *key;
	json_t *report;
	json_object_clear(told);
	json_object_foreach((json_t *)from, key, report)
	{
		if (json_array_size(list) >= max)
			return;
		json_array_append(list, report);
		json_object_set(told, key, report);
	}
}

/* What was said anew meanwhile stays. */
static void forget(json_t *from, json_t *told, bool stored)
{
	const char *key;
	json_t *report;
	json_object_foreach(told, key, report) if (stored && json_object_get(from, key) == report)
		json_object_del(from, key);
	json_object_clear(told);
}

void offlines_report(struct offlines *o, json_t *runs, json_t *sweeps)
{
	tell(o->written, o->told_runs, runs, MAX_TOLD);
	tell(o->problems, o->told_problems, sweeps, SIZE_MAX);
}

void offlines_reported(struct offlines *o, bool stored)
{
	forget(o->written, o->told_runs, stored);
	forget(o->problems, o->told_problems, stored);
}
