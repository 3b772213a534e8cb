/* Sentences and cells that several verbs show alike; see text.h. */
#include "ctl/text.h"
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "common/json.h"

#include <math.h>

#define TERMINAL_ROWS 100

const struct metric_column metric_columns[] = {
	{"test_accuracy", true, offsetof(struct epoch_row, test_accuracy)},
	{"test_loss", false, offsetof(struct epoch_row, test_loss)},
	{"train_accuracy", true, offsetof(struct epoch_row, train_accuracy)},
	{"train_loss", false, offsetof(struct epoch_row, train_loss)},
};
const size_t n_metric_columns = ARRAY_LEN(metric_columns);

const struct metric_column *metric_find(const char *name)
{
	for (size_t i = 0; i < n_metric_columns; i++)
		if (str_eq(metric_columns[i].name, name))
			return &metric_columns[i];
	return NULL;
}

struct metric_column metric_named(const char *name)
{
	const struct metric_column *m = metric_find(name);

	return m ? *m
		 : (struct metric_column){name, strstr(name, "accuracy") != NULL, offsetof(struct epoch_row, other)};
}

enum tone state_tone(const char *state)
{
	if (str_eq(state, "done"))
		return TONE_GOOD;
	if (str_eq(state, "failed"))
		return TONE_BAD;
	if (str_eq(state, "paused"))
		return TONE_WARN;
	return TONE_PLAIN;
}

const char *metric_text(const char *metric, double value, char *buf)
{
	return strstr(metric, "accuracy") ? format_accuracy(value, buf) : format_loss(value, buf);
}

const char *param_heading(const char *name)
{
	return str_eq(name, "model")       ? "Model"
	       : str_eq(name, "lr")        ? "LR"
	       : str_eq(name, "scheduler") ? "Scheduler"
					   : name;
}

/* "...; retry 1 of 2 in 10 s" as stored: how much of it stands before the seconds, which run down; 0: it says none. */
static size_t before_seconds(const char *reason)
{
	size_t size = strlen(reason);
	const char *in = NULL;

	for (const char *at = reason; (at = strstr(at, " in ")) != NULL; at += 4)
		in = at;
	if (!in || in + 4 + strspn(in + 4, "0123456789.e+") + 2 != reason + size || !str_eq(reason + size - 2, " s"))
		return 0;
	return (size_t)(in - reason);
}

char *job_reason(const struct job_row *job, int64_t now_ms)
{
	long long left_s = (long long)(job->not_before_ms - now_ms + 999) / 1000;
	size_t before = job->reason ? before_seconds(job->reason) : 0;

	if (job->state == JOB_QUEUED && job->not_before_ms > now_ms && before)
		return xasprintf("%.*s in %lld s", (int)before, job->reason, left_s);
	if (job->state == JOB_QUEUED && job->not_before_ms > now_ms)
		return xasprintf("%s%sretry in %lld s", job->reason ? job->reason : "", job->reason ? "; " : "", left_s);
	if (job->reason)
		return xstrdup(job->reason);
	return xstrdup(job->state == JOB_QUEUED ? "waits for a device" : "");
}

const struct job_row *job_leader(const struct sweep_row *sweep, const struct job_row *jobs, size_t n)
{
	const struct job_row *best = NULL;

	for (size_t i = 0; i < n; i++) {
		if (jobs[i].state != JOB_DONE || isnan(jobs[i].value))
			continue;
		if (!best || (sweep->maximize ? jobs[i].value > best->value : jobs[i].value < best->value))
			best = &jobs[i];
	}
	return best;
}

const char *left_text(const struct estimate *e, char *buf)
{
	char span[FORMAT_MAX - 2];

	if (!(e->left_seconds > 0))
		return strcpy(buf, "-");
	format_span(e->left_seconds, buf);
	if (e->at_least) {
		snprintf(span, sizeof(span), "%s", buf);
		snprintf(buf, FORMAT_MAX, "> %s", span);
	}
	return buf;
}

json_t *left_json(const struct estimate *e, double unit_seconds)
{
	return json_known(e->at_least ? NAN : e->left_seconds / unit_seconds);
}

static void set_time(json_t *object, const char *key, int64_t ms)
{
	char text[FORMAT_MAX];

	json_object_set_new(object, key, ms ? json_string(format_rfc3339(ms, text)) : json_null());
}

json_t *job_json(const struct selection *sel, const struct job_row *job)
{
	const struct sweep_row *sweep = selection_sweep(sel, job);
	autofree char *id = xasprintf("s%lld", (long long)job->sweep);
	json_t *o = json_pack("{ss, ss*, sI, ss}", "sweep", id, "name", sweep ? sweep->name : NULL, "job",
			      (json_int_t)job->id, "state", job_state_names[job->state]);

	json_object_update_missing(o, job->swept);
	json_object_set_new(o, "reason", job->reason ? json_string(job->reason) : json_null());
	json_object_set_new(o, "epoch", json_integer(job->epoch));
	json_object_set_new(o, "epochs", json_integer(job->epochs));
	json_object_set_new(o, "metric", sweep ? json_string(sweep->metric) : json_null());
	json_object_set_new(o, "value", json_known(job->value));
	json_object_set_new(o, "best", json_known(job->best_value));
	json_object_set_new(o, "last_test_accuracy", json_known(job->test_accuracy));
	json_object_set_new(o, "best_test_accuracy", json_known(job->best_test_accuracy));
	json_object_set_new(o, "best_epoch", job->best_epoch ? json_integer(job->best_epoch) : json_null());
	json_object_set_new(o, "images_per_second", json_known(job->images_per_second));
	json_object_set_new(o, "ram_mib", json_known(job->ram_mib));
	json_object_set_new(o, "n_attempts", json_integer(job->attempts));
	json_object_set_new(o, "device", job->device ? json_string(job->device) : json_null());
	set_time(o, "started", job->started_ms);
	set_time(o, "ended", job->ended_ms);
	json_object_set(o, "config", job->config);
	return o;
}

int64_t page_limit(const struct ctl *ctl, int asked)
{
	return asked >= 0 ? asked : ctl->out.terminal && !ctl->json ? TERMINAL_ROWS : 0;
}

void say_more(const struct ctl *ctl, int64_t n, const char *what, const char *verb, const struct words *words)
{
	char count[FORMAT_MAX];
	autofree char *text =
		xasprintf("... %s %s: sweepctl %s --limit 0", format_count(n, count), what, verb);

	for (size_t i = 0; words && i < words->n; i++)
		text_append(&text, " %s", words->items[i]);
	fflush(stdout);
	screen_line(&ctl->out, ctl->out.terminal ? stdout : stderr, text);
}

void say_cut(const struct ctl *ctl, const struct table *t)
{
	const char *job = t ? table_first_cut(t) : NULL;

	if (!job)
		return;
	autofree char *text = xasprintf("a text that ends in \"..\" in full: sweepctl show %s", job);
	screen_line(&ctl->out, stdout, text);
}

const char *param_type(const struct param *p)
{
	static const char *const names[] = {
		[PARAM_INT] = "int",       [PARAM_NUM] = "number", [PARAM_BOOL] = "bool",
		[PARAM_CHOICE] = "choice", [PARAM_TEXT] = "text",
		[PARAM_LIST] = "list",
	};
	return names[p->type];
}

char *param_allowed(const struct param *p)
{
	char low[32], high[32], choice[64];
	char *text = NULL;

	switch (p->type) {
	case PARAM_INT:
	case PARAM_NUM:
		number_text(p->min, low);
		number_text(p->max, high);
		if (p->open)
			return xasprintf("> %s, <= %s", low, high);
		return xasprintf("%s to %s", low, high);
	case PARAM_LIST:
		number_text(p->min, low);
		number_text(p->max, high);
		return xasprintf("at most %d numbers that rise, %s to %s", PARAM_LIST_MAX, low, high);
	case PARAM_BOOL:
		return xstrdup("true, false");
	case PARAM_CHOICE:
		text = xstrdup("");
		for (int i = 0; param_choice(p, i, choice, sizeof(choice)); i++)
			text_append(&text, "%s%s", i ? ", " : "", choice);
		return text;
	case PARAM_TEXT:
		return xasprintf("at most %d bytes", PARAM_TEXT_MAX);
	}
	BUG("parameter type %d", p->type);
}
