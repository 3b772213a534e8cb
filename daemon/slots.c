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

struct slot *slot_of_attempt(struct slot *slot, int64_t attempt)
{
	for_lanes(slot, lane)
		if (attempt && lane->attempt == attempt)
			return lane;
	return NULL;
}

bool slot_is_bystander(const struct slot *slot)
{
	bool wished = false;
	for_lanes(slot, lane)
		wished |= lane != slot && lane->attempt && lane->wish != WISH_NONE;
	return slot_was_killed(slot) && slot->wish == WISH_NONE && wished;
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

struct alive { /* a worker that the last daemon had */
	struct worker_row row;
	int n_attempts; /* that it trains */
};

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

static bool is_idle(const struct slot *slot)
{
	for_lanes(slot, lane)
		if (lane->attempt)
			return false;
	return true;
}

static int adopt_attempts(struct slot *slot, const struct worker_row *row, struct err *err)
{
	size_t n = 0;
	autofree struct attempt_row *attempts = NULL;
	int r = store_worker_attempts(slot->daemon->store, row->id, &attempts, &n, err);
	INVARIANT(r < 0 || n <= (size_t)slot->n_lanes, "worker %lld trains %zu jobs", (long long)row->id, n);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = adopt_attempt(slot + i, row, &attempts[i], err);
	return r;
}

static int adopt(struct slot *slot, const struct worker_row *row, struct err *err)
{
	struct err gone;
	slot->worker = row->id;
	slot->pid = row->pid;
	slot->state = SLOT_STARTING;
	slot->greeted = true;
	slot->signal = -1;
	slot->started_s = monotonic_s();
	for_lanes(slot, lane)
		watch_start(&lane->watch, slot->started_s);
	int r = adopt_attempts(slot, row, err);
	if (r < 0)
		return r;
	if (is_alive(row) && slot_watch(slot, &gone) == 0 &&
	    is_alive(row)) { /* again: what is watched is that process */
		log_info("%s: worker %lld, pid %d, goes on%s", slot->device, (long long)row->id, (int)row->pid,
			 is_idle(slot) ? "" : " training");
		return 0;
	}
	snprintf(slot->how, sizeof(slot->how), "%s", row->pid ? "ended while sweepd was away" : "never started");
	slot->exited = true;
	for_lanes(slot, lane)
		lane->watch.attempt_s = NAN; /* nobody knows when */
	slot_check_gone(slot);
	return 0;
}

/* On the CPU any place will do where the number of places has changed. */
static struct slot *slot_for(struct daemon *d, const char *device, int n_attempts)
{
	struct slot *other = NULL;
	for (struct slot *slot = d->slots; slot < d->slots + d->n_slots; slot += slot->n_lanes) {
		if (slot->state != SLOT_EMPTY || slot->n_lanes < n_attempts)
			continue;
		if (str_eq(slot->device, device))
			return slot;
		if (slot->kind == DEVICE_CPU && device_kind_of(device) == DEVICE_CPU && !other)
			other = slot;
	}
	return other;
}

/* --- making them --- */

/* Places for one worker: `wanted` of them for jobs to come, or as many as it trains now. */
static struct slot *add_slot(struct daemon *d, const char *device, int wanted, int n_attempts)
{
	struct slot *lead = &d->slots[d->n_slots];
	lead->n_lanes = MAX(wanted, MAX(n_attempts, 1));
	for (int i = 0; i < lead->n_lanes; i++) {
		struct slot *slot = &d->slots[d->n_slots++];
		slot->daemon = d;
		slot->lead = lead;
		slot->lane = i;
		slot->pidfd = -1;
		slot->surplus = i >= wanted;
		slot->threads = d->options.threads ? d->options.threads : MAX(usable_cores() / d->n_places, 1);
		snprintf(slot->device, sizeof(slot->device), "%s", device);
		slot->kind = device_kind_of(device);
	}
	return lead;
}

static int add_place(struct daemon *d, const struct place *place, const struct alive *alive, size_t n, struct err *err)
{
	int n_attempts = 0;
	for (size_t i = 0; i < n; i++)
		if (str_eq(alive[i].row.device, place->id))
			n_attempts = MAX(n_attempts, alive[i].n_attempts);
	struct slot *slot = add_slot(d, place->id, d->options.n_slots, n_attempts);
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

/* The last daemon's workers, with what they train. */
static int find_alive(struct daemon *d, struct alive **ret, size_t *ret_n, struct err *err)
{
	size_t n = 0, n_attempts = 0;
	autofree struct worker_row *rows = NULL;
	int r = store_workers(d->store, &rows, &n, err);
	autofree struct alive *alive = xcalloc(n + 1, sizeof(*alive));
	for (size_t i = 0; r == 0 && i < n; i++) {
		autofree struct attempt_row *attempts = NULL;
		r = store_worker_attempts(d->store, rows[i].id, &attempts, &n_attempts, err);
		alive[i] = (struct alive){rows[i], (int)n_attempts};
	}
	if (r < 0)
		return r;
	*ret = steal_ptr(alive);
	*ret_n = n;
	return 0;
}

int slots_new(struct daemon *d, struct err *err)
{
	size_t n = 0, room = 0;
	autofree struct alive *alive = NULL;
	int r = find_places(d, err);
	r = r ? r : store_devices_absent(d->store, err);
	r = r ? r : find_alive(d, &alive, &n, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) /* each may need places of its own, or widen those of its device */
		room += 2 * (size_t)alive[i].n_attempts + 1;
	d->slots = xcalloc(room + (size_t)d->n_places * (size_t)d->options.n_slots, sizeof(*d->slots));
	for (int i = 0; r == 0 && i < d->n_places; i++)
		r = add_place(d, &d->places[i], alive, n, err);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct slot *slot = slot_for(d, alive[i].row.device, alive[i].n_attempts);
		r = adopt(slot ? slot : add_slot(d, alive[i].row.device, 0, alive[i].n_attempts), &alive[i].row, err);
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
