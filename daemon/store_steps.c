/* See store_steps.h. */
#include "store_steps.h"

#include "common/protocol.h"

#include <math.h>

struct columns { /* lists of one length; norm NULL: gradients are not clipped */
	const json_t *step, *loss, *lr, *norm;
	size_t n;
};

static int get_list(const json_t *event, const char *name, bool optional, size_t n, const json_t **ret, struct err *err)
{
	*ret = json_object_get(event, name);
	if (!*ret && optional)
		return 0;
	if (json_array_size(*ret) == 0 || json_array_size(*ret) > STEPS_EVENT_MAX || (n && json_array_size(*ret) != n))
		return err_set(err, -EPROTO, "bad event: \"%s\": expected a list of 1 to %d, as long as \"step\"", name,
			       STEPS_EVENT_MAX);
	return 0;
}

static int get_columns(const json_t *event, struct columns *ret, struct err *err)
{
	int r = get_list(event, "step", false, 0, &ret->step, err);
	ret->n = json_array_size(ret->step);
	r = r ? r : get_list(event, "train_loss", false, ret->n, &ret->loss, err);
	r = r ? r : get_list(event, "lr", false, ret->n, &ret->lr, err);
	return r ? r : get_list(event, "grad_norm", true, ret->n, &ret->norm, err);
}

/* Losses and rates are finite: a loss that is not ends the training.  A norm may be anything: fp16 leaves such steps out. */
static int bind_sample(struct stmt *q, const struct columns *c, size_t i, int64_t after, struct err *err)
{
	char text[32];
	double loss, lr, norm = 0;
	int64_t step = json_integer_value(json_array_get(c->step, i)); /* 0 of another type */
	if (step <= after)
		return err_set(err, -EPROTO, "bad event: step %lld after %lld", (long long)step, (long long)after);
	if (!json_num_value(json_array_get(c->loss, i), &loss) || !json_num_value(json_array_get(c->lr, i), &lr) ||
	    !isfinite(loss) || !isfinite(lr) || (c->norm && !json_num_value(json_array_get(c->norm, i), &norm)))
		return err_set(err, -EPROTO, "bad event: step %lld: expected numbers, train_loss and lr finite", (long long)step);
	stmt_bind_int(q, 2, step);
	stmt_bind_num(q, 6, loss);
	stmt_bind_num(q, 7, lr);
	if (c->norm)
		stmt_bind_num(q, 8, norm);
	stmt_bind_text(q, 9, isfinite(norm) ? NULL : number_text(norm, text));
	return 0;
}

int store_add_steps(struct store *s, const struct attempt_row *attempt, int64_t event_id, const json_t *event, struct err *err)
{
	struct columns c;
	int64_t epoch, after = 0;
	int r = json_get_int(event, "epoch", &epoch, err);
	if (r < 0)
		return err_prefix(err, -EPROTO, "bad event");
	r = get_columns(event, &c, err);
	for (size_t i = 0; r == 0 && i < c.n; i++) {
		struct stmt *q = store_query(s, QUERY_ADD_STEP);
		stmt_bind_int(q, 1, attempt->job);
		stmt_bind_int(q, 3, attempt->id);
		stmt_bind_int(q, 4, epoch);
		stmt_bind_int(q, 5, event_id);
		r = bind_sample(q, &c, i, after, err);
		if (r < 0)
			stmt_reset(q);
		else
			r = store_run(q, err);
		after = json_integer_value(json_array_get(c.step, i));
	}
	return r;
}

json_t *store_steps_detail(const json_t *event)
{
	const json_t *steps = json_object_get(event, "step");
	size_t n = json_array_size(steps);
	return json_pack("{s:O, s:O?, s:O?, s:I}", "epoch", json_object_get(event, "epoch"), "first", json_array_get(steps, 0),
			 "last", json_array_get(steps, n ? n - 1 : 0), "n", (json_int_t)n);
}
