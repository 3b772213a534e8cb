/* See outcome.h. */
#include "outcome.h"

#include "sched.h"
#include "store_supervise.h"
#include "who.h"

#include "common/clock.h"
#include "common/duration.h"
#include "common/json.h"
#include "common/log.h"
#include "common/utf8.h"

#include <math.h>
#include <signal.h>

static int parse_class(const char *name)
{
	for (int i = 0; i < N_FAIL_CLASSES; i++)
		if (str_eq(fail_class_names[i], name))
			return i;
	return FAIL_INTERNAL; /* a newer worker's: worth a retry */
}

bool outcome_of_event(const json_t *event, struct outcome *ret)
{
	const char *type = json_str_or(event, "type", "");
	struct outcome o = {.reason = "", .epoch = json_int_or(event, "epoch", -1)};
	if (str_eq(type, "done")) {
		o.attempt = ATTEMPT_DONE;
		snprintf(o.reason, sizeof(o.reason), "%s", json_str_or(event, "note", ""));
	} else if (str_eq(type, "failed")) {
		o.attempt = ATTEMPT_FAILED;
		o.fail_class = parse_class(json_str_or(event, "class", ""));
		snprintf(o.reason, sizeof(o.reason), "%s", json_str_or(event, "reason", "no reason given"));
	} else if (str_eq(type, "cancelled")) {
		o.attempt = ATTEMPT_CANCELLED;
	} else if (str_eq(type, "released")) {
		const char *why = json_str_or(event, "why", "");
		o.pause = str_eq(why, "pause");
		o.attempt = str_eq(why, "time_limit") ? ATTEMPT_FAILED : ATTEMPT_RELEASED;
		o.fail_class = FAIL_TIME_LIMIT;
	} else {
		return false;
	}
	utf8_clean(o.reason); /* it may have been cut */
	*ret = o;
	return true;
}

/* --- what the daemon knows better --- */

static int say_time_limit(struct store *store, int64_t job, struct outcome *o, struct err *err)
{
	double limit_s;
	char limit[DURATION_TEXT_MAX];
	int r = store_time_limit(store, job, &limit_s, err);
	if (r < 0)
		return r;
	duration_text(limit_s, limit);
	if (o->attempt == ATTEMPT_LOST)
		snprintf(o->reason, sizeof(o->reason),
			 "time limit of %s reached; its worker did not end when asked and was killed", limit);
	else
		snprintf(o->reason, sizeof(o->reason),
			 "time limit of %s reached in epoch %lld; from its checkpoint it goes on with: sweepctl retry "
			 "%lld",
			 limit, (long long)o->epoch + 1, (long long)job);
	return 0;
}

/* A worker that ended as the daemon wanted, or was killed, says nothing of why the daemon wanted it. */
static int judge(struct store *store, const struct slot *slot, int64_t job, struct outcome *o, struct err *err)
{
	bool ended = o->attempt == ATTEMPT_RELEASED || o->attempt == ATTEMPT_LOST;
	if (ended && slot->wish == WISH_STALL && !slot->daemon->stopping) {
		if (o->attempt == ATTEMPT_RELEASED)
			snprintf(o->reason, sizeof(o->reason), "%s", slot->kill_reason);
		o->attempt = o->attempt == ATTEMPT_LOST ? ATTEMPT_LOST : ATTEMPT_FAILED;
		o->fail_class = FAIL_HANG;
		return 0;
	}
	if (o->attempt == ATTEMPT_LOST && slot->wish == WISH_TIME && !slot->daemon->stopping)
		o->fail_class = FAIL_TIME_LIMIT;
	bool failed = o->attempt == ATTEMPT_FAILED || o->attempt == ATTEMPT_LOST;
	return failed && o->fail_class == FAIL_TIME_LIMIT ? say_time_limit(store, job, o, err) : 0;
}

static const char *class_name(const struct outcome *o)
{
	bool failed = o->attempt == ATTEMPT_FAILED || o->attempt == ATTEMPT_LOST;
	return failed && o->fail_class < N_FAIL_CLASSES ? fail_class_names[o->fail_class] : NULL;
}

/* --- the job --- */

/* After a failure or a loss: again from the checkpoint, or the end. */
static int plan_retry(struct store *store, const struct slot *slot, const struct job_row *job, const struct outcome *o,
		      struct job_move *move, char *text, size_t size, struct err *err)
{
	int64_t used = job->retries_used;
	bool device = o->fail_class == FAIL_DEVICE;
	int r = device ? store_device_faults(store, job->id, &used, err) : 0;
	if (r < 0)
		return r;
	if (device) /* this one is among them; a person's retry begins a new ten */
		used = (used - 1) % DEVICE_FAULTS_MAX;
	struct sched_retry retry = sched_retry(o->fail_class, (int)used, job->retries, slot->daemon->options.retry_ms);
	if (!retry.again) {
		*move = (struct job_move){.to = JOB_FAILED, .reason = o->reason};
		return 0;
	}
	double wait_s = (double)retry.delay_ms / 1000;
	if (device)
		snprintf(text, size, "%s; not its own fault: again in %.3g s", o->reason, wait_s);
	else
		snprintf(text, size, "%s; retry %d of %d in %.3g s", o->reason, job->retries_used + 1, job->retries,
			 wait_s);
	*move = (struct job_move){
		.to = JOB_QUEUED,
		.reason = text,
		.not_before_ms = wall_ms() + retry.delay_ms,
		.counts_retry = !device,
	};
	return 0;
}

static int plan_move(struct store *store, const struct slot *slot, const struct job_row *job, const struct outcome *o,
		     struct job_move *move, char *text, size_t size, struct err *err)
{
	char who[WHO_MAX];
	const char *reason = *o->reason ? o->reason : NULL;
	if (slot->wish == WISH_CANCEL && o->attempt != ATTEMPT_DONE) {
		snprintf(text, size, "cancelled by %s", who_text(slot->wished_by, who));
		*move = (struct job_move){.to = JOB_CANCELLED, .reason = text};
		return 0;
	}
	switch (o->attempt) {
	case ATTEMPT_DONE:
		*move = (struct job_move){.to = JOB_DONE, .reason = reason};
		return 0;
	case ATTEMPT_CANCELLED: /* nobody asked: as if released */
	case ATTEMPT_RELEASED:
		*move = (struct job_move){.to = o->pause ? JOB_PAUSED : JOB_QUEUED};
		if (o->pause && slot->wish == WISH_PAUSE) {
			snprintf(text, size, "paused by %s", who_text(slot->wished_by, who));
			move->reason = text;
		}
		return 0;
	case ATTEMPT_LOST:
		if (slot->daemon->stopping || slot_is_bystander(slot)) { /* what did not heed was not this job */
			*move = (struct job_move){.to = JOB_QUEUED, .reason = reason};
			return 0;
		}
		return plan_retry(store, slot, job, o, move, text, size, err);
	case ATTEMPT_FAILED:
		return plan_retry(store, slot, job, o, move, text, size, err);
	case ATTEMPT_RUNNING:
	case N_ATTEMPT_STATES:
		break;
	}
	BUG("an attempt ends as running");
}

/* --- what follows from it for others --- */

/* A fault that its device may have, or FAULT_NONE. */
static int find_fault(struct store *store, const struct slot *slot, int64_t attempt, const struct outcome *o,
		      enum fault *ret, struct err *err)
{
	int signal = slot->lead->signal;
	bool crashed = o->attempt == ATTEMPT_LOST && o->fail_class == FAIL_LOST && !slot_was_killed(slot) &&
		       signal != SIGKILL && signal != SIGTERM && signal >= 0;
	*ret = FAULT_NONE;
	if (o->attempt == ATTEMPT_FAILED && o->fail_class == FAIL_DEVICE)
		*ret = FAULT_DEVICE;
	if (!crashed || slot->daemon->stopping)
		return 0;
	int r = store_attempt_has_epoch(store, attempt, err);
	*ret = r == 0 ? FAULT_CRASH : FAULT_NONE;
	return MIN(r, 0);
}

static int heed_device(struct store *store, const struct slot *slot, const struct attempt_row *row, struct outcome *o,
		       struct err *err)
{
	enum fault fault;
	int r = find_fault(store, slot, row->id, o, &fault, err);
	if (r < 0)
		return r;
	if (o->attempt == ATTEMPT_DONE)
		return trust_good(&o->trust, store, slot->lead, true, err);
	return trust_fault(&o->trust, store, slot->lead, fault, row->job, o->reason, err);
}

#define BREAKER_ROWS 16 /* attempts looked at for each job that trips it: a job may have several */

static int heed_breaker(struct store *store, const struct slot *slot, int64_t sweep, struct outcome *o, struct err *err)
{
	char text[900];
	size_t n = 0;
	autofree struct breaker_attempt *attempts = NULL;
	const struct daemon_options *options = &slot->daemon->options;
	struct breaker_limits limits = {.jobs = options->breaker_jobs, .fast_s = options->breaker_ms / 1000.0};
	o->stopped_sweep = 0;
	if (!class_name(o) && o->attempt != ATTEMPT_LOST)
		return 0;
	int r = store_newest_attempts(store, sweep, limits.jobs * BREAKER_ROWS + 1, &attempts, &n, err);
	if (r < 0 || !breaker_trips(attempts, n, &limits))
		return r;
	snprintf(text, sizeof(text),
		 "the sweep was stopped: %d jobs in a row failed at once in the same way (%s: %s); mend it, then: "
		 "sweepctl resume s%lld",
		 limits.jobs, attempts[0].class, o->reason, (long long)sweep);
	utf8_clean(text);
	o->stopped_sweep = sweep;
	return store_stop_sweep(store, sweep, attempts[0].id, text, &o->n_paused, err);
}

/* --- all of it --- */

static int end_attempt(struct store *store, const struct slot *slot, int64_t attempt, const struct outcome *o,
		       struct err *err)
{
	double seconds = monotonic_s() - slot->watch.attempt_s;
	int r = store_end_attempt(store, attempt, o->attempt, class_name(o), *o->reason ? o->reason : NULL, err);
	return r < 0 || isnan(seconds) ? r : store_attempt_ran(store, attempt, seconds, err);
}

int outcome_apply(struct store *store, const struct slot *slot, int64_t attempt, struct outcome *o, struct err *err)
{
	char text[640];
	struct job_row job;
	struct job_move move;
	struct attempt_row row;
	int r = store_attempt(store, attempt, &row, err);
	r = r ? r : store_job(store, row.job, &job, err);
	r = r ? r : judge(store, slot, row.job, o, err);
	r = r ? r : end_attempt(store, slot, attempt, o, err);
	r = r ? r : plan_move(store, slot, &job, o, &move, text, sizeof(text), err);
	r = r ? r : store_move_job(store, row.job, &move, err);
	r = r ? r : heed_device(store, slot, &row, o, err);
	return r ? r : heed_breaker(store, slot, job.sweep, o, err);
}

void outcome_done(struct slot *slot, const struct outcome *o)
{
	if (o->stopped_sweep)
		log_warn("s%lld: its circuit breaker tripped, %lld jobs are paused: %s", (long long)o->stopped_sweep,
			 (long long)o->n_paused, o->reason);
	trust_done(&o->trust, slot->lead);
}
