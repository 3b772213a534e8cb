/* All slots of the daemon: made at its start, where they take over the last daemon's workers.  See slot.h. */
#include "slot.h"

#include "proc.h"
#include "spawn.h"
#include "store_supervise.h"
#include "trust.h"

#include "common/clock.h"
#include "common/log.h"

#include <math.h>
#include <unistd.h>

/* --- finding one --- */

struct slot *slot_of_worker(struct daemon *d, int64_t worker)
{
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].worker == worker && d->slots[i].state != SLOT_EMPTY)
			return &d->slots[i];
	return NULL;
}

struct slot *slot_of_job(struct daemon *d, int64_t job)
{
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].job == job)
			return &d->slots[i];
	return NULL;
}

struct slot *slot_of_peer(struct daemon *d, const struct peer *peer)
{
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].peer == peer)
			return &d->slots[i];
	return NULL;
}

bool slots_empty(const struct daemon *d)
{
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].state != SLOT_EMPTY)
			return false;
	return true;
}

void slots_claim_oom_kill(struct daemon *d, const struct slot *slot)
{
	for (int i = 0; i < d->n_slots; i++) {
		d->slots[i].oom.machine++;
		if (str_eq(d->slots[i].group.dir, slot->group.dir))
			d->slots[i].oom.group++;
	}
}

void slots_forgive_silence(struct daemon *d)
{
	for (int i = 0; i < d->n_slots; i++)
		watch_forgive(&d->slots[i].watch, monotonic_s());
}

/* --- adopting --- */

/* Under the same start time and boot: the number alone may be another process by now. */
static bool is_alive(const struct worker_row *row)
{
	char boot_id[40];
	proc_boot_id(boot_id, sizeof(boot_id));
	return row->pid > 0 && str_eq(row->boot_id, boot_id) && proc_start_time(row->pid) == row->start_time;
}

/* The clock of its start holds in this boot alone. */
static int adopt_attempt(struct slot *slot, const struct worker_row *row, const struct attempt_row *attempt, struct err *err)
{
	char boot_id[40];
	double began_s, limit_s;
	proc_boot_id(boot_id, sizeof(boot_id));
	int r = store_attempt_began(slot->daemon->store, attempt->id, &began_s, err);
	r = r ? r : store_time_limit(slot->daemon->store, attempt->job, &limit_s, err);
	if (r < 0)
		return r;
	slot_take_attempt(slot, attempt->id, attempt->job, str_eq(row->boot_id, boot_id) ? began_s : NAN, limit_s);
	slot->stored = slot->acked = attempt->last_seq;
	return 0;
}

static int adopt(struct slot *slot, const struct worker_row *row, struct err *err)
{
	struct err gone;
	struct attempt_row attempt;
	int r = store_worker_attempt(slot->daemon->store, row->id, &attempt, err);
	if (r < 0)
		return r;
	slot->worker = row->id;
	slot->pid = row->pid;
	slot->state = SLOT_STARTING;
	slot->greeted = true;
	slot->signal = -1;
	slot->started_s = monotonic_s();
	watch_start(&slot->watch, slot->started_s);
	r = r ? adopt_attempt(slot, row, &attempt, err) : 0;
	if (r < 0)
		return r;
	if (is_alive(row) && slot_watch(slot, &gone) == 0 &&
	    is_alive(row)) { /* again: what is watched is that process */
		log_info("%s: worker %lld, pid %d, goes on%s", slot->device, (long long)row->id, (int)row->pid,
			 slot->attempt ? " training" : "");
		return 0;
	}
	snprintf(slot->how, sizeof(slot->how), "%s", row->pid ? "ended while sweepd was away" : "never started");
	slot->exited = true;
	slot->watch.attempt_s = NAN; /* nobody knows when */
	slot_check_gone(slot);
	return 0;
}

/* On the CPU any place will do where the number of places has changed. */
static struct slot *slot_for(struct daemon *d, const char *device)
{
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].state == SLOT_EMPTY && str_eq(d->slots[i].device, device))
			return &d->slots[i];
	for (int i = 0; i < d->n_slots; i++)
		if (d->slots[i].state == SLOT_EMPTY && d->slots[i].kind == DEVICE_CPU &&
		    device_kind_of(device) == DEVICE_CPU)
			return &d->slots[i];
	return NULL;
}

/* --- making them --- */

static struct slot *add_slot(struct daemon *d, const char *device, bool surplus)
{
	struct slot *slot = &d->slots[d->n_slots++];
	slot->daemon = d;
	slot->pidfd = -1;
	slot->surplus = surplus;
	slot->threads = d->options.threads ? d->options.threads : MAX(usable_cores() / d->n_places, 1);
	snprintf(slot->device, sizeof(slot->device), "%s", device);
	slot->kind = device_kind_of(device);
	return slot;
}

static int add_place(struct daemon *d, const struct place *place, struct err *err)
{
	struct slot *slot = add_slot(d, place->id, false);
	int r = store_upsert_device(d->store, slot->device, device_kind_name(slot->kind), NULL, err);
	return r ? r : trust_load(slot, err);
}

static int find_places(struct daemon *d, struct err *err)
{
	autofree char *program = NULL;
	int r = spawn_find_program("sweep-worker", "worker", d->options.worker_program, &program, err);
	const struct discovery discovery = {
		.program = program,
		.wanted = d->options.device,
		.backend = d->options.backend,
		.n_cpu = d->options.n_devices,
		.timeout_ms = d->options.ask_ms,
	};
	return r ? r : discover_places(&d->places, &d->n_places, &discovery, err);
}

int slots_new(struct daemon *d, struct err *err)
{
	size_t n;
	autofree struct worker_row *rows = NULL;
	int r = find_places(d, err);
	r = r ? r : store_devices_absent(d->store, err);
	r = r ? r : store_workers(d->store, &rows, &n, err);
	if (r < 0)
		return r;
	d->slots = xcalloc(n + (size_t)d->n_places, sizeof(*d->slots));
	for (int i = 0; r == 0 && i < d->n_places; i++)
		r = add_place(d, &d->places[i], err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct slot *slot = slot_for(d, rows[i].device);
		r = adopt(slot ? slot : add_slot(d, rows[i].device, true), &rows[i], err);
	}
	return r;
}

void slots_free(struct daemon *d)
{
	free(d->places);
	free(d->slots);
	d->places = NULL;
	d->slots = NULL;
	d->n_slots = 0;
}
