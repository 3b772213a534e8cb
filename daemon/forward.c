/* See forward.h. */
#include "forward.h"

#include "control.h"
#include "spawn.h"
#include "store_forward.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/protocol.h"

#include <fcntl.h>
#include <math.h>
#include <pwd.h>
#include <signal.h>
#include <unistd.h>

#define RESPAWN_S     1.0
#define RESPAWN_MAX_S 60.0
#define LIVED_S	      60.0 /* one that ends later was well */
#define ORPHAN_MS     "60000"
#define SERVICE_USER  "sweepd-forward"

struct forwarder {
	bool wanted, missing;
	uid_t uid; /* of the service; -1: there is no such user */
	uv_process_t *process; /* freed by its close callback */
	double started_s, respawn_at_s;
	int quick_ends; /* in a row */
};

/* --- the process --- */

static bool is_connected(const struct daemon *d)
{
	for (const struct peer *p = d->clients.first; p; p = p->next)
		if (((const struct client *)p->owner)->forwards)
			return true;
	return false;
}

static void on_freed(uv_handle_t *handle)
{
	free(handle);
}

static void drop_process(struct forwarder *f)
{
	uv_close((uv_handle_t *)steal_ptr(f->process), on_freed);
}

static void on_exit_of_it(uv_process_t *process, int64_t status, int number)
{
	struct daemon *d = process->data;
	struct forwarder *f = d->forwarder;
	double lived_s = monotonic_s() - f->started_s;
	f->quick_ends = lived_s > LIVED_S ? 0 : f->quick_ends + 1;
	double delay_s = MIN(RESPAWN_S * pow(2, MIN(MAX(f->quick_ends - 1, 0), 16)), RESPAWN_MAX_S);
	f->respawn_at_s = monotonic_s() + delay_s;
	if (number)
		log_warn("sweep-forward was killed by signal %d; again in %.0f s", number, delay_s);
	else if (status && status != EXIT_STATE) /* that: another one is at work */
		log_warn("sweep-forward ended with exit code %d; again in %.0f s", (int)status, delay_s);
	drop_process(f);
	daemon_poke(d);
}

static int start_process(struct daemon *d, struct err *err)
{
	struct forwarder *f = d->forwarder;
	autofree char *program = NULL;
	autofree char *log_path = xasprintf("%s/forward.log", d->paths.state);
	int r = spawn_find_program("sweep-forward", "forward", d->options.forward_program, &program, err);
	f->missing = r < 0;
	if (r < 0)
		return r;
	autoclose int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
	if (log_fd < 0)
		return err_sys(err, -errno, "cannot create %s", log_path);
	char *args[] = {program, "follow", "--control", d->paths.control, "--orphan-ms", ORPHAN_MS,
			d->options.dir ? "--dir" : NULL, d->paths.state, NULL}; /* else it looks where we looked */
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = log_fd},
		{.flags = UV_INHERIT_FD, .data.fd = log_fd},
	};
	uv_process_options_t options = {
		.exit_cb = on_exit_of_it,
		.file = program,
		.args = args,
		.flags = UV_PROCESS_DETACHED,
		.stdio = stdio,
		.stdio_count = ARRAY_LEN(stdio),
	};
	f->process = xcalloc(1, sizeof(*f->process));
	f->process->data = d;
	f->started_s = monotonic_s();
	r = uv_spawn(&d->loop, f->process, &options);
	if (r < 0)
		drop_process(f);
	return r < 0 ? err_set(err, r, "cannot start %s: %s", program, uv_strerror(r)) : 0;
}

double forward_tick(struct daemon *d, double now_s)
{
	struct forwarder *f = d->forwarder;
	struct err err;
	if (!f->wanted || f->missing || f->process || d->paths.system || d->stopping || is_connected(d))
		return INFINITY;
	if (now_s < f->respawn_at_s)
		return f->respawn_at_s;
	if (start_process(d, &err) == 0) {
		log_info("sweep-forward started, pid %d: runs go to Weights & Biases", f->process->pid);
		return INFINITY;
	}
	log_warn("%s; nothing is sent to Weights & Biases%s", err.text, f->missing ? "" : ", trying again in a minute");
	f->respawn_at_s = now_s + RESPAWN_MAX_S;
	return f->missing ? INFINITY : f->respawn_at_s;
}

void forward_want(struct daemon *d)
{
	d->forwarder->wanted = true;
	d->forwarder->missing = false; /* it may have been installed since */
	daemon_poke(d);
}

/* --- its life --- */

int forward_new(struct daemon *d, struct err *err)
{
	struct forwarder *f = d->forwarder = xcalloc(1, sizeof(*f));
	autofree char *path = xasprintf("%s/forward.lock", d->paths.state);
	autoclose int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return err_sys(err, -errno, "cannot create %s", path);
	const struct passwd *user = d->paths.system ? getpwnam(SERVICE_USER) : NULL;
	f->uid = user ? user->pw_uid : (uid_t)-1;
	int r = store_forward_wanted(d->store, err);
	f->wanted = r == 1;
	return r < 0 ? r : 0;
}

/* One that an earlier sweepd started is no child of ours: it is told by its connection. */
void forward_close(struct daemon *d)
{
	struct forwarder *f = d->forwarder;
	for (struct peer *p = d->clients.first, *next; p; p = next) {
		next = p->next;
		if (client_of(p)->forwards)
			peer_send(p, json_pack("{s:s}", "type", "stop"));
	}
	if (!f || !f->process)
		return;
	uv_process_kill(f->process, SIGTERM);
	drop_process(f);
}

void forward_free(struct daemon *d)
{
	free(d->forwarder);
}

json_t *forward_describe(const struct daemon *d)
{
	for (const struct peer *p = d->clients.first; p; p = p->next)
		if (((const struct client *)p->owner)->forwards)
			return json_pack("{s:i, s:b}", "pid", (int)p->pid, "connected", 1);
	if (d->forwarder->process)
		return json_pack("{s:i, s:b}", "pid", d->forwarder->process->pid, "connected", 0);
	return json_null();
}

/* --- what it reports --- */

struct report {
	struct input input;
	struct client *client;
	json_t *runs, *sweeps;
};

static int apply_report(struct input *input, struct store *store, struct err *err)
{
	struct report *in = (struct report *)input;
	size_t i;
	json_t *one;
	json_array_foreach(in->sweeps, i, one) {
		int r = store_forward_sweep(store, one, err);
		if (r < 0)
			return r;
	}
	json_array_foreach(in->runs, i, one) {
		int r = store_forward_run(store, one, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static void done_report(struct input *input)
{
	struct report *in = (struct report *)input;
	if (input->failed)
		client_refuse(in->client, input->failed == -EINVAL ? EXIT_USAGE : EXIT_STATE, "%s", input->why);
	else
		client_answer(in->client, NULL);
	client_unref(in->client);
	json_decref(in->runs);
	json_decref(in->sweeps);
}

static const struct input_kind report_kind = {"report of sweep-forward", apply_report, done_report};

static void add_report(struct client *client, const json_t *request)
{
	struct report *in = input_new(client->daemon, &report_kind, sizeof(*in));
	in->client = client_ref(client);
	in->runs = json_incref(json_object_get(request, "runs"));
	in->sweeps = json_incref(json_object_get(request, "sweeps"));
	in->input.refuse_at_s = daemon_refuse_at_s(client->daemon);
	turn_add(client->daemon->turn, &in->input);
}

int forward_request(struct client *client, const json_t *request, struct err *err)
{
	const struct daemon *d = client->daemon;
	uid_t uid = client->peer->uid;
	if (uid != 0 && uid != geteuid() && (uid != d->forwarder->uid || uid == (uid_t)-1)) {
		client_refuse(client, EXIT_PERMISSION, "only root, the owner of this sweepd and " SERVICE_USER
						       " report what was sent to Weights & Biases");
		return 0;
	}
	if (json_object_get(request, "ask"))
		return change_from_wandb(client, request, err);
	if (json_object_get(request, "runs") || json_object_get(request, "sweeps")) {
		add_report(client, request);
		return 0;
	}
	client->forwards = true;
	client_answer(client, json_pack("{s:I}", "event", (json_int_t)d->event_published));
	return 0;
}
