/* See control.h.  To add a verb: a function, a row in verbs[], a row in docs/protocol.md. */
#include "control.h"

#include "forward.h"
#include "slot.h"
#include "watch.h"

#include "common/clock.h"
#include "common/duration.h"
#include "common/json.h"
#include "common/log.h"
#include "common/protocol.h"
#include "common/utf8.h"

#include <unistd.h>

struct client *client_ref(struct client *client)
{
	client->references++;
	return client;
}

void client_unref(struct client *client)
{
	if (--client->references == 0)
		free(client);
}

void client_answer(struct client *client, json_t *answer)
{
	json_t *line = json_pack("{s:b}", "ok", 1);
	if (answer)
		json_object_update(line, answer);
	json_decref(answer);
	if (client->peer)
		peer_send(client->peer, line);
	else
		json_decref(line);
}

void client_refuse(struct client *client, int code, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	utf8_clean(text); /* it may quote what was cut */
	json_t *line = json_pack("{s:b, s:i, s:s}", "ok", 0, "code", code, "error", text);
	if (client->peer)
		peer_send(client->peer, line);
	else
		json_decref(line);
}

static const char *slot_state_name(const struct slot *slot)
{
	if (health_is_aside(&slot->health, monotonic_s()))
		return "set_aside";
	if (slot->health.times_aside && slot->state == SLOT_READY)
		return "on_trial";
	switch (slot->state) {
	case SLOT_EMPTY:
	case SLOT_ADDING:
	case SLOT_GONE:
		return "restarting";
	case SLOT_STARTING:
		return "starting";
	case SLOT_READY:
		return "ready";
	}
	return "?";
}

static json_t *describe_slot(const struct slot *slot)
{
	char span[DURATION_TEXT_MAX];
	double now_s = monotonic_s();
	bool aside = health_is_aside(&slot->health, now_s), ended = slot->state == SLOT_EMPTY && *slot->how;
	autofree char *why = aside			  ? xasprintf("%s; tried again in %s", slot->health.reason,
								     duration_text(slot->health.until_s - now_s, span))
			     : slot->health.times_aside ? xstrdup(slot->health.reason)
			     : ended			  ? xstrdup(slot->how)
							  : NULL;
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s?, s:i, s:I}", "id", slot->device, "kind",
			      device_kind_name(slot->kind), "name", slot->name, "state", slot_state_name(slot), "reason", why,
			      "threads", slot->threads, "pid", (json_int_t)slot->pid);
	json_t *jobs = json_array();
	for_lanes(slot, lane)
		if (lane->job)
			json_array_append_new(jobs, json_integer(lane->job));
	json_object_set_new(o, "job", json_array_size(jobs) ? json_incref(json_array_get(jobs, 0)) : json_null());
	json_object_set_new(o, "jobs", jobs);
	json_object_set_new(o, "slots", json_integer(slot->n_lanes));
	return o;
}

static int status_request(struct client *client, const json_t *request, struct err *err)
{
	struct daemon *d = client->daemon;
	const char *trouble = NULL;
	json_t *devices = json_array();
	turn_trouble(d->turn, &trouble);
	for (int i = 0; i < d->n_slots; i++)
		if (!d->slots[i].lane && (!d->slots[i].surplus || d->slots[i].state != SLOT_EMPTY))
			json_array_append_new(devices, describe_slot(&d->slots[i]));
	client_answer(client, json_pack("{s:I, s:s, s:s, s:I, s:o, s:b, s:s?, s:o}", "pid", (json_int_t)getpid(), "version",
					SWEEPD_VERSION, "state_dir", d->paths.state, "started_ms",
					(json_int_t)d->started_ms, "devices", devices, "stopping", d->stopping,
					"store_trouble", trouble, "forward", forward_describe(d)));
	return 0;
}

static int stop_request(struct client *client, const json_t *request, struct err *err)
{
	uid_t uid = client->peer->uid;
	if (uid != 0 && uid != geteuid()) {
		client_refuse(client, EXIT_PERMISSION, "only root and the owner of this sweepd may stop it");
		return 0;
	}
	client_answer(client, NULL);
	daemon_stop(client->daemon);
	return 0;
}

/* systemd starts it again; nobody else would. */
static bool is_supervised(void)
{
	const char *pid = getenv("SYSTEMD_EXEC_PID"); /* INVOCATION_ID is inherited by everything below a unit */
	return pid && atoi(pid) == (int)getpid();
}

static int restart_request(struct client *client, const json_t *request, struct err *err)
{
	uid_t uid = client->peer->uid;
	if (uid != 0 && uid != geteuid())
		client_refuse(client, EXIT_PERMISSION, "only root and the owner of this sweepd may restart it");
	else if (!is_supervised())
		client_refuse(client, EXIT_STATE,
			      "this sweepd (pid %d) does not run under systemd, which would start it again\n  do this:  "
			      "sweepctl daemon stop, then sweepctl daemon start; what runs goes on from its checkpoint",
			      (int)getpid());
	else if (client->daemon->stopping)
		client_refuse(client, EXIT_STATE, "this sweepd is stopping already");
	else {
		client_answer(client, NULL);
		daemon_restart(client->daemon);
	}
	return 0;
}

static int watch_request(struct client *client, const json_t *request, struct err *err)
{
	client->follows = true;
	client_answer(client, NULL);
	return 0;
}

static const struct {
	const char *name;
	/* Answers or refuses, now or after a commit.  < 0: the request itself is malformed. */
	int (*run)(struct client *client, const json_t *request, struct err *err);
} verbs[] = {
	{"status", status_request}, {"submit", submit_request}, {"cancel", change_request},
	{"pause", change_request},  {"resume", change_request}, {"retry", change_request},
	{"priority", change_request}, {"sync", change_request}, {"stop", stop_request}, {"watch", watch_request},
	{"restart", restart_request}, {"forward", forward_request},
};

static int run_verb(struct client *client, const json_t *m, struct err *err)
{
	const char *verb = json_str_or(m, "verb", "");
	if (client->references > 2) { /* the connection's, on_message()'s, and a request's */
		client_refuse(client, EXIT_STATE, "one request at a time; the last one is not answered yet");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (str_eq(verbs[i].name, verb))
			return verbs[i].run(client, m, err);
	client_refuse(client, EXIT_USAGE, "this sweepd does not know the verb \"%.40s\"", verb);
	return 0;
}

/* Any answer may end the connection, and with it the client. */
static int on_message(struct peer *peer, const json_t *m, struct err *err)
{
	struct client *client = client_ref(client_of(peer));
	int r = run_verb(client, m, err);
	if (r < 0)
		client_refuse(client, EXIT_USAGE, "%s", err->text);
	client_unref(client);
	return r;
}

static void on_closed(struct peer *peer)
{
	struct client *client = client_of(peer);
	client->peer = NULL;
	client->follows = client->forwards = false;
	client_unref(client);
}

static const struct peer_events events = {on_message, on_closed};

void control_on_connection(uv_stream_t *listener, int status)
{
	struct err err;
	struct daemon *d = listener->data;
	struct client *client = xcalloc(1, sizeof(*client));
	client->daemon = d;
	client->references = 1;
	int r = status < 0 ? err_set(&err, status, "%s", uv_strerror(status))
			   : peer_accept(&d->clients, listener, CONTROL_LINE_MAX, &events, client, &err);
	if (r < 0) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_WARN, "control socket: %s", err.text);
		free(client);
		return;
	}
	client->peer = d->clients.first;
}
