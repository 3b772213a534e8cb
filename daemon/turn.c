/* See turn.h. */
#include "turn.h"

#include "store.h"

#include "common/clock.h"
#include "common/log.h"

#define RETRY_MS 200

struct turn {
	struct store *store;
	struct turn_events events;
	uv_idle_t idle;
	uv_timer_t retry;
	struct input *first, **last;
	bool paused, closed;
	int trouble; /* while paused */
	struct err why;
};

/* Of the store and not of the input: a lock, a full or broken disk, a database that somebody damaged or moved. */
static bool is_store_trouble(int code)
{
	return code == -EBUSY || code == -ENOSPC || code == -EIO || code == -EROFS || code == -EBADMSG || code == -ESTALE;
}

/* 0: applied or failed by itself.  -EAGAIN: one input was refused, the transaction must start anew. */
static int apply_all(struct turn *turn, struct err *err)
{
	for (struct input *in = turn->first; in; in = in->next) {
		if (in->failed || !in->kind->apply)
			continue;
		int r = in->kind->apply(in, turn->store, err);
		if (r >= 0)
			continue;
		if (is_store_trouble(r))
			return r;
		in->failed = r;
		in->why = xstrdup(err->text);
		return -EAGAIN;
	}
	return 0;
}

static int transact(struct turn *turn, struct err *err)
{
	int r;
	do {
		r = store_begin(turn->store, err);
		if (r < 0)
			return r;
		r = apply_all(turn, err);
		if (r == 0)
			r = store_commit(turn->store, err);
		if (r < 0)
			store_rollback(turn->store);
	} while (r == -EAGAIN);
	return r;
}

static void end(struct input *in)
{
	in->kind->done(in);
	free(in->why);
	free(in);
}

static void finish(struct input *in)
{
	while (in) {
		struct input *next = in->next;
		end(in);
		in = next;
	}
}

static void finish_all(struct turn *turn)
{
	struct input *in = turn->first;
	turn->first = NULL;
	turn->last = &turn->first;
	finish(in);
}

/* Those that cannot wait longer.  Nothing of them is stored: every try was rolled back. */
static void refuse_late(struct turn *turn, const struct err *why)
{
	double now_s = monotonic_s();
	struct input *late = NULL, **last = &late;
	for (struct input **at = &turn->first; *at;) {
		struct input *in = *at;
		if (!in->refuse_at_s || now_s < in->refuse_at_s) {
			at = &in->next;
			continue;
		}
		*at = in->next;
		in->next = NULL;
		if (!in->failed) { /* by itself, before: that is what is to be said of it */
			in->failed = -EBUSY;
			in->why = xasprintf("the store takes nothing at the moment: %s; nothing was changed, try again later",
					    why->text);
		}
		*last = in;
		last = &in->next;
	}
	turn->last = &turn->first;
	while (*turn->last)
		turn->last = &(*turn->last)->next;
	finish(late);
}

static void on_idle(uv_idle_t *handle);

static void on_retry(uv_timer_t *timer)
{
	struct turn *turn = timer->data;
	uv_idle_start(&turn->idle, on_idle);
}

static void heed_trouble(struct turn *turn, int code, const struct err *why)
{
	bool another = code != turn->trouble;
	turn->trouble = code;
	turn->why = *why;
	if (another) {
		log_error("the store takes nothing: %s; nothing is lost, trying again", why->text);
		turn->paused = true;
		turn->events.pause(turn->events.arg, true);
	}
	uv_timer_start(&turn->retry, on_retry, RETRY_MS, 0);
	refuse_late(turn, why);
}

static void on_idle(uv_idle_t *handle)
{
	struct turn *turn = handle->data;
	struct err err;
	uv_idle_stop(&turn->idle);
	if (!turn->first && !turn->paused) /* paused: tried without any */
		return;
	for (struct input *in = turn->first; in; in = in->next)
		in->alone = in == turn->first && !in->next;
	int r = transact(turn, &err);
	if (r < 0) {
		heed_trouble(turn, r, &err);
		return;
	}
	if (turn->paused) {
		log_info("the store works again");
		turn->paused = false;
		turn->trouble = 0;
		turn->events.pause(turn->events.arg, false);
	}
	finish_all(turn);
	turn->events.committed(turn->events.arg);
}

struct turn *turn_new(uv_loop_t *loop, struct store *store, const struct turn_events *events)
{
	struct turn *turn = xcalloc(1, sizeof(*turn));
	turn->store = store;
	turn->events = *events;
	turn->last = &turn->first;
	uv_idle_init(loop, &turn->idle);
	uv_timer_init(loop, &turn->retry);
	turn->idle.data = turn->retry.data = turn;
	return turn;
}

static void fail(struct input *in)
{
	in->failed = -ECANCELED;
	free(in->why);
	in->why = xstrdup("sweepd is stopping; nothing was stored");
}

void turn_add(struct turn *turn, struct input *input)
{
	input->next = NULL;
	if (turn->closed) {
		fail(input);
		end(input);
		return;
	}
	*turn->last = input;
	turn->last = &input->next;
	if (!turn->paused)
		uv_idle_start(&turn->idle, on_idle);
}

int turn_trouble(const struct turn *turn, const char **ret_why)
{
	if (turn->trouble)
		*ret_why = turn->why.text;
	return turn->trouble;
}

bool turn_idle(const struct turn *turn)
{
	return !turn->first;
}

void turn_close(struct turn *turn)
{
	if (turn->closed)
		return;
	turn->closed = true;
	for (struct input *in = turn->first; in; in = in->next)
		fail(in);
	finish_all(turn);
	uv_close((uv_handle_t *)&turn->idle, NULL);
	uv_close((uv_handle_t *)&turn->retry, NULL);
}

void turn_free(struct turn *turn)
{
	free(turn);
}
