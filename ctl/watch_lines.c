/* sweepctl watch without a terminal: one line for each change of state, epochs at most every --interval a job. */
#include "ctl/format.h"
#include "ctl/text.h"
#include "ctl/watch.h"
#include "common/clock.h"

#include <math.h>

static json_t *stamped(void)
{
	char at[FORMAT_MAX];

	return json_pack("{ss}", "at", format_rfc3339(wall_ms(), at));
}

static void say_sweep(const struct watch *w, const struct sweep_row *sweep, const struct estimate *e)
{
	char at[FORMAT_MAX], left[FORMAT_MAX];

	if (w->ctl->json) {
		autofree char *id = xasprintf("s%lld", (long long)sweep->id);
		json_t *o = stamped();
		json_object_set_new(o, "sweep", json_string(id));
		for (int i = 0; i < N_JOB_STATES; i++)
			json_object_set_new(o, job_state_names[i], json_integer((json_int_t)e->counts[i]));
		json_object_set_new(o, "seconds_left", left_json(e, 1));
		print_json(o);
		return;
	}
	printf("%s s%lld done=%zu running=%zu queued=%zu failed=%zu", format_clock(wall_ms(), at), (long long)sweep->id,
	       e->counts[JOB_DONE], e->counts[JOB_RUNNING], e->counts[JOB_QUEUED], e->counts[JOB_FAILED]);
	if (e->counts[JOB_PAUSED])
		printf(" paused=%zu", e->counts[JOB_PAUSED]);
	if (e->counts[JOB_CANCELLED])
		printf(" cancelled=%zu", e->counts[JOB_CANCELLED]);
	if (e->left_seconds > 0)
		printf(" left=%s%s", e->at_least ? ">" : "", format_short(e->left_seconds, left));
	putchar('\n');
}

int watch_say_sweeps(struct watch *w, struct err *err)
{
	const struct job_part *parts = w->sel.parts;

	for (size_t first = 0, n; first < w->sel.n_parts; first += n) {
		const struct sweep_row *sweep = sweep_row_find(w->sel.sweeps, w->sel.n_sweeps, parts[first].sweep);
		struct survey survey;
		struct estimate e;
		for (n = 1; first + n < w->sel.n_parts && parts[first + n].sweep == parts[first].sweep; n++)
			;
		int r = survey_take(&survey, w->reader, parts + first, n, err);
		if (r < 0)
			return r;
		survey_estimate(&survey, NULL, &e);
		say_sweep(w, sweep, &e);
		estimate_fini(&e);
		survey_fini(&survey);
	}
	fflush(stdout);
	return 0;
}

static void say_state(const struct watch *w, const struct job_row *job)
{
	char at[FORMAT_MAX], number[FORMAT_MAX];
	const char *state = job_state_names[job->state];
	bool done = job->state == JOB_DONE;

	if (w->ctl->json) {
		json_t *o = stamped();
		json_object_set_new(o, "job", json_integer(job->id));
		json_object_set_new(o, "state", json_string(state));
		json_object_set_new(o, "reason", job->reason ? json_string(job->reason) : json_null());
		json_object_set_new(o, "device", job->device ? json_string(job->device) : json_null());
		json_object_set_new(o, "test_accuracy", json_known(done ? job->test_accuracy : NAN));
		json_object_set_new(o, "minutes", json_known(done ? job->seconds / 60 : NAN));
		print_json(o);
		return;
	}
	printf("%s job=%lld state=%s", format_clock(wall_ms(), at), (long long)job->id, state);
	if (job->state == JOB_RUNNING && job->device)
		printf(" device=%s", job->device);
	if (done)
		printf(" test_accuracy=%s minutes=%.2f", format_accuracy(job->test_accuracy, number),
		       job->seconds / 60);
	if (job->reason) {
		autofree char *reason = text_clean(job->reason);
		printf(" reason=\"%s\"", reason);
	}
	putchar('\n');
}

static void say_epoch(const struct watch *w, const struct job_row *job, double left_s)
{
	char at[FORMAT_MAX], text[FORMAT_MAX];

	if (w->ctl->json) {
		json_t *o = stamped();
		json_object_set_new(o, "job", json_integer(job->id));
		json_object_set_new(o, "epoch", json_integer(job->epoch));
		json_object_set_new(o, "epochs", json_integer(job->epochs));
		json_object_set_new(o, "test_accuracy", json_known(job->test_accuracy));
		json_object_set_new(o, "test_loss", json_known(job->test_loss));
		json_object_set_new(o, "images_per_second", json_known(job->images_per_second));
		json_object_set_new(o, "seconds_left", json_known(left_s));
		print_json(o);
		return;
	}
	printf("%s job=%lld epoch=%d/%d", format_clock(wall_ms(), at), (long long)job->id, job->epoch, job->epochs);
	if (!isnan(job->test_accuracy))
		printf(" test_accuracy=%s", format_accuracy(job->test_accuracy, text));
	if (!isnan(job->test_loss))
		printf(" test_loss=%s", format_loss(job->test_loss, text));
	if (left_s > 0)
		printf(" left=%s", format_short(left_s, text));
	putchar('\n');
}

/* The same as a sentence under the picture. */
static void keep_news(struct watch *w, const struct job_row *job)
{
	char at[FORMAT_MAX], number[FORMAT_MAX];
	autofree char *reason = job_reason(job, wall_ms());

	free(w->news);
	w->news = xasprintf("%s job %lld %s", format_clock(wall_ms(), at), (long long)job->id,
			    job_state_names[job->state]);
	if (job->state == JOB_RUNNING && job->device)
		text_append(&w->news, " on %s", job->device);
	if (job->state == JOB_DONE)
		text_append(&w->news, ", %s %%", format_accuracy(job->test_accuracy, number));
	if (job->state == JOB_DONE)
		text_append(&w->news, ", %s", format_minutes(job->seconds / 60, number));
	if (*reason) {
		autofree char *clean = text_clean(reason);
		text_append(&w->news, ": %s", clean);
	}
}

/* Of a running job; NaN: not known. */
static double seconds_left(const struct watch *w, const struct job_row *job)
{
	struct estimate e;
	double left = NAN;

	watch_estimate(w, &e);
	for (size_t i = 0; i < w->survey.n_jobs; i++)
		if (w->survey.jobs[i].id == job->id)
			left = e.left[i];
	estimate_fini(&e);
	return left;
}

void watch_say_change(struct watch *w, const struct job_row *job, struct seen *before, bool state_changed)
{
	int64_t now_ms = (int64_t)(monotonic_s() * 1000);
	bool due = !before || !before->said_ms || now_ms - before->said_ms >= (int64_t)w->interval_s * 1000;

	if (before)
		state_changed = job->state != before->state;
	if (state_changed)
		keep_news(w, job);
	if (!w->lines || w->quiet)
		return;
	if (state_changed) {
		say_state(w, job);
	} else if (job->epoch != (before ? before->epoch : 0) && due) {
		say_epoch(w, job, seconds_left(w, job));
		if (before)
			before->said_ms = now_ms;
	}
	fflush(stdout);
}
