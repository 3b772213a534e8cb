/* See batch.h.
 *
 *   state -> running   opens the run, unless it is open
 *   state -> queued, paused from running: "preempting", and the run is left
 *   state -> done, failed, cancelled, pruned: the last lines, then "complete"
 *   epoch              a row of the history, unless the epoch was there before (an attempt that repeats work)
 *   steps              a row a sample, unless its step or its epoch was there before
 *   telemetry          a row of the events
 *   log.txt            lines of output.log, as far as they are whole */
#include "batch.h"

#include "common/json.h"

#include <fcntl.h>
#include <unistd.h>

struct undo { /* of a run's end that does not fit: what comes before it goes first */
	struct position after;
	size_t history;
};

struct building {
	struct batch *b;
	struct rows *rows;
	const struct batch_job *job;
	int64_t summary_up_to; /* an epoch's event; 0: no new one */
	int64_t summary_row;   /* the last one then */
	int64_t step_at_ms;    /* of the samples under way */
	struct undo undo;
	bool failed;
	struct err *err;
};

static bool is_full(const struct batch *b)
{
	return b->chunk.bytes >= BATCH_BYTES;
}

static void add_metric(void *arg, const char *name, double value)
{
	line_add_metric(arg, name, value);
}

static void add_row(struct building *g, struct line *line)
{
	line_number(line, &g->job->line, g->b->after.history);
	stream_add(&g->b->chunk, &g->b->chunk.history, line_text(line));
	g->b->after.history++;
}

static int add_epoch(struct building *g, const struct row *row)
{
	struct position *after = &g->b->after;
	autoline struct line line = {0};
	int64_t epoch = json_int_or(row->detail, "epoch", 0);
	if (epoch <= after->last_epoch)
		return 0;
	after->last_epoch = epoch;
	g->summary_up_to = row->id;
	g->summary_row = MAX(after->history - 1, 0);
	if (!line_epoch_is_due(&g->job->line, epoch) || !line_of_epoch(&line, &g->job->line, row->at_ms, row->detail))
		return 0;
	int r = rows_metrics(g->rows, row, add_metric, &line, g->err);
	if (r < 0)
		return r;
	add_row(g, &line);
	g->summary_row = after->history - 1;
	return 0;
}

static void add_step(void *arg, const struct step_sample *sample)
{
	struct building *g = arg;
	autoline struct line line = {0};
	line_of_step(&line, &g->job->line, g->step_at_ms, sample);
	add_row(g, &line);
	g->b->after.last_step = sample->step;
}

/* An attempt that goes on from a checkpoint says the steps behind it again: each is sent once. */
static int add_steps(struct building *g, const struct row *row)
{
	const struct position *after = &g->b->after;
	if (!g->job->line.samples || json_int_or(row->detail, "epoch", 0) <= after->last_epoch)
		return 0;
	g->step_at_ms = row->at_ms;
	return rows_steps(g->rows, g->job->job, row, after->last_step, add_step, g, g->err);
}

static void add_telemetry(struct building *g, const struct row *row)
{
	autoline struct line line = {0};
	if (!line_of_telemetry(&line, &g->job->line, row->at_ms, row->detail))
		return;
	stream_add(&g->b->chunk, &g->b->chunk.events, line_text(&line));
	g->b->after.events++;
}

/* The last epoch of a job that ended early becomes a row at its end. */
struct last_epoch {
	struct building *g;
	struct line line;
	int64_t event, attempt;
	bool due;
};

static void take_last_epoch(void *arg, const struct row *row)
{
	struct last_epoch *last = arg;
	line_fini(&last->line);
	last->event = row->id;
	last->attempt = row->attempt;
	last->due = !line_epoch_is_due(&last->g->job->line, json_int_or(row->detail, "epoch", 0)) &&
		    line_of_epoch(&last->line, &last->g->job->line, row->at_ms, row->detail);
}

static int add_last_epoch(struct building *g, int64_t up_to)
{
	struct last_epoch last = {.g = g};
	int r = rows_epochs(g->rows, g->job->job, up_to, take_last_epoch, &last, g->err);
	if (r == 0 && last.due) /* not if an end before this one has made it a row */
		r = rows_ended_between(g->rows, g->job->job, last.event, up_to, g->err);
	if (r == 0 && last.due)
		r = rows_metrics(g->rows, &(struct row){.id = last.event, .attempt = last.attempt}, add_metric, &last.line, g->err);
	if (r == 0 && last.due)
		add_row(g, &last.line);
	line_fini(&last.line);
	return MIN(r, 0);
}

static void undo_end(struct batch *b, const struct undo *undo)
{
	struct stream_file *history = &b->chunk.history;
	while (history->n > undo->history)
		free(history->lines[--history->n]);
	int64_t output = b->after.output, output_bytes = b->after.output_bytes;
	b->after = undo->after;
	b->after.output = output;
	b->after.output_bytes = output_bytes;
	b->chunk.complete = false;
	b->kind = BATCH_LINES;
}

static bool is_waiting(const char *state)
{
	return str_eq(state, "queued") || str_eq(state, "paused");
}

/* false: the batch ends here. */
static bool add_state(struct building *g, const struct row *row)
{
	struct batch *b = g->b;
	const char *state = json_str_or(row->detail, "state", "");
	if (str_eq(state, "running")) {
		if (b->after.phase == RUN_OPEN)
			return true;
		if (b->kind == BATCH_NOTHING) {
			b->kind = BATCH_OPEN;
			b->after.phase = RUN_OPEN;
			b->after.last_event = row->id;
		}
		return false; /* lines before it first */
	}
	if (is_waiting(state) && b->after.phase == RUN_OPEN) {
		b->kind = BATCH_LINES;
		b->chunk.preempting = true;
		b->after.phase = RUN_LEFT;
		b->more = true;
		b->after.last_event = row->id;
		return false;
	}
	if (!is_waiting(state) && (b->after.phase == RUN_OPEN || b->after.phase == RUN_LEFT)) {
		g->undo = (struct undo){b->after, b->chunk.history.n};
		g->failed = add_last_epoch(g, row->id) < 0;
		b->kind = BATCH_CLOSE;
		b->chunk.complete = true;
		b->chunk.exit_code = line_exit_code(state);
		b->after.phase = RUN_FINISHED;
		b->after.last_event = row->id;
		return false;
	}
	b->after.last_event = row->id; /* what never ran, or waits already */
	return true;
}

static bool take_row(void *arg, const struct row *row)
{
	struct building *g = arg;
	struct batch *b = g->b;
	if (is_full(b)) {
		b->more = true;
		return false;
	}
	if (str_eq(row->kind, "state"))
		return add_state(g, row);
	if (str_eq(row->kind, "epoch"))
		g->failed = add_epoch(g, row) < 0;
	else if (str_eq(row->kind, "steps"))
		g->failed = add_steps(g, row) < 0;
	else if (str_eq(row->kind, "telemetry"))
		add_telemetry(g, row);
	if (g->failed)
		return false;
	b->after.last_event = row->id;
	return true;
}

/* --- the console --- */

#define LONGEST_LINE (16 * 1024 * 1024) /* a longer one is several */

/* Bytes of the line that begins there, with its newline; 0: it is not whole yet.  Its rest may be far away. */
static off_t line_size(int fd, off_t at, bool last)
{
	char block[16384];
	off_t used = 0;
	ssize_t n;
	while (used < LONGEST_LINE && (n = pread(fd, block, sizeof(block), at + used)) > 0) {
		const char *end = memchr(block, '\n', (size_t)n);
		if (end)
			return used + (end + 1 - block);
		used += n;
	}
	return used >= LONGEST_LINE || last ? used : 0;
}

/* Whole lines of the log after the position; the rest too when the run ends.  A missing log has none. */
static int add_console(struct batch *b, const char *path, bool *ret_fits, struct err *err)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	autofree char *bytes = xmalloc(LINE_CONSOLE_MAX + 1);
	off_t size = 0;
	while (fd >= 0 && (size = line_size(fd, b->after.output_bytes, b->kind == BATCH_CLOSE)) > 0 && !is_full(b)) {
		size_t wanted = (size_t)MIN(size, LINE_CONSOLE_MAX + 1);
		ssize_t n = pread(fd, bytes, wanted, b->after.output_bytes);
		if (n < (ssize_t)wanted)
			return err_sys(err, n < 0 ? -errno : -EIO, "cannot read %s", path);
		size_t length = bytes[n - 1] == '\n' ? (size_t)n - 1 : (size_t)n;
		stream_add(&b->chunk, &b->chunk.output, line_of_console(bytes, length));
		b->after.output++;
		b->after.output_bytes += size;
	}
	*ret_fits = size <= 0;
	return 0;
}

/* --- the summary --- */

struct summing {
	struct rows *rows;
	const struct line_job *job;
	struct line_best best;
	struct row last; /* the last epoch; its detail is ours */
	int result;
	struct err *err;
};

static void add_value(void *arg, const char *name, double value)
{
	json_object_set_new(arg, name, json_num(value));
}

/* The sweep's metric is a number of the epoch itself, or one beside it. */
static void take_summed(void *arg, const struct row *row)
{
	struct summing *s = arg;
	autojson json_t *all = json_copy(row->detail);
	if (s->job->metric && !json_object_get(all, s->job->metric) && s->result == 0)
		s->result = MIN(rows_metrics(s->rows, row, add_value, all, s->err), 0);
	line_best_take(&s->best, s->job, all);
	json_decref(s->last.detail);
	s->last = *row;
	s->last.detail = json_incref(row->detail);
}

int batch_summary(char **ret, struct rows *rows, const struct batch_job *job, int64_t up_to, int64_t last_row,
		  struct err *err)
{
	autoline struct line line = {0};
	struct summing s = {.rows = rows, .job = &job->line, .err = err};
	int r = rows_epochs(rows, job->job, up_to, take_summed, &s, err);
	r = r < 0 ? r : s.result;
	bool any = r == 0 && line_of_summary(&line, s.job, s.last.at_ms, s.last.detail, &s.best);
	if (any)
		r = MIN(rows_metrics(rows, &s.last, add_metric, &line, err), 0);
	line_number(&line, &job->line, MAX(last_row, 0));
	if (r == 0)
		*ret = any ? line_text(&line) : NULL;
	json_decref(s.last.detail);
	return r;
}

/* --- all of it --- */

int batch_build(struct batch *ret, struct rows *rows, const struct batch_job *job, const struct position *at,
		struct err *err)
{
	struct batch b = {.after = *at};
	struct building g = {.b = &b, .rows = rows, .job = job, .err = err};
	bool fits = true, is_there = at->phase == RUN_OPEN || at->phase == RUN_LEFT;
	b.chunk.history.offset = at->history;
	b.chunk.events.offset = at->events;
	b.chunk.output.offset = at->output;
	int r = rows_events(rows, job->job, at->last_event, take_row, &g, err);
	r = g.failed ? -EIO : r;
	if (r == 0 && is_there && b.kind != BATCH_OPEN)
		r = add_console(&b, job->log_path, &fits, err);
	if (r == 0 && g.summary_up_to) {
		char *summary = NULL;
		r = batch_summary(&summary, rows, job, g.summary_up_to, g.summary_row, err);
		if (summary)
			stream_set_summary(&b.chunk, summary);
	}
	if (r < 0) {
		batch_fini(&b);
		return r;
	}
	b.more = b.more || !fits || b.kind == BATCH_CLOSE;
	if (b.kind == BATCH_CLOSE && !fits)
		undo_end(&b, &g.undo);
	if (b.kind == BATCH_NOTHING && !stream_is_empty(&b.chunk))
		b.kind = BATCH_LINES;
	*ret = b;
	return 0;
}

void batch_fini(struct batch *b)
{
	stream_fini(&b->chunk);
	*b = (struct batch){0};
}
