/* The life of a worker process.  See slot.h. */
#include "slot.h"

#include "proc.h"
#include "spawn.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/log.h"

#include <math.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GONE_GRACE_S  2.0 /* for the rest of a dead process's stream */
#define QUICK_S		 10.0
#define RESTART_MIN_S 0.5
#define RESTART_MAX_S 60.0
#define BAD_LINES_MAX 3

bool slot_is_usable(const struct slot *slot)
{
	const struct slot *lead = slot->lead;
	return lead->state == SLOT_READY && lead->peer && !lead->exited && slot->lane < lead->capacity &&
	       lead->kill_step < KILL_TERM && !slot->surplus && !health_is_aside(&lead->health, monotonic_s());
}

bool slot_is_free(const struct slot *slot)
{
	return slot_is_usable(slot) && (!slot->attempt || slot->ending) && slot->kill_step == KILL_NONE;
}

/* --- watching the process --- */

void slot_check_gone(struct slot *slot)
{
	bool alive = slot->state == SLOT_STARTING || slot->state == SLOT_READY;
	if (!alive || !slot->exited || slot->process || slot->daemon->closed)
		return;
	if (slot->peer && monotonic_s() < slot->gone_by_s) {
		daemon_poke(slot->daemon);
		return;
	}
	if (!*slot->how)
		snprintf(slot->how, sizeof(slot->how), "ended"); /* nobody's child here: no status */
	slot->state = SLOT_GONE;
	if (slot->peer)
		peer_end(slot->peer); /* detaches */
	slot_end(slot);
}

static void on_process_ended(struct slot *slot)
{
	if (slot->exited)
		return;
	slot->exited = true;
	slot->gone_by_s = monotonic_s() + GONE_GRACE_S;
	/* whatever it started in its group must not keep the device */
	kill(-slot->pid, SIGKILL);
	slot_check_gone(slot);
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
	struct slot *slot = poll->data;
	uv_poll_stop(poll);
	on_process_ended(slot);
}

int slot_watch(struct slot *slot, struct err *err)
{
	slot->pidfd = (int)syscall(SYS_pidfd_open, slot->pid, 0);
	if (slot->pidfd < 0)
		return err_sys(err, -errno, "pidfd_open of worker pid %d", (int)slot->pid);
	slot->poll = xcalloc(1, sizeof(*slot->poll));
	int r = uv_poll_init(&slot->daemon->loop, slot->poll, slot->pidfd);
	if (r < 0) {
		free(steal_ptr(slot->poll));
		return err_set(err, r, "cannot watch worker pid %d: %s", (int)slot->pid, uv_strerror(r));
	}
	slot->poll->data = slot;
	uv_poll_start(slot->poll, UV_READABLE, on_pidfd);
	return 0;
}

static void on_closed(uv_handle_t *handle)
{
	free(handle);
}

static void on_child_exit(uv_process_t *process, int64_t status, int signal)
{
	struct slot *slot = process->data;
	slot->signal = signal;
	slot->exit_status = (int)status;
	if (signal)
		snprintf(slot->how, sizeof(slot->how), "killed by signal %d (%s)", signal, strsignal(signal));
	else
		snprintf(slot->how, sizeof(slot->how), "exit status %d", (int)status);
	slot->process = NULL;
	uv_close((uv_handle_t *)process, on_closed);
	if (!slot->poll)
		on_process_ended(slot);
	slot_check_gone(slot);
}

/* --- starting it --- */

struct add_worker {
	struct input input;
	struct slot *slot;
	int64_t worker;
};

struct worker_started {
	struct input input;
	struct worker_row row;
};

static int apply_started(struct input *input, struct store *store, struct err *err)
{
	return store_worker_started(store, &((struct worker_started *)input)->row, err);
}

static void done_nothing(struct input *input)
{
	if (input->failed && input->failed != -ECANCELED)
		log_error("%s: %s", input->kind->name, input->why);
}

static const struct input_kind worker_started_kind = {"worker started", apply_started, done_nothing};

static void record_process(struct slot *slot)
{
	struct worker_started *in = input_new(slot->daemon, &worker_started_kind, sizeof(*in));
	in->row = (struct worker_row){.id = slot->worker, .pid = slot->pid, .start_time = proc_start_time(slot->pid)};
	proc_boot_id(in->row.boot_id, sizeof(in->row.boot_id));
	turn_add(slot->daemon->turn, &in->input);
}

static int start_process(struct slot *slot, struct err *err)
{
	slot->process = xcalloc(1, sizeof(*slot->process));
	slot->process->data = slot;
	int r = spawn_worker(slot, on_child_exit, err);
	if (r < 0) {
		if (slot->process->loop) /* even after a failed uv_spawn; nothing is to be closed before it */
			uv_close((uv_handle_t *)slot->process, on_closed);
		else
			free(slot->process);
		slot->process = NULL;
		slot->exited = true;
		return r;
	}
	slot->pid = slot->process->pid;
	slot->started_s = monotonic_s();
	for_lanes(slot, lane)
		watch_start(&lane->watch, slot->started_s);
	proc_unprotect(slot->pid);
	record_process(slot);
	log_info("%s: worker %lld started, pid %d", slot->device, (long long)slot->worker, (int)slot->pid);
	return slot_watch(slot, err);
}

static int apply_add_worker(struct input *input, struct store *store, struct err *err)
{
	struct add_worker *in = (struct add_worker *)input;
	return store_add_worker(store, in->slot->device, &in->worker, err);
}

static void done_add_worker(struct input *input)
{
	struct err err;
	struct add_worker *in = (struct add_worker *)input;
	struct slot *slot = in->slot;
	if (input->failed || slot->daemon->stopping) {
		if (input->failed && input->failed != -ECANCELED)
			log_error("%s: no worker: %s", slot->device, input->why);
		slot->state = SLOT_EMPTY;
		slot->restart_at_s = monotonic_s() + RESTART_MAX_S;
		return;
	}
	slot->worker = in->worker;
	slot->state = SLOT_STARTING;
	if (start_process(slot, &err) < 0) {
		log_error("%s: cannot start a worker: %s", slot->device, err.text);
		snprintf(slot->how, sizeof(slot->how), "not started: %.300s", err.text);
		if (slot->pid)
			slot_kill(slot, err.text);
		slot_check_gone(slot);
	}
}

static const struct input_kind add_worker_kind = {"add worker", apply_add_worker, done_add_worker};

static void begin_worker(struct slot *slot)
{
	struct add_worker *in = input_new(slot->daemon, &add_worker_kind, sizeof(*in));
	in->slot = slot;
	slot->state = SLOT_ADDING;
	slot->exited = false;
	slot->started_s = monotonic_s(); /* also of one that cannot be started: the next one waits */
	slot->pid = slot->capacity = 0;
	for_lanes(slot, lane) {
		lane->kill_step = KILL_NONE;
		lane->kill_reason[0] = '\0';
	}
	slot->useful = slot->greeted = false;
	slot->how[0] = '\0';
	slot->signal = -1;
	turn_add(slot->daemon->turn, &in->input);
}

/* --- asking it to end --- */

/* A job that does not heed costs its worker: first the others in it are asked for a checkpoint (SIGTERM). */
static void terminate(struct slot *slot, double at_s)
{
	struct slot *lead = slot->lead;
	slot->kill_at_s = INFINITY;
	if (lead->kill_step >= KILL_TERM)
		return;
	log_warn("%s: worker pid %d does not heed; SIGTERM", lead->device, (int)lead->pid);
	kill(-lead->pid, SIGTERM);
	if (lead != slot)
		memcpy(lead->kill_reason, slot->kill_reason, sizeof(lead->kill_reason));
	lead->kill_step = KILL_TERM;
	lead->kill_at_s = at_s;
}

static void escalate(struct slot *slot, double now_s)
{
	double step_s = slot->daemon->options.ask_ms / 1000.0;
	switch (slot->kill_step) {
	case KILL_NONE:
		return;
	case KILL_ASKED:
		terminate(slot, now_s + step_s);
		return;
	case KILL_TERM:
		log_warn("%s: worker pid %d does not heed SIGTERM; SIGKILL", slot->device, (int)slot->pid);
		kill(-slot->pid, SIGKILL);
		slot->kill_step = KILL_KILL;
		break;
	case KILL_KILL: /* in an uninterruptible wait of the kernel: the device stays taken */
		break;
	}
	slot->kill_at_s = now_s + step_s;
}

static bool has_process(const struct slot *slot)
{
	const struct slot *lead = slot->lead;
	return lead->pid > 0 && !lead->exited && (lead->state == SLOT_STARTING || lead->state == SLOT_READY);
}

static void begin_kill(struct slot *slot, enum kill_step step, double in_s, const char *reason)
{
	double at_s = monotonic_s() + in_s;
	bool later = slot->kill_step == step && slot->kill_at_s <= at_s; /* than what is to be already */
	if (!has_process(slot) || slot->lead->kill_step > step || slot->kill_step > step || later)
		return;
	slot->kill_step = step;
	slot->kill_at_s = at_s;
	snprintf(slot->kill_reason, sizeof(slot->kill_reason), "%s", reason);
	daemon_poke(slot->daemon);
}

void slot_kill(struct slot *slot, const char *reason)
{
	slot = slot->lead;
	if (!has_process(slot) || slot->kill_step == KILL_KILL)
		return;
	log_warn("%s: worker pid %d is killed: %s", slot->device, (int)slot->pid, reason);
	snprintf(slot->kill_reason, sizeof(slot->kill_reason), "%s", reason);
	kill(-slot->pid, SIGKILL);
	kill(slot->pid, SIGKILL);
	slot->kill_step = KILL_KILL;
	slot->kill_at_s = INFINITY;
}

static json_t *message_of(const struct slot *slot, enum slot_wish wish)
{
	static const char *const why[] = {[WISH_STALL] = "stop", [WISH_TIME] = "time_limit", [WISH_PAUSE] = "pause"};
	json_int_t attempt = slot->attempt;
	if (wish == WISH_CANCEL)
		return json_pack("{s:s, s:I}", "type", "cancel", "attempt", attempt);
	return json_pack("{s:s, s:I, s:s}", "type", "release", "attempt", attempt, "why", why[wish]);
}

void slot_ask(struct slot *slot, enum slot_wish wish, uid_t by, const char *why)
{
	const struct daemon_options *o = &slot->daemon->options;
	bool checkpoint = wish == WISH_PAUSE || wish == WISH_TIME; /* worth to be waited for */
	if (slot->wish > wish)
		return;
	slot->wish = wish;
	slot->wished_by = by;
	if (slot->lead->peer)
		peer_send(slot->lead->peer, message_of(slot, wish));
	begin_kill(slot, KILL_ASKED, (checkpoint ? o->drain_ms : o->ask_ms) / 1000.0, why);
}

void slot_begin_stop(struct slot *slot)
{
	if (slot->peer)
		peer_send(slot->peer, json_pack("{s:s}", "type", "stop"));
	begin_kill(slot, KILL_ASKED, slot->daemon->options.drain_ms / 1000.0, "did not end when asked to stop");
}

/* --- the rest --- */

void slot_attach(struct slot *slot, struct peer *peer)
{
	if (slot->peer && slot->peer != peer)
		peer_close(slot->peer);
	slot->peer = peer;
	slot->state = SLOT_READY;
	slot->greeted = true;
	for_lanes(slot, lane)
		watch_connected(&lane->watch, monotonic_s());
}

void slot_detach(struct slot *slot)
{
	slot->peer = NULL;
	for_lanes(slot, lane)
		watch_disconnected(&lane->watch);
	slot_check_gone(slot);
}

void slot_take_attempt(struct slot *slot, int64_t attempt, int64_t job, double began_s, double limit_s)
{
	slot->attempt = attempt;
	slot->job = job;
	slot->stored = slot->acked = 0;
	slot->wish = WISH_NONE;
	if (!attempt) {
		watch_attempt_ended(&slot->watch);
		return;
	}
	watch_attempt(&slot->watch, monotonic_s(), began_s, limit_s);
	if (slot->group_of != slot->lead->pid)
		cgroup_of("", slot->lead->pid, &slot->group);
	slot->group_of = slot->lead->pid;
	oom_read(&slot->oom, &slot->group);
}

void slot_forget_attempt(struct slot *slot)
{
	slot_take_attempt(slot, 0, 0, NAN, 0);
	slot->lead->useful = true;
	slot->lead->bad_lines = 0;
	if (slot->kill_step == KILL_ASKED && !slot->daemon->stopping)
		slot->kill_step = KILL_NONE; /* it heeded: the worker stays */
	daemon_poke(slot->daemon);
}

void slot_distrust(struct slot *slot)
{
	if (++slot->bad_lines >= BAD_LINES_MAX)
		slot_kill(slot, "it does not keep to the protocol");
}

void slot_send_run(struct slot *slot, const char *config, const char *data_dir)
{
	struct err err;
	autofree char *dir = paths_job_dir(&slot->daemon->paths, slot->job);
	if (!slot->lead->peer)
		return;
	if (fs_mkdirs(dir, 0750, &err) < 0) /* the worker will fail there and say so */
		log_error("job %lld: %s", (long long)slot->job, err.text);
	json_t *object = json_parse(config, strlen(config), &err);
	INVARIANT(object, "stored configuration of job %lld: %s", (long long)slot->job, err.text);
	peer_send(slot->lead->peer, json_pack("{s:s, s:I, s:I, s:s, s:s?, s:o, s:b}", "type", "run", "attempt",
					(json_int_t)slot->attempt, "job", (json_int_t)slot->job, "job_dir", dir,
					"data_dir", data_dir, "config", object, "resume", 1));
}

static double tick_empty(struct slot *slot, double now_s)
{
	if (slot->daemon->stopping || slot->surplus)
		return INFINITY;
	if (now_s < slot->restart_at_s)
		return slot->restart_at_s;
	begin_worker(slot);
	return INFINITY;
}

static bool has_attempt(const struct slot *slot)
{
	for_lanes(slot, lane)
		if (lane->attempt)
			return true;
	return false;
}

static double tick_alive(struct slot *slot, double now_s)
{
	if (slot->exited) {
		slot_check_gone(slot);
		return slot->gone_by_s;
	}
	if (slot->surplus && !has_attempt(slot))
		slot_begin_stop(slot);
	double next = slot->daemon->workers.paused ? INFINITY : slot_look(slot, now_s); /* else the silence is ours */
	if (slot->kill_step != KILL_NONE && now_s >= slot->kill_at_s)
		escalate(slot, now_s);
	return slot->kill_step == KILL_NONE ? next : MIN(next, slot->kill_at_s);
}

/* Its job's deadlines; the worker's are its lead's. */
static double tick_lane(struct slot *slot, double now_s)
{
	if (!slot->attempt || !has_process(slot))
		return INFINITY;
	double next = slot->daemon->workers.paused ? INFINITY : slot_look(slot, now_s);
	if (slot->kill_step != KILL_NONE && now_s >= slot->kill_at_s)
		escalate(slot, now_s);
	if (slot->lead->kill_step != KILL_NONE) /* perhaps since a moment ago, after its own tick */
		next = MIN(next, slot->lead->kill_at_s);
	return slot->kill_step == KILL_NONE ? next : MIN(next, slot->kill_at_s);
}

double slot_tick(struct slot *slot, double now_s)
{
	if (slot != slot->lead)
		return tick_lane(slot, now_s);
	switch (slot->state) {
	case SLOT_EMPTY:
		return tick_empty(slot, now_s);
	case SLOT_STARTING:
	case SLOT_READY:
		return tick_alive(slot, now_s);
	case SLOT_ADDING:
	case SLOT_GONE:
		break;
	}
	return INFINITY;
}

/* One quick end may be an accident; more in a row wait longer and longer for the next start, or a worker that cannot work
 * would fail every queued job within seconds. */
static double restart_delay_s(int quick_ends)
{
	double delay = RESTART_MIN_S;
	for (int i = 2; i < quick_ends && delay < RESTART_MAX_S; i++)
		delay *= 2;
	return quick_ends > 1 ? MIN(delay, RESTART_MAX_S) : 0;
}

void slot_vacate(struct slot *slot)
{
	double now_s = monotonic_s();
	bool quick = !slot->useful && now_s - slot->started_s < QUICK_S;
	slot_close(slot);
	slot->quick_ends = quick ? slot->quick_ends + 1 : 0;
	slot->restart_at_s = now_s + restart_delay_s(slot->quick_ends);
	if (health_is_aside(&slot->health, now_s))
		slot->restart_at_s = MAX(slot->restart_at_s, slot->health.until_s);
	for_lanes(slot, lane) {
		slot_take_attempt(lane, 0, 0, NAN, 0);
		lane->kill_step = KILL_NONE;
		lane->group_of = 0;
	}
	slot->worker = slot->pid = slot->capacity = 0;
	slot->bad_lines = 0;
	slot->state = SLOT_EMPTY;
	daemon_poke(slot->daemon);
}

void slot_close(struct slot *slot)
{
	if (slot->poll)
		uv_close((uv_handle_t *)slot->poll, on_closed);
	if (slot->process)
		uv_close((uv_handle_t *)slot->process, on_closed);
	slot->poll = NULL;
	slot->process = NULL;
	if (slot->pidfd >= 0)
		close(slot->pidfd);
	slot->pidfd = -1;
}
