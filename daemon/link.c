/* See link.h. */
#include "link.h"

#include "dispatch.h"
#include "outcome.h"
#include "slot.h"
#include "watch.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/protocol.h"
#include "common/utf8.h"

#include <unistd.h>

enum phase { PHASE_TRAIN = 1, PHASE_TEST, PHASE_EVENT };

/* --- hello --- */

struct hello {
	struct input input;
	struct slot *slot;
	struct trust trust;
};

static void fence(struct peer *peer, int64_t attempt)
{
	peer_send(peer, json_pack("{s:s, s:I}", "type", "fence", "attempt", (json_int_t)attempt));
}

/* The attempt of the place is acknowledged as far as it is stored.  True: the worker knows of it. */
static bool settle_attempt(struct slot *slot, const json_t *hello, json_t *acks)
{
	size_t i;
	json_t *job;
	bool known = false;
	json_array_foreach(json_object_get(hello, "jobs"), i, job) {
		int64_t attempt = json_int_or(job, "attempt", 0);
		if (attempt != slot->attempt || !attempt)
			continue;
		known = true;
		json_array_append_new(
			acks, json_pack("{s:I, s:I}", "attempt", (json_int_t)attempt, "seq", (json_int_t)slot->stored));
	}
	return known;
}

/* The attempts it speaks of that are not its own any more end there. */
static void fence_others(struct peer *peer, struct slot *slot, const json_t *hello)
{
	size_t i;
	json_t *job;
	json_array_foreach(json_object_get(hello, "jobs"), i, job) {
		int64_t attempt = json_int_or(job, "attempt", 0);
		if (!slot_of_attempt(slot, attempt))
			fence(peer, attempt);
	}
}

static int apply_hello(struct input *input, struct store *store, struct err *err)
{
	struct hello *in = (struct hello *)input;
	const struct slot *slot = in->slot;
	int r = store_worker_ready(store, slot->worker, err);
	r = r ? r : trust_good(&in->trust, store, slot, false, err);
	if (r < 0 || slot->surplus)
		return r;
	return store_upsert_device(store, slot->device, device_kind_name(slot->kind), slot->name, err);
}

static void done_hello(struct input *input)
{
	struct hello *in = (struct hello *)input;
	if (input->failed && input->failed != -ECANCELED)
		log_error("hello: %s", input->why);
	if (!input->failed)
		trust_done(&in->trust, in->slot);
	daemon_poke(in->slot->daemon);
}

static const struct input_kind hello_kind = {"hello", apply_hello, done_hello};

static bool same_token(const char *a, const char *b)
{
	unsigned char difference = strlen(a) != strlen(b);
	for (size_t i = 0; a[i] && b[i]; i++)
		difference |= (unsigned char)(a[i] ^ b[i]);
	return !difference;
}

static int check_hello(struct daemon *d, const struct peer *peer, const json_t *m, struct slot **ret, struct err *err)
{
	int64_t protocol, worker;
	const char *token;
	int r = json_get_int(m, "protocol", &protocol, err);
	r = r ? r : json_get_int(m, "worker", &worker, err);
	r = r ? r : json_get_str(m, "token", &token, err);
	if (r < 0)
		return r;
	if (protocol != PROTOCOL_VERSION)
		return err_set(err, -EPROTO, "it speaks protocol %lld, this sweepd %d", (long long)protocol,
			       PROTOCOL_VERSION);
	if (peer->uid != geteuid() || !same_token(token, d->token))
		return err_set(err, -EACCES, "wrong uid or token");
	struct slot *slot = slot_of_worker(d, worker);
	if (!slot || slot->exited || slot->state == SLOT_ADDING || slot->state == SLOT_GONE)
		return err_set(err, -ESRCH, "worker %lld is not known here", (long long)worker);
	if (peer->pid != slot->pid) /* a second one would write to the first one's attempt (invariant 3) */
		return err_set(err, -ESRCH, "pid %d says that it is worker %lld, which is pid %d", (int)peer->pid,
			       (long long)worker, (int)slot->pid);
	*ret = slot;
	return 0;
}

/* Whoever it is, what it trains is not its own: it ends. */
static void send_away(struct peer *peer, const json_t *hello, const char *why)
{
	size_t i;
	json_t *job;
	json_array_foreach(json_object_get(hello, "jobs"), i, job)
		fence(peer, json_int_or(job, "attempt", 0));
	peer_send(peer, json_pack("{s:s}", "type", "stop"));
	peer_close(peer);
	log_warn("%s; told to end", why);
}

/* Its attempt was committed but the run never reached it: sweepd died in between. */
static void send_run_again(struct slot *slot)
{
	struct err err;
	autofree char *config = NULL;
	autofree char *data_dir = NULL;
	if (store_job_config(slot->daemon->store, slot->job, &config, &data_dir, &err) < 0) {
		log_error("%s", err.text);
		return;
	}
	slot_send_run(slot, config, data_dir);
}

static int take_hello(struct peer *peer, const json_t *m, struct err *err)
{
	struct slot *slot = NULL;
	struct daemon *d = peer->owner;
	int r = check_hello(d, peer, m, &slot, err);
	if (r == -ESRCH) { /* of a place that was given up, or a second one */
		send_away(peer, m, err->text);
		return 0;
	}
	if (r < 0)
		return r;
	json_t *acks = json_array();
	snprintf(slot->name, sizeof(slot->name), "%s", json_str_or(json_object_get(m, "device"), "name", ""));
	utf8_clean(slot->name); /* it may have been cut */
	slot->capacity = (int)MAX(MIN(json_int_or(m, "slots", 1), slot->n_lanes), 1);
	slot_attach(slot, peer);
	json_t *unknown = json_array(); /* numbers of places */
	for_lanes(slot, lane)
		if (!settle_attempt(lane, m, acks) && lane->attempt)
			json_array_append_new(unknown, json_integer(lane->lane));
	peer_send(peer, json_pack("{s:s, s:o}", "type", "welcome", "acks", acks));
	fence_others(peer, slot, m);
	for (size_t i = 0; i < json_array_size(unknown); i++)
		send_run_again(slot + json_integer_value(json_array_get(unknown, i)));
	json_decref(unknown);
	for_lanes(slot, lane)
		if (lane->attempt && lane->wish != WISH_NONE)
			slot_ask(lane, lane->wish, lane->wished_by, lane->kill_reason);
	if (d->stopping)
		slot_begin_stop(slot);
	struct hello *in = input_new(d, &hello_kind, sizeof(*in));
	in->slot = slot;
	turn_add(d->turn, &in->input);
	return 0;
}

/* --- events --- */

struct arrival {
	struct input input;
	struct slot *slot;
	struct peer *peer;
	json_t *event;
	int64_t attempt;
	struct outcome *outcome; /* room for one, where the event may be the last; NULL otherwise */
	struct trust *trust;	 /* the same for an epoch's */
	bool ends;
};

static int apply_arrival(struct input *input, struct store *store, struct err *err)
{
	struct arrival *in = (struct arrival *)input;
	in->slot->ending = false;
	int r = store_add_event(store, in->attempt, in->event, err);
	in->ends = r == 1 && in->outcome && outcome_of_event(in->event, in->outcome);
	if (!in->ends)
		return r == 1 && in->trust ? trust_good(in->trust, store, in->slot->lead, true, err) : r;
	r = outcome_apply(store, in->slot, in->attempt, in->outcome, err);
	in->slot->ending = r == 0 && in->slot->attempt == in->attempt && in->outcome->attempt == ATTEMPT_DONE;
	return r;
}

static void log_outcome(const struct arrival *in)
{
	log_info("job %lld: attempt %lld %s%s%s", (long long)in->slot->job, (long long)in->attempt,
		 attempt_state_names[in->outcome->attempt], *in->outcome->reason ? ": " : "", in->outcome->reason);
}

static void take_stored(struct arrival *in)
{
	struct slot *slot = in->slot;
	int64_t seq = json_int_or(in->event, "seq", 0);
	if (slot->attempt == in->attempt && seq > slot->stored) {
		slot->stored = seq;
		slot->lead->bad_lines = 0;
		if (in->trust)
			trust_done(in->trust, slot->lead);
	}
	if (in->ends) {
		log_outcome(in);
		link_send_acks(slot->daemon);
		slot_forget_attempt(slot);
		outcome_done(slot, in->outcome);
	}
}

static void done_arrival(struct input *input)
{
	struct arrival *in = (struct arrival *)input;
	struct slot *slot = in->slot;
	slot->ending = false;
	if (!input->failed)
		take_stored(in);
	else if (input->failed != -ECANCELED && slot->lead->peer == in->peer)
		peer_refuse(slot->lead->peer, input->why);
	json_decref(in->event);
	free(in->outcome);
	free(in->trust);
}

static const struct input_kind arrival_kind = {"event", apply_arrival, done_arrival};

static int take_event(struct slot *lead, const json_t *m, struct err *err)
{
	int64_t attempt, seq;
	struct outcome outcome;
	const char *type = json_str_or(m, "type", "");
	int r = json_get_int(m, "attempt", &attempt, err);
	r = r ? r : json_get_int(m, "seq", &seq, err);
	if (r < 0)
		return r;
	struct slot *slot = slot_of_attempt(lead, attempt);
	if (!slot) { /* given up, or ended while its last lines were on their way */
		fence(lead->peer, attempt);
		return 0;
	}
	struct arrival *in = input_new(slot->daemon, &arrival_kind, sizeof(*in));
	in->slot = slot;
	in->peer = lead->peer;
	in->event = json_incref((json_t *)m);
	in->attempt = attempt;
	if (str_eq(type, "epoch"))
		in->trust = xcalloc(1, sizeof(*in->trust));
	else if (outcome_of_event(m, &outcome))
		in->outcome = xcalloc(1, sizeof(*in->outcome));
	watch_moved(&slot->watch, monotonic_s(), -1, seq, PHASE_EVENT);
	turn_add(slot->daemon->turn, &in->input);
	if (str_eq(type, "done")) /* the next job begins in the same transaction */
		dispatch_now(slot->daemon);
	return 0;
}

void link_send_acks(struct daemon *d)
{
	for (int i = 0; i < d->n_slots; i++) {
		struct slot *slot = &d->slots[i];
		struct peer *peer = slot->lead->peer;
		if (!peer || !slot->attempt || slot->stored <= slot->acked)
			continue;
		slot->acked = slot->stored;
		peer_send(peer, json_pack("{s:s, s:[{s:I, s:I}]}", "type", "ack", "acks", "attempt",
						(json_int_t)slot->attempt, "seq", (json_int_t)slot->stored));
	}
}

/* --- lines --- */

static void take_progress(struct slot *slot, const json_t *m)
{
	bool test = str_eq(json_str_or(m, "phase", ""), "test");
	watch_moved(&slot->watch, monotonic_s(), json_int_or(m, "epoch", 0), json_int_or(m, "step", 0),
		    test ? PHASE_TEST : PHASE_TRAIN);
	watch_publish_progress(slot->daemon, slot->job, slot->device, m);
}

static int on_message(struct peer *peer, const json_t *m, struct err *err)
{
	struct daemon *d = peer->owner;
	const char *type = json_str_or(m, "type", "");
	struct slot *slot = slot_of_peer(d, peer);
	if (str_eq(type, "hello"))
		return slot ? err_set(err, -EPROTO, "a second hello") : take_hello(peer, m, err);
	if (!slot)
		return err_set(err, -EPROTO, "expected hello, got \"%.40s\"", type);
	for_lanes(slot, lane)
		watch_heard(&lane->watch, monotonic_s());
	if (str_eq(type, "heartbeat"))
		return 0;
	if (!str_eq(type, "progress"))
		return take_event(slot, m, err);
	struct slot *lane = slot_of_attempt(slot, json_int_or(m, "attempt", 0));
	if (lane)
		take_progress(lane, m);
	return 0;
}

static void on_closed(struct peer *peer)
{
	struct slot *slot = slot_of_peer(peer->owner, peer);
	if (!slot)
		return;
	if (peer->refused)
		slot_distrust(slot);
	slot_detach(slot);
}

static const struct peer_events events = {on_message, on_closed};

void link_on_connection(uv_stream_t *listener, int status)
{
	struct err err;
	struct daemon *d = listener->data;
	static struct log_rate rate;
	if (status < 0)
		log_seldom(&rate, LOG_LEVEL_WARN, "worker socket: %s", uv_strerror(status));
	else if (peer_accept(&d->workers, listener, WORKER_LINE_MAX, &events, d, &err) < 0)
		log_seldom(&rate, LOG_LEVEL_WARN, "worker socket: %s", err.text);
}
