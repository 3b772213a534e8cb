/* Attempts and what their workers say.  See store.h and docs/protocol.md. */
#include "store_steps.h"

#include <math.h>

#define NAME_MAX_BYTES 128

int store_begin_attempt(struct store *s, int64_t job, int64_t worker, const char *device, int64_t *ret_attempt,
			struct err *err)
{
	struct stmt *q = store_query(s, QUERY_BEGIN_ATTEMPT);
	stmt_bind_int(q, 1, job);
	stmt_bind_int(q, 2, worker);
	stmt_bind_text(q, 3, device);
	stmt_bind_int(q, 4, wall_ms());
	stmt_bind_int(q, 5, (int64_t)(monotonic_s() * 1000));
	int r = store_run(q, err);
	if (r < 0)
		return r;
	*ret_attempt = db_last_rowid(s->db);
	return store_move_job(s, job, &(struct job_move){.to = JOB_RUNNING}, err);
}

int store_end_attempt(struct store *s, int64_t attempt, enum attempt_state state, const char *fail_class,
		      const char *reason, struct err *err)
{
	int r = store_write_warm(s, err);
	if (r < 0)
		return r;
	struct stmt *q = store_query(s, QUERY_END_ATTEMPT);
	stmt_bind_int(q, 1, attempt);
	stmt_bind_text(q, 2, attempt_state_names[state]);
	stmt_bind_text(q, 3, fail_class);
	stmt_bind_text(q, 4, reason);
	stmt_bind_int(q, 5, wall_ms());
	r = store_run(q, err);
	INVARIANT(r < 0 || db_changes(s->db) == 1, "attempt %lld ends twice (invariant 4)", (long long)attempt);
	return r;
}

static enum attempt_state attempt_state_parse(const char *name)
{
	for (int i = 0; i < N_ATTEMPT_STATES; i++)
		if (str_eq(attempt_state_names[i], name))
			return (enum attempt_state)i;
	BUG("attempt state %s", name);
}

static struct warm_attempt *find_warm(struct store *s, int64_t attempt)
{
	for (size_t i = 0; i < s->n_warm; i++)
		if (s->warm[i].row.id == attempt)
			return &s->warm[i];
	return NULL;
}

static int read_attempt(struct store *s, int64_t attempt, struct attempt_row *ret, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_ATTEMPT);
	stmt_bind_int(q, 1, attempt);
	int r = stmt_step(q, err);
	if (r == 0)
		return err_set(err, -ENOENT, "no attempt %lld", (long long)attempt);
	if (r < 0)
		return r;
	*ret = (struct attempt_row){
		.id = attempt,
		.job = stmt_int(q, 0),
		.worker = stmt_int(q, 1),
		.number = stmt_int(q, 2),
		.state = attempt_state_parse(stmt_text(q, 3)),
		.last_seq = stmt_int(q, 4),
		.sweep = stmt_int(q, 5),
	};
	stmt_reset(q);
	return 0;
}

int store_attempt(struct store *s, int64_t attempt, struct attempt_row *ret, struct err *err)
{
	const struct warm_attempt *warm = find_warm(s, attempt);
	if (!warm)
		return read_attempt(s, attempt, ret, err);
	*ret = warm->row;
	return 0;
}

/* Of an attempt that sends; valid until the next one is warmed. */
static int warm_up(struct store *s, int64_t attempt, struct warm_attempt **ret, struct err *err)
{
	*ret = find_warm(s, attempt);
	if (*ret)
		return 0;
	int r = s->n_warm == WARM_ATTEMPTS ? store_write_warm(s, err) : 0;
	struct warm_attempt *warm = &s->warm[s->n_warm];
	r = r ? r : read_attempt(s, attempt, &warm->row, err);
	if (r < 0)
		return r;
	warm->stored_seq = warm->row.last_seq;
	s->n_warm++;
	*ret = warm;
	return 0;
}

int store_write_warm(struct store *s, struct err *err)
{
	int r = 0;
	for (size_t i = 0; i < s->n_warm && r == 0; i++) {
		const struct warm_attempt *warm = &s->warm[i];
		if (warm->row.last_seq == warm->stored_seq)
			continue;
		struct stmt *q = store_query(s, QUERY_ADVANCE_ATTEMPT);
		stmt_bind_int(q, 1, warm->row.id);
		stmt_bind_int(q, 2, warm->row.last_seq);
		r = store_run(q, err);
	}
	s->n_warm = 0;
	return r;
}

int store_worker_attempts(struct store *s, int64_t worker, struct attempt_row **ret, size_t *ret_n, struct err *err)
{
	size_t n = 0;
	struct attempt_row *rows = NULL;
	struct stmt *q = store_query(s, QUERY_WORKER_ATTEMPTS);
	int r;
	stmt_bind_int(q, 1, worker);
	while ((r = stmt_step(q, err)) == 1) {
		rows = xrealloc_array(rows, n + 1, sizeof(*rows));
		rows[n++].id = stmt_int(q, 0);
	}
	for (size_t i = 0; r == 0 && i < n; i++)
		r = store_attempt(s, rows[i].id, &rows[i], err);
	if (r < 0) {
		free(rows);
		return r;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

/* --- events --- */

struct arrival { /* one event on its way into the rows */
	struct store *s;
	const struct attempt_row *attempt;
	const json_t *event;
	int64_t event_id;
	int64_t at_ms;
};

static int bad(struct err *err, int r)
{
	return r < 0 ? err_prefix(err, -EPROTO, "bad event") : r;
}

static int add_started(const struct arrival *a, struct err *err)
{
	int64_t epoch, step;
	int r = bad(err, json_get_int(a->event, "start_epoch", &epoch, err));
	r = r ? r : bad(err, json_get_int(a->event, "start_step", &step, err));
	if (r < 0)
		return r;
	autofree char *details = json_line(a->event);
	struct stmt *q = store_query(a->s, QUERY_ATTEMPT_STARTED);
	stmt_bind_int(q, 1, a->attempt->id);
	stmt_bind_int(q, 2, epoch);
	stmt_bind_int(q, 3, step);
	stmt_bind_text(q, 4, details);
	return store_run(q, err);
}

/* Columns of `epoch` from the event's members of the same names, with the parameter number in add_epoch. */
static const struct {
	const char *name;
	int parameter;
	bool optional;
} epoch_numbers[] = {
	{"lr", 5, false},	    {"train_loss", 7, false},	{"train_accuracy", 8, false},	  {"test_loss", 9, false},
	{"test_accuracy", 10, false}, {"train_seconds", 11, false}, {"test_seconds", 12, false},
	{"images_per_second", 13, false}, {"watts", 16, true}, {"joules", 18, true},
};

/* Binds the numbers; ret_nonfinite: names of those that were not finite, comma-separated (or empty). */
static int bind_epoch_numbers(struct stmt *q, const json_t *event, char *nonfinite, size_t size, struct err *err)
{
	nonfinite[0] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(epoch_numbers); i++) {
		double v = NAN;
		const char *name = epoch_numbers[i].name;
		bool absent = !json_object_get(event, name);
		if (absent && epoch_numbers[i].optional)
			continue;
		int r = bad(err, json_get_num(event, name, &v, err));
		if (r < 0)
			return r;
		stmt_bind_num(q, epoch_numbers[i].parameter, v);
		if (!isfinite(v)) {
			size_t used = strlen(nonfinite);
			snprintf(nonfinite + used, size - used, "%s%s", used ? "," : "", name);
		}
	}
	return 0;
}

static int add_epoch(const struct arrival *a, struct err *err)
{
	char nonfinite[256];
	int64_t epoch, batch_size;
	int r = bad(err, json_get_int(a->event, "epoch", &epoch, err));
	r = r ? r : bad(err, json_get_int(a->event, "batch_size", &batch_size, err));
	if (r < 0)
		return r;
	struct stmt *q = store_query(a->s, QUERY_ADD_EPOCH);
	stmt_bind_int(q, 1, a->attempt->id);
	stmt_bind_int(q, 2, epoch);
	stmt_bind_int(q, 3, a->attempt->job);
	stmt_bind_int(q, 4, a->event_id);
	stmt_bind_int(q, 6, batch_size);
	if (json_object_get(a->event, "ram_mib"))
		stmt_bind_int(q, 14, json_int_or(a->event, "ram_mib", 0));
	if (json_object_get(a->event, "vram_mib"))
		stmt_bind_int(q, 15, json_int_or(a->event, "vram_mib", 0));
	r = bind_epoch_numbers(q, a->event, nonfinite, sizeof(nonfinite), err);
	if (r < 0) {
		stmt_reset(q);
		return r;
	}
	stmt_bind_text(q, 17, *nonfinite ? nonfinite : NULL);
	return store_run(q, err);
}

static int check_name(const char *name, struct err *err)
{
	if (*name && strlen(name) <= NAME_MAX_BYTES)
		return 0;
	return err_set(err, -EPROTO, "bad event: a name of 1 to %d bytes", NAME_MAX_BYTES);
}

static int add_metric(const struct arrival *a, struct err *err)
{
	int64_t epoch;
	double value;
	const char *name;
	char text[32];
	int r = bad(err, json_get_int(a->event, "epoch", &epoch, err));
	r = r ? r : bad(err, json_get_str(a->event, "name", &name, err));
	r = r ? r : bad(err, json_get_num(a->event, "value", &value, err));
	r = r ? r : check_name(name, err);
	if (r < 0)
		return r;
	struct stmt *q = store_query(a->s, QUERY_ADD_METRIC);
	stmt_bind_int(q, 1, a->attempt->id);
	stmt_bind_int(q, 2, epoch);
	stmt_bind_borrowed(q, 3, name);
	stmt_bind_num(q, 4, value);
	stmt_bind_borrowed(q, 5, isfinite(value) ? NULL : number_text(value, text));
	stmt_bind_int(q, 6, a->event_id);
	return store_run(q, err);
}

static int add_telemetry(const struct arrival *a, struct err *err)
{
	const char *name;
	json_t *value;
	json_t *values = json_object_get(a->event, "values");
	if (!json_is_object(values))
		return err_set(err, -EPROTO, "bad event: telemetry without values");
	json_object_foreach(values, name, value) {
		int r = check_name(name, err);
		if (r < 0)
			return r;
		struct stmt *q = store_query(a->s, QUERY_ADD_TELEMETRY);
		stmt_bind_int(q, 1, a->event_id);
		stmt_bind_int(q, 2, a->attempt->id);
		stmt_bind_int(q, 3, a->at_ms);
		stmt_bind_text(q, 4, name);
		stmt_bind_num(q, 5, json_num_or(values, name, NAN));
		r = store_run(q, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_steps(const struct arrival *a, struct err *err)
{
	return store_add_steps(a->s, a->attempt, a->event_id, a->event, err);
}

static int check_failed(const struct arrival *a, struct err *err)
{
	const char *text;
	int r = bad(err, json_get_str(a->event, "class", &text, err));
	return r ? r : bad(err, json_get_str(a->event, "reason", &text, err));
}

static int nothing_more(const struct arrival *a, struct err *err)
{
	return 0;
}

static const struct {
	const char *type;
	int (*add)(const struct arrival *a, struct err *err);
} types[] = {
	{"started", add_started},     {"epoch", add_epoch},	{"metric", add_metric},	   {"telemetry", add_telemetry},
	{"checkpoint", nothing_more}, {"done", nothing_more},	{"failed", check_failed}, {"cancelled", nothing_more},
	{"released", nothing_more},   {"steps", add_steps},
};

static int log_arrival(struct arrival *a, const char *type, int64_t seq, struct err *err)
{
	autojson json_t *less = str_eq(type, "steps") ? store_steps_detail(a->event) : NULL;
	struct event_row e = {.at_ms = a->at_ms, .sweep = a->attempt->sweep, .job = a->attempt->job,
			      .attempt = a->attempt->id, .seq = seq, .kind = type, .detail = less ? less : a->event,
			      .of_worker = true};
	return store_log_event(a->s, &e, &a->event_id, err);
}

int store_add_event(struct store *s, int64_t attempt, const json_t *event, struct err *err)
{
	int64_t seq;
	const char *type;
	struct warm_attempt *warm;
	int r = warm_up(s, attempt, &warm, err);
	r = r ? r : bad(err, json_get_str(event, "type", &type, err));
	r = r ? r : bad(err, json_get_int(event, "seq", &seq, err));
	if (r < 0)
		return r;
	struct attempt_row *row = &warm->row;
	if (seq >= 1 && seq <= row->last_seq)
		return 0;
	if (seq != row->last_seq + 1)
		return err_set(err, -EPROTO, "event %lld of attempt %lld comes after %lld", (long long)seq,
			       (long long)attempt, (long long)row->last_seq);
	if (row->state != ATTEMPT_RUNNING)
		return err_set(err, -EPROTO, "attempt %lld has ended", (long long)attempt);
	struct arrival a = {.s = s, .attempt = row, .event = event, .at_ms = json_int_or(event, "at_ms", wall_ms())};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (!str_eq(types[i].type, type))
			continue;
		r = log_arrival(&a, type, seq, err);
		r = r ? r : types[i].add(&a, err);
		if (r == 0)
			row->last_seq = seq;
		if (r == -EEXIST) /* the same epoch or metric twice in one attempt */
			r = -EPROTO;
		return r < 0 ? r : 1;
	}
	return err_set(err, -EPROTO, "unknown event type \"%.40s\"", type);
}
