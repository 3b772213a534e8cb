/* See run.h. */
#include "run.h"

#include "about.h"
#include "graphql.h"
#include "retry.h"
#include "upload.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"

#include <math.h>

#define GRAPHQL_TIMEOUT_MS 30000
#define STREAM_TIMEOUT_MS  180000
#define OPEN_TRIES         20 /* UpsertBucket answered with errors so often in a row: it never will be better */
#define UPLOADS            4  /* runs that hold their files in memory at a time */

struct run {
	struct follow *follow;
	struct wsweep *ws;
	int64_t job;
	char id[WANDB_ID_SIZE];
	struct position at;
	char *problem;         /* refused: why */
	struct position after; /* once the request under way is acknowledged */
	bool in_flight, more, reopens;
	struct upload *upload;
	bool behind;                    /* there may be rows to send */
	bool urgent;                    /* and they do not wait for the interval */
	bool waits;                     /* has ended; its files wait for a turn to upload */
	bool sure;                      /* the server was seen to have the run open */
	struct upload_files sent_files; /* names alone: what the end lists as uploaded */
	bool files_done;
	int tries;
	double retry_s, pace_s, sent_s;
	int64_t said, told, telling;
};

struct run *run_new(struct follow *f, struct wsweep *ws, struct run_row *row)
{
	struct wsweep_facts facts;
	struct run *run = xcalloc(1, sizeof(*run));
	wsweep_facts(ws, &facts);
	const struct line_identity identity = {facts.row->hash, facts.row->submission, row->sweep,
					       facts.row->submitted_ms, facts.row->owner};
	run->follow = f;
	run->ws = ws;
	run->job = row->job;
	line_run_id(run->id, &identity, row->number);
	run->at = row->at;
	run->problem = steal_ptr(row->problem);
	run->sent_s = monotonic_s();
	return run;
}

void run_free(struct run *run)
{
	upload_free(run->upload);
	free(run->problem);
	free(run);
}

int64_t run_job(const struct run *run)
{
	return run->job;
}

bool run_is_of(const struct run *run, const struct wsweep *ws)
{
	return run->ws == ws;
}

void run_touch(struct run *run, bool urgent)
{
	run->behind = true;
	run->waits = false;
	run->urgent = run->urgent || urgent;
}

bool run_is_behind(const struct run *run)
{
	return run->at.phase != RUN_REFUSED && (run->behind || run->in_flight || run->upload);
}

bool run_is_settled(const struct run *run)
{
	bool over = run->at.phase == RUN_FINISHED || run->at.phase == RUN_REFUSED || run->at.phase == RUN_NEW ||
		    run->at.phase == RUN_LEFT;
	return over && !run->in_flight && !run->upload && run->said == run->told &&
	       (!run->behind || run->at.phase == RUN_REFUSED);
}

/* --- reports --- */

static void say(struct run *run)
{
	run->said++;
	follow_poke(run->follow);
}

json_t *run_report(struct run *run)
{
	struct wsweep_facts ws;
	const struct position *at = &run->at;
	if (run->said == run->told || at->phase == RUN_NEW)
		return NULL;
	run->telling = run->said;
	wsweep_facts(run->ws, &ws);
	autofree char *url = wsweep_run_url(run->ws, run->id);
	return json_pack("{s:I, s:s, s:s?, s:s, s:s, s:s, s:s?, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:i}", "job",
			 (json_int_t)run->job, "run_id", run->id, "entity", ws.entity, "project", ws.project, "url",
			 url, "phase", run_phase_names[at->phase], "problem", run->problem, "last_event",
			 (json_int_t)at->last_event, "last_epoch", (json_int_t)at->last_epoch, "last_step",
			 (json_int_t)at->last_step, "history", (json_int_t)at->history, "events",
			 (json_int_t)at->events, "output", (json_int_t)at->output,
			 "output_bytes", (json_int_t)at->output_bytes, "stopped", at->stopped);
}

void run_reported(struct run *run, bool stored)
{
	if (stored)
		run->told = run->telling;
}

/* --- outcomes of a request --- */

static void refuse(struct run *run, const char *why)
{
	free(run->problem);
	run->problem = xasprintf(
		"W&B takes no more of it: %s; training goes on, all of it is in `sweepctl wandb export %lld`, and "
		"`sweepctl wandb sync %lld` sends it anew",
		why, (long long)run->job, (long long)run->job);
	log_error("job %lld: run %s: %s", (long long)run->job, run->id, run->problem);
	run->at.phase = RUN_REFUSED;
	run->behind = false;
	say(run);
}

static void later(struct run *run, double retry_after_s)
{
	run->tries++;
	run->behind = true;
	run->retry_s = monotonic_s() +
		       retry_wait_s(run->tries, run->follow->options.retry_ms / 1000.0, retry_after_s, drand48());
}

static void acknowledge(struct run *run)
{
	double now_s = monotonic_s();
	run->at = run->after;
	run->tries = 0;
	run->sure = true;
	run->sent_s = now_s;
	run->pace_s = run->more ? now_s : now_s + run->follow->options.interval_ms / 1000.0;
	run->behind = run->behind || run->more;
	say(run);
}

static char *reason(const struct http_response *r, const struct graphql_answer *a)
{
	if (r->failure != HTTP_ANSWERED)
		return xstrdup(r->error);
	if (r->status == 401)
		return xstrdup("the key is not valid any more (HTTP 401)\n  do this:  sweepctl wandb login");
	return xasprintf("%s (HTTP %d)", a->message ? a->message : "refused", r->status);
}

/* true: it is done. */
static bool heed(struct run *run, enum retry_channel channel, const struct http_response *r,
		 const struct graphql_answer *a)
{
	autofree char *why = reason(r, a);
	bool errors = channel == RETRY_GRAPHQL && a->errors;
	switch (retry_judge(channel, r, errors, a->permission)) {
	case RETRY_DONE:
		return true;
	case RETRY_AGAIN:
		later(run, r->retry_after_s);
		if (channel == RETRY_GRAPHQL && r->failure == HTTP_ANSWERED && r->status < 400 &&
		    run->tries >= OPEN_TRIES)
			refuse(run, why);
		return false;
	case RETRY_PERSON:
		run->behind = true;
		wsweep_park(run->ws, why);
		return false;
	case RETRY_REFUSED:
		refuse(run, why);
		return false;
	}
	return false;
}

/* --- making the run --- */

/* It was there, and the server had to make it: its lines are gone, and offsets of ours would leave a gap. */
static bool was_deleted(const struct run *run, const struct graphql_answer *a)
{
	return json_is_true(graphql_at(a, GRAPHQL_PATH("upsertBucket", "inserted"))) &&
	       (run->at.history || run->at.events || run->at.output);
}

static void take_open(struct run *run, const struct graphql_answer *a)
{
	struct wsweep_facts ws;
	const char *there = graphql_text(a, GRAPHQL_PATH("upsertBucket", "bucket", "sweepName"));
	wsweep_place(run->ws, graphql_text(a, GRAPHQL_PATH("upsertBucket", "bucket", "project", "entity", "name")),
		     graphql_text(a, GRAPHQL_PATH("upsertBucket", "bucket", "project", "name")));
	wsweep_facts(run->ws, &ws);
	if (ws.there && (!there || !str_eq(there, ws.there)))
		log_warn("job %lld: run %s does not belong to sweep %s in W&B, as it should", (long long)run->job,
			 run->id, ws.there);
	if (run->reopens)
		wsweep_reopened(run->ws);
	run->more = true; /* its lines follow at once */
	acknowledge(run);
}

static void on_open(void *arg, const struct http_response *r)
{
	struct run *run = arg;
	struct graphql_answer a;
	run->in_flight = false;
	graphql_read(&a, r->body, r->size);
	if (heed(run, RETRY_GRAPHQL, r, &a)) {
		if (was_deleted(run, &a))
			refuse(run, "it was deleted there");
		else
			take_open(run, &a);
	}
	graphql_fini(&a);
	follow_poke(run->follow);
}

static void send_open(struct run *run)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	struct err err;
	struct wsweep_facts ws;
	wsweep_facts(run->ws, &ws);
	autojson json_t *variables = about_run(run->follow, &ws, run->job, run->id, &err);
	if (!variables) {
		log_error("job %lld: %s", (long long)run->job, err.text);
		later(run, RETRY_MAX_S);
		return;
	}
	autofree char *body = graphql_upsert_run(variables);
	autofree char *url = xasprintf("%s/graphql", ws.base_url);
	const struct http_request q = {.method = "POST",
				       .url = url,
				       .key = ws.key,
				       .headers = headers,
				       .body = body,
				       .size = strlen(body),
				       .timeout_ms = GRAPHQL_TIMEOUT_MS};
	run->in_flight = true;
	run->files_done = false;
	net_send(run->follow->net, &q, on_open, run);
}

/* --- lines --- */

/* Pressed once, it is heeded once: the server says it again with every answer until the run starts anew. */
static void heed_stop(struct run *run, bool stopped)
{
	if (stopped && !run->after.stopped) {
		log_info("job %lld: stopped in W&B", (long long)run->job);
		follow_ask(run->follow, "cancel", json_pack("[I]", (json_int_t)run->job));
	}
	run->after.stopped = stopped;
}

static void on_streamed(void *arg, const struct http_response *r)
{
	struct run *run = arg;
	struct graphql_answer a;
	run->in_flight = false;
	graphql_read(&a, r->body, r->size); /* for the sentence of a refusal */
	if (heed(run, RETRY_STREAM, r, &a)) {
		heed_stop(run, stream_says_stopped(r->body, r->size));
		if (run->after.phase == RUN_FINISHED)
			run->files_done = false;
		acknowledge(run);
	}
	graphql_fini(&a);
	follow_poke(run->follow);
}

static void send_chunk(struct run *run, const struct stream_chunk *chunk)
{
	static const char *const headers[] = {"Content-Type: application/json", NULL};
	struct wsweep_facts ws;
	wsweep_facts(run->ws, &ws);
	autofree char *body = stream_body(chunk);
	autofree char *url = stream_url(ws.base_url, ws.entity ? ws.entity : "", ws.project, run->id);
	const struct http_request q = {.method = "POST",
				       .url = url,
				       .key = ws.key,
				       .headers = headers,
				       .body = body,
				       .size = strlen(body),
				       .timeout_ms = STREAM_TIMEOUT_MS};
	run->in_flight = true;
	net_send(run->follow->net, &q, on_streamed, run);
}

/* --- files --- */

static void on_uploaded(void *arg, enum upload_outcome outcome, double retry_after_s, const char *why)
{
	struct run *run = arg;
	run->upload = NULL;
	run->follow->uploading--;
	run->behind = run->urgent = true;
	switch (outcome) {
	case UPLOAD_DONE:
		run->files_done = true;
		run->tries = 0;
		break;
	case UPLOAD_AGAIN:
		later(run, retry_after_s);
		break;
	case UPLOAD_PERSON:
		wsweep_park(run->ws, why);
		break;
	case UPLOAD_REFUSED:
		log_warn("job %lld: run %s ends without its files: %s", (long long)run->job, run->id, why);
		run->files_done = true;
		run->sent_files.n = 0;
		break;
	}
	follow_poke(run->follow);
}

/* The right to send is taken.  lines: of the history, in the end. */
static void send_files(struct run *run, int64_t lines)
{
	struct err err;
	struct wsweep_facts ws;
	struct upload_files files = {0};
	wsweep_facts(run->ws, &ws);
	if (about_files(&files, run->follow, &ws, run->job, lines, &err) < 0) {
		log_warn("job %lld: run %s ends without its files: %s", (long long)run->job, run->id, err.text);
		upload_files_fini(&files);
		run->files_done = true;
		run->sent_files.n = 0;
		follow_poke(run->follow);
		return;
	}
	run->sent_files.n = files.n;
	for (size_t i = 0; i < files.n; i++)
		run->sent_files.items[i].name = files.items[i].name;
	run->follow->uploading++;
	run->upload = upload_begin(run->follow, &ws, run->id, &files, on_uploaded, run);
}

/* --- acting --- */

static int build(struct run *run, struct batch *batch)
{
	struct err err;
	struct batch_job job;
	struct wsweep_facts ws;
	struct job_facts facts;
	struct follow *f = run->follow;
	wsweep_facts(run->ws, &ws);
	int r = rows_begin(f->rows, &err);
	r = r ? r : rows_facts(f->rows, run->job, &facts, &err);
	if (r == 0) {
		autofree char *dir = paths_job_dir(&f->paths, run->job);
		autofree char *log_path = xasprintf("%s/log.txt", dir);
		job = (struct batch_job){.job = run->job, .log_path = log_path, .line = about_line_job(&ws, &facts)};
		r = batch_build(batch, f->rows, &job, &run->at, &err);
		job_facts_fini(&facts);
	}
	rows_end(f->rows);
	if (r < 0) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_WARN, "job %lld: %s", (long long)run->job, err.text);
		later(run, NAN);
	}
	return r;
}

/* The last process may have sent more than sweepd stored, the end too: the run is opened first then. */
static bool may_have_ended(const struct run *run)
{
	return !run->sure && rows_ended_between(run->follow->rows, run->job, run->at.last_event, INT64_MAX, NULL) == 1;
}

static bool wants_to_upload(const struct run *run, const struct batch *b)
{
	return b->kind == BATCH_CLOSE && !run->files_done && !may_have_ended(run);
}

static void send_batch(struct run *run, struct batch *b)
{
	bool again = b->kind != BATCH_OPEN && may_have_ended(run);
	run->more = b->more;
	if (b->kind == BATCH_OPEN || again) {
		run->reopens = run->at.phase == RUN_FINISHED;
		run->after = again ? run->at : b->after;
		run->after.phase = RUN_OPEN;
		send_open(run);
		return;
	}
	if (wants_to_upload(run, b)) {
		send_files(run, b->after.history);
		return;
	}
	for (size_t i = 0; b->kind == BATCH_CLOSE && i < run->sent_files.n; i++)
		stream_add_uploaded(&b->chunk, run->sent_files.items[i].name);
	run->after = b->after;
	send_chunk(run, &b->chunk);
}

static void send_heartbeat(struct run *run)
{
	const struct stream_chunk nothing = {0};
	run->after = run->at;
	run->more = false;
	send_chunk(run, &nothing);
}

static double due_s(const struct run *run)
{
	double when_s = INFINITY;
	if (run->behind)
		when_s = run->urgent ? run->retry_s : MAX(run->retry_s, run->pace_s);
	if (run->at.phase == RUN_OPEN)
		when_s = MIN(when_s, MAX(run->retry_s, run->sent_s + run->follow->options.heartbeat_ms / 1000.0));
	return when_s;
}

static bool uploads_are_full(const struct run *run)
{
	return run->follow->uploading >= UPLOADS;
}

/* The rows are read before the right to send is taken: there may be nothing to say. */
static double send_rows(struct run *run, double now_s)
{
	double when_s;
	struct batch batch = {0};
	if (run->waits && uploads_are_full(run))
		return INFINITY;
	if (build(run, &batch) < 0)
		return run->retry_s;
	if (batch.kind == BATCH_NOTHING) {
		run->at = batch.after; /* rows that W&B does not hear of */
		run->behind = run->urgent = false;
		batch_fini(&batch);
		return due_s(run);
	}
	run->waits = wants_to_upload(run, &batch) && uploads_are_full(run);
	when_s = INFINITY;
	if (!run->waits && net_take(run->follow->net, now_s, &when_s)) {
		run->behind = run->urgent = false;
		send_batch(run, &batch);
		when_s = INFINITY;
	}
	batch_fini(&batch);
	return when_s;
}

double run_tick(struct run *run, double now_s)
{
	double when_s;
	if (run->in_flight || run->upload || run->at.phase == RUN_REFUSED || !wsweep_is_ready(run->ws))
		return INFINITY;
	double due = due_s(run);
	if (now_s < due)
		return due;
	if (run->behind)
		return send_rows(run, now_s);
	if (!net_take(run->follow->net, now_s, &when_s))
		return when_s;
	send_heartbeat(run);
	return INFINITY;
}
