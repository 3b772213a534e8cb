/* See slot.h. */
#include "slot.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/protocol.h"

#include <pthread.h>

struct slot {
	const struct slot_device *device;
	void (*wake)(void *arg);
	void *wake_arg;
	pthread_t thread;
	bool started; /* thread is to be joined */
	atomic_bool training, lost_device;
	struct train_job job;
	char *job_dir, *data_dir;
	struct event_log *events;
	struct train_control control;
	pthread_mutex_t lock; /* of the two below */
	struct train_progress progress;
	bool has_progress;
};

struct slot *slot_new(const struct slot_device *device, void (*wake)(void *arg), void *arg)
{
	struct slot *slot = xcalloc(1, sizeof(*slot));
	slot->device = device;
	slot->wake = wake;
	slot->wake_arg = arg;
	pthread_mutex_init(&slot->lock, NULL);
	return slot;
}

void slot_free(struct slot *slot)
{
	slot_forget(slot);
	pthread_mutex_destroy(&slot->lock);
	free(slot);
}

static void take_progress(void *arg, const struct train_progress *p)
{
	struct slot *slot = arg;
	pthread_mutex_lock(&slot->lock);
	slot->progress = *p;
	slot->has_progress = true;
	pthread_mutex_unlock(&slot->lock);
	slot->wake(slot->wake_arg);
}

bool slot_progress(struct slot *slot, struct train_progress *ret)
{
	pthread_mutex_lock(&slot->lock);
	bool has = slot->has_progress;
	*ret = slot->progress;
	slot->has_progress = false;
	pthread_mutex_unlock(&slot->lock);
	return has;
}

static void *slot_main(void *arg)
{
	struct slot *slot = arg;
	train_job_run(&slot->job);
	atomic_store(&slot->training, false);
	slot->wake(slot->wake_arg);
	return NULL;
}

static void emit_failed(struct slot *slot, enum fail_class class, const char *reason)
{
	event_emit(slot->events, "failed", json_pack("{s:s, s:s}", "class", fail_class_names[class], "reason", reason),
		   NULL);
}

static void start_thread(struct slot *slot)
{
	atomic_store(&slot->training, true);
	int r = pthread_create(&slot->thread, NULL, slot_main, slot);
	if (r == 0) {
		slot->started = true;
		return;
	}
	atomic_store(&slot->training, false);
	emit_failed(slot, FAIL_INTERNAL, "cannot start the training thread");
}

/* JOB_DIR/config.json: for people, and to train the same by hand (--standalone).  Nothing reads it here, so a disk that
 * cannot take it is not the job's end. */
static void keep_config(const struct slot *slot)
{
	autofree char *path = xasprintf("%s/config.json", slot->job_dir);
	autojson json_t *config = config_to_json(&slot->job.config);
	autofree char *text = json_pretty(config), *bytes = xasprintf("%s\n", text);
	if (!fs_exists(path))
		fs_write_file(path, bytes, strlen(bytes), 0640, NULL);
}

int slot_start(struct slot *slot, const json_t *run, struct err *err)
{
	int64_t attempt;
	const char *job_dir;
	struct err reason;
	int r = json_get_int(run, "attempt", &attempt, err);
	r = r ? r : json_get_str(run, "job_dir", &job_dir, err);
	if (r < 0)
		return r;
	INVARIANT(!slot_training(slot), "two jobs in one slot");
	slot_forget(slot);
	r = fs_mkdirs(job_dir, 0750, err);
	r = r ? r : event_log_new(&slot->events, job_dir, attempt, slot->wake, slot->wake_arg, err);
	if (r < 0)
		return r;
	const char *data_dir = json_str_or(run, "data_dir", NULL);
	slot->job_dir = xstrdup(job_dir);
	slot->data_dir = data_dir ? xstrdup(data_dir) : NULL;
	slot->has_progress = false; /* no thread is there yet */
	atomic_store(&slot->control.cancel, false);
	atomic_store(&slot->control.fence, false);
	atomic_store(&slot->control.checkpoint, false);
	atomic_store(&slot->control.release, RELEASE_NONE);
	slot->job = (struct train_job){
		.job_dir = slot->job_dir,
		.data_dir = slot->data_dir,
		.resume = json_bool_or(run, "resume", false),
		.backend = slot->device->backend,
		.device = slot->device->device,
		.threads = slot->device->threads,
		.events = slot->events,
		.control = &slot->control,
		.lost_device = &slot->lost_device,
		.progress = take_progress,
		.progress_arg = slot,
	};
	if (config_from_json(&slot->job.config, json_object_get(run, "config"), &reason) < 0) {
		emit_failed(slot, FAIL_CONFIG, reason.text);
		return 0;
	}
	keep_config(slot);
	start_thread(slot);
	return 0;
}

struct event_log *slot_events(struct slot *slot)
{
	return slot->events;
}

bool slot_training(const struct slot *slot)
{
	return atomic_load(&slot->training);
}

bool slot_has_lost_device(const struct slot *slot)
{
	return atomic_load(&slot->lost_device);
}

void slot_forget(struct slot *slot)
{
	if (slot->started)
		pthread_join(slot->thread, NULL);
	slot->started = false;
	event_log_free(slot->events);
	slot->events = NULL;
	free(slot->job_dir);
	free(slot->data_dir);
	slot->job_dir = slot->data_dir = NULL;
}

struct train_control *slot_control(struct slot *slot)
{
	return &slot->control;
}
