/* See outcome.h. */
#include "outcome.h"

#include "sched.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/utf8.h"

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
	struct outcome o = {.reason = ""};
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
		o.attempt = ATTEMPT_RELEASED;
		o.pause = str_eq(json_str_or(event, "why", ""), "pause");
	} else {
		return false;
	}
	utf8_clean(o.reason); /* it may have been cut */
	*ret = o;
	return true;
}

/* After a failure or a loss: again from the checkpoint, or the end. */
static void plan_retry(const struct slot *slot, const struct job_row *job, const struct outcome *o,
		       struct job_move *move, char *text, size_t size)
{
	struct sched_retry retry =
		sched_retry(o->fail_class, job->retries_used, job->retries, slot->daemon->options.retry_ms);
	if (!retry.again) {
		*move = (struct job_move){.to = JOB_FAILED, .reason = o->reason};
		return;
	}
	snprintf(text, size, "%s; retry %d of %d in %.3g s", o->reason, job->retries_used + 1, job->retries,
		 (double)retry.delay_ms / 1000);
	*move = (struct job_move){
		.to = JOB_QUEUED,
		.reason = text,
		.not_before_ms = wall_ms() + retry.delay_ms,
		.counts_retry = true,
	};
}

static void plan_move(const struct slot *slot, const struct job_row *job, const struct outcome *o,
		      struct job_move *move, char *text, size_t size)
{
	const char *reason = *o->reason ? o->reason : NULL;
	if (slot->wish == WISH_CANCEL && o->attempt != ATTEMPT_DONE) {
		snprintf(text, size, "cancelled by uid %u", (unsigned)slot->wished_by);
		*move = (struct job_move){.to = JOB_CANCELLED, .reason = text};
		return;
	}
	switch (o->attempt) {
	case ATTEMPT_DONE:
		*move = (struct job_move){.to = JOB_DONE, .reason = reason};
		return;
	case ATTEMPT_CANCELLED: /* nobody asked: as if released */
	case ATTEMPT_RELEASED:
		*move = (struct job_move){.to = o->pause ? JOB_PAUSED : JOB_QUEUED};
		if (o->pause && slot->wish == WISH_PAUSE) {
			snprintf(text, size, "paused by uid %u", (unsigned)slot->wished_by);
			move->reason = text;
		}
		return;
	case ATTEMPT_LOST:
		if (slot->daemon->stopping) { /* killed because it did not heed the stop: not the job's fault */
			*move = (struct job_move){.to = JOB_QUEUED, .reason = reason};
			return;
		}
		plan_retry(slot, job, o, move, text, size);
		return;
	case ATTEMPT_FAILED:
		plan_retry(slot, job, o, move, text, size);
		return;
	case ATTEMPT_RUNNING:
	case N_ATTEMPT_STATES:
		break;
	}
	BUG("an attempt ends as running");
}

int outcome_apply(struct store *store, const struct slot *slot, int64_t attempt, const struct outcome *o,
		  struct err *err)
{
	char text[640];
	struct job_row job;
	struct job_move move;
	struct attempt_row row;
	int r = store_attempt(store, attempt, &row, err);
	r = r ? r : store_job(store, row.job, &job, err);
	if (r < 0)
		return r;
	bool failed = o->attempt == ATTEMPT_FAILED;
	r = store_end_attempt(store, attempt, o->attempt, failed ? fail_class_names[o->fail_class] : NULL,
			      *o->reason ? o->reason : NULL, err);
	if (r < 0)
		return r;
	plan_move(slot, &job, o, &move, text, sizeof(text));
	return store_move_job(store, row.job, &move, err);
}
