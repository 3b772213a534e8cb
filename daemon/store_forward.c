/* See store_forward.h. */
#include "store_forward.h"

#include "store_internal.h"

int store_forward_wanted(struct store *s, struct err *err)
{
	struct stmt *q = store_query(s, QUERY_FORWARD_WANTED);
	int r = stmt_step(q, err);
	if (r == 1)
		stmt_reset(q);
	return r;
}

/* Members of a message, in the order of the statement's parameters. */
struct member {
	const char *name;
	bool number, needed;
};

static int bind_members(struct stmt *q, const struct member *members, size_t n, const json_t *message, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_object_get(message, members[i].name);
		bool absent = !value || json_is_null(value);
		if (absent && !members[i].needed) {
			stmt_bind_null(q, (int)i + 1);
		} else if (members[i].number && json_is_integer(value)) {
			stmt_bind_int(q, (int)i + 1, json_integer_value(value));
		} else if (!members[i].number && json_is_string(value)) {
			stmt_bind_text(q, (int)i + 1, json_string_value(value));
		} else {
			stmt_reset(q);
			return err_set(err, -EINVAL, "forward: \"%s\": expected %s", members[i].name,
				       members[i].number ? "a whole number" : "text");
		}
	}
	return 0;
}

static int upsert(struct store *s, enum query query, const struct member *members, size_t n, const json_t *message,
		  struct err *err)
{
	struct stmt *q = store_query(s, query);
	int r = bind_members(q, members, n, message, err);
	r = r ? r : store_run(q, err);
	return r == -EEXIST ? err_set(err, -EINVAL, "forward: no such job or sweep, or another run's id") : r;
}

int store_forward_run(struct store *s, const json_t *run, struct err *err)
{
	static const struct member members[] = {
		{"job", true, true},	 {"run_id", false, true},    {"entity", false, false},	   {"project", false, false},
		{"url", false, false},	 {"phase", false, true},     {"problem", false, false},	   {"last_event", true, true},
		{"last_epoch", true, true}, {"history", true, true}, {"events", true, true},	   {"output", true, true},
		{"output_bytes", true, true}, {"stopped", true, true}, {"last_step", true, true},
	};
	return upsert(s, QUERY_FORWARD_RUN, members, ARRAY_LEN(members), run, err);
}

int store_forward_sweep(struct store *s, const json_t *sweep, struct err *err)
{
	static const struct member members[] = {
		{"sweep", true, true},	{"entity", false, false}, {"project", false, false}, {"name", false, false},
		{"node", false, false}, {"url", false, false},	  {"state", false, false},   {"problem", false, false},
	};
	return upsert(s, QUERY_FORWARD_SWEEP, members, ARRAY_LEN(members), sweep, err);
}

int store_forward_again(struct store *s, int64_t job, struct err *err)
{
	static const enum query queries[] = {QUERY_WANDB_ONLINE, QUERY_WANDB_AGAIN};
	struct stmt *q = store_query(s, QUERY_WANDB_WANTS);
	stmt_bind_int(q, 1, job);
	int r = stmt_step(q, err);
	if (r != 1)
		return r;
	stmt_reset(q);
	for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
		q = store_query(s, queries[i]);
		stmt_bind_int(q, 1, job);
		r = store_run(q, err);
		if (r < 0)
			return r;
	}
	struct event_row e = {.at_ms = wall_ms(), .job = job, .kind = "wandb"};
	r = store_log_event(s, &e, NULL, err);
	return r < 0 ? r : 1;
}
