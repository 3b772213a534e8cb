/* See selftest.h. */
#include "selftest.h"

#include "ask.h"
#include "filestream.h"
#include "lines.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/wandb.h"

#include <sys/random.h>
#include <time.h>

#define RUNS         2
#define ROWS         3
#define READ_BACK_S  90.0 /* the server takes lines in before it counts them */
#define READ_EVERY_S 2

struct selftest {
	const struct selftest_options *o;
	struct ask ask;
	char *entity, *sweep, *node;
	char ids[RUNS][WANDB_ID_SIZE];
};

static void say(const struct selftest *t, const char *step, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void say(const struct selftest *t, const char *step, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	t->o->say(t->o->arg, step, text);
}

static double accuracy_of(int run, int row)
{
	return 50 + 10 * run + row;
}

/* --- whose key, and the sweep --- */

static int find_entity(struct selftest *t, struct err *err)
{
	struct graphql_answer a;
	autofree char *body = graphql_viewer();
	int r = ask_graphql(&t->ask, body, &a, err);
	if (r < 0)
		return r;
	const char *own = graphql_text(&a, GRAPHQL_PATH("viewer", "entity"));
	if (own)
		t->entity = xstrdup(t->o->entity ? t->o->entity : own);
	else
		r = err_set(err, -EACCES, "%s does not know this key\n  do this:  sweepctl wandb login",
			    t->o->base_url);
	graphql_fini(&a);
	if (r == 0)
		say(t, "key", "%s takes it; entity %s", t->o->base_url, t->entity);
	return r;
}

static int make_sweep(struct selftest *t, struct err *err)
{
	struct graphql_answer a;
	autojson json_t *config =
		json_pack("{s:s, s:s, s:{s:s, s:s}, s:{s:{s:[f,f]}}, s:{s:s}}", "name", "sweepd selftest", "method",
			  "grid", "metric", "name", "test_accuracy", "goal", "maximize", "parameters", "lr", "values",
			  0.1, 0.05, "controller", "type", "local");
	autofree char *text = json_line(config);
	autojson json_t *variables = json_pack(
		"{s:s, s:s, s:s, s:s, s:s, s:s}", "config", text, "entityName", t->entity, "projectName", t->o->project,
		"displayName", "sweepd selftest", "description", "made by sweepctl wandb selftest", "state", "RUNNING");
	autofree char *body = graphql_upsert_sweep(variables);
	int r = ask_graphql(&t->ask, body, &a, err);
	if (r < 0)
		return r;
	const char *name = graphql_text(&a, GRAPHQL_PATH("upsertSweep", "sweep", "name"));
	const char *node = graphql_text(&a, GRAPHQL_PATH("upsertSweep", "sweep", "id"));
	if (name && node) {
		t->sweep = xstrdup(name);
		t->node = xstrdup(node);
		say(t, "sweep", "%s made in %s/%s", name, t->entity, t->o->project);
	} else {
		r = err_set(err, -EPROTO, "%s made no sweep", t->o->base_url);
	}
	graphql_fini(&a);
	return r;
}

static int finish_sweep(struct selftest *t, struct err *err)
{
	struct graphql_answer a;
	autojson json_t *variables = json_pack("{s:s, s:s, s:s, s:s}", "id", t->node, "entityName", t->entity,
					       "projectName", t->o->project, "state", "FINISHED");
	autofree char *body = graphql_upsert_sweep(variables);
	int r = ask_graphql(&t->ask, body, &a, err);
	if (r == 0)
		graphql_fini(&a);
	return r;
}

/* --- a run --- */

static int make_run(struct selftest *t, int run, struct err *err)
{
	struct graphql_answer a;
	autojson json_t *lr = json_pack("{s:f}", "lr", run ? 0.05 : 0.1);
	autojson json_t *config = line_config(lr, NULL);
	autofree char *config_text = json_line(config);
	autofree char *name = xasprintf("selftest %d", run + 1);
	autojson json_t *variables =
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:[s]}", "name", t->ids[run], "project", t->o->project,
			  "entity", t->entity, "displayName", name, "jobType", "selftest", "config", config_text,
			  "sweep", t->sweep, "tags", "sweepd-selftest");
	autofree char *body = graphql_upsert_run(variables);
	int r = ask_graphql(&t->ask, body, &a, err);
	if (r < 0)
		return r;
	const char *there = graphql_text(&a, GRAPHQL_PATH("upsertBucket", "bucket", "sweepName"));
	if (!there || !str_eq(there, t->sweep))
		r = err_set(err, -EPROTO, "run %s is made, but does not belong to sweep %s (%s says: %s)", t->ids[run],
			    t->sweep, t->o->base_url, there ? there : "to none");
	graphql_fini(&a);
	return r;
}

static int send_run(struct selftest *t, int run, struct err *err)
{
	struct stream_chunk chunk = {.complete = true};
	struct line_best best = {0};
	const struct line_job job = {
		.started_ms = wall_ms(), .epochs = ROWS, .log_every = 1, .metric = "test_accuracy", .maximize = true};
	for (int row = 1; row <= ROWS; row++) {
		autoline struct line line = {0}, summary = {0};
		autojson json_t *detail = json_pack("{s:i, s:f, s:f}", "epoch", row, "train_loss", 1.0 / row,
						    "test_accuracy", accuracy_of(run, row));
		line_of_epoch(&line, &job, job.started_ms + row * 1000, detail);
		stream_add(&chunk, &chunk.history, line_text(&line));
		line_best_take(&best, &job, detail);
		line_of_summary(&summary, &job, job.started_ms + row * 1000, detail, &best);
		if (row == ROWS)
			stream_set_summary(&chunk, line_text(&summary));
	}
	static const char text[] = "sweepctl wandb selftest: this line is console output";
	stream_add(&chunk, &chunk.output, line_of_console(text, strlen(text)));
	autofree char *body = stream_body(&chunk);
	autofree char *url = stream_url(t->o->base_url, t->entity, t->o->project, t->ids[run]);
	stream_fini(&chunk);
	return ask_stream(&t->ask, url, body, err);
}

static int do_run(struct selftest *t, int run, struct err *err)
{
	uint8_t random[16];
	char nonce[2 * sizeof(random) + 1];
	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return err_sys(err, -errno, "no random numbers");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	line_run_id(t->ids[run], &(struct line_identity){.hash = nonce}, run);
	int r = make_run(t, run, err);
	r = r ? r : send_run(t, run, err);
	if (r == 0)
		say(t, "run", "%s sent, %d rows, summary, console, end", t->ids[run], ROWS);
	return r;
}

/* --- reading back --- */

static const json_t *node_of(const json_t *edges, const char *id)
{
	size_t i;
	json_t *edge;
	json_array_foreach((json_t *)edges, i, edge)
	{
		const json_t *node = json_object_get(edge, "node");
		if (str_eq(json_str_or(node, "name", ""), id))
			return node;
	}
	return NULL;
}

/* 0: as sent; 1: not yet; err says what is missing. */
static int compare(const struct selftest *t, const json_t *edges, struct err *err)
{
	for (int run = 0; run < RUNS; run++) {
		const json_t *node = node_of(edges, t->ids[run]);
		const char *text = json_str_or(node, "summaryMetrics", NULL);
		autojson json_t *summary = text ? json_parse(text, strlen(text), NULL) : NULL;
		int64_t rows = json_int_or(node, "historyLineCount", 0);
		const char *state = json_str_or(node, "state", "?");
		double accuracy = json_num_or(summary, "test_accuracy", -1);
		if (!node)
			return err_set(err, 1, "run %s is not among the runs of sweep %s", t->ids[run], t->sweep);
		if (rows != ROWS)
			return err_set(err, 1, "run %s has %lld rows there, not %d", t->ids[run], (long long)rows,
				       ROWS);
		if (accuracy != accuracy_of(run, ROWS))
			return err_set(err, 1, "run %s has the summary %.200s", t->ids[run], text ? text : "(none)");
		if (!str_eq(state, "finished"))
			return err_set(err, 1, "run %s is \"%s\" there, not finished", t->ids[run], state);
	}
	return 0;
}

static int read_back(struct selftest *t, struct err *err)
{
	double begun_s = monotonic_s();
	autofree char *body = graphql_sweep_runs(t->entity, t->o->project, t->sweep);
	for (;;) {
		struct graphql_answer a;
		int r = ask_graphql(&t->ask, body, &a, err);
		if (r < 0)
			return r;
		r = compare(t, graphql_at(&a, GRAPHQL_PATH("project", "sweep", "runs", "edges")), err);
		graphql_fini(&a);
		if (r == 0) {
			say(t, "read", "%d runs of %d rows, summaries and states as sent (%.1f s)", RUNS, ROWS,
			    monotonic_s() - begun_s);
			return 0;
		}
		if (monotonic_s() - begun_s > READ_BACK_S)
			return err_prefix(err, -EPROTO, "what %s has differs from what was sent", t->o->base_url);
		nanosleep(&(struct timespec){READ_EVERY_S, 0}, NULL);
	}
}

/* --- all of it --- */

static json_t *describe(const struct selftest *t)
{
	json_t *runs = json_array();
	autofree char *page = wandb_page_url(t->o->base_url, t->entity, t->o->project);
	for (int run = 0; run < RUNS; run++)
		json_array_append_new(runs, json_pack("{s:s, s:o}", "run", t->ids[run], "url",
						      json_sprintf("%s/runs/%s", page, t->ids[run])));
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "server", t->o->base_url, "entity", t->entity, "project",
			 t->o->project, "sweep", t->sweep, "url", json_sprintf("%s/sweeps/%s", page, t->sweep), "runs",
			 runs);
}

int selftest_run(const struct selftest_options *options, json_t **ret, struct err *err)
{
	struct selftest t = {.o = options};
	int r = ask_open(&t.ask, options->base_url, options->key, err);
	if (r < 0)
		return r;
	r = find_entity(&t, err);
	r = r ? r : make_sweep(&t, err);
	for (int run = 0; run < RUNS && r == 0; run++)
		r = do_run(&t, run, err);
	r = r ? r : read_back(&t, err);
	r = r ? r : finish_sweep(&t, err);
	if (r == 0)
		*ret = describe(&t);
	ask_close(&t.ask);
	free(t.entity);
	free(t.sweep);
	free(t.node);
	return r;
}
