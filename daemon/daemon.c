/* The life of the daemon: opening everything, the one timer, the clean stop, closing everything.  See daemon.h. */
#include "daemon.h"

#include "control.h"
#include "dispatch.h"
#include "page_check.h"
#include "forward.h"
#include "link.h"
#include "notify.h"
#include "slot.h"
#include "spawn.h"
#include "token.h"
#include "wal.h"
#include "watch.h"

#include "common/clock.h"
#include "common/log.h"
#include "common/protocol.h"
#include "common/utf8.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTEN_BACKLOG 128

double daemon_refuse_at_s(const struct daemon *d)
{
	return monotonic_s() + d->options.busy_ms / 1000.0;
}

void *input_new(struct daemon *d, const struct input_kind *kind, size_t size)
{
	struct input *input = xcalloc(1, size);
	input->kind = kind;
	input->daemon = d;
	return input;
}

/* --- closing --- */

static void close_handle(void *handle)
{
	uv_handle_t *h = handle;
	if (h->loop && !uv_is_closing(h)) /* loop: it was initialised */
		uv_close(h, NULL);
}

static void end_peers(struct peer_list *list)
{
	while (list->first)
		peer_end(list->first);
}

/* Nothing is taken in any more; the loop ends when what is under way has ended. */
static void close_all(struct daemon *d)
{
	if (d->closed)
		return;
	d->closed = true;
	if (d->turn)
		turn_close(d->turn); /* refuses what waits, while its clients still hear it */
	change_drop_pending(d);
	forward_close(d);
	end_peers(&d->clients);
	end_peers(&d->workers);
	for (int i = 0; i < d->n_slots; i++)
		slot_close(&d->slots[i]);
	close_handle(&d->worker_listener);
	close_handle(&d->control_listener);
	for (size_t i = 0; i < ARRAY_LEN(d->signals); i++)
		close_handle(&d->signals[i]);
	close_handle(&d->timer);
	if (d->wal)
		wal_close(d->wal);
	page_check_end(d);
}

static void free_all(struct daemon *d)
{
	INVARIANT(uv_loop_close(&d->loop) == 0, "the loop ended with open handles");
	turn_free(d->turn);
	wal_free(d->wal); /* before the store: the last connection to close writes the log back */
	store_close(d->store);
	slots_free(d);
	forward_free(d);
	paths_fini(&d->paths);
}

/* --- the timer --- */

/* A stop is through when every worker's end is stored, or takes too long: the next start finds the rest in the rows. */
static double stop_tick(struct daemon *d, double now_s)
{
	if (slots_empty(d) && turn_idle(d->turn)) {
		close_all(d);
		return INFINITY;
	}
	if (now_s < d->give_up_at_s)
		return d->give_up_at_s;
	log_error("not everything has ended in time; the next start goes on from here");
	close_all(d);
	return INFINITY;
}

static void on_timer(uv_timer_t *timer)
{
	struct daemon *d = timer->data;
	double now_s = monotonic_s();
	double next_s = INFINITY;
	if (d->restarting) {
		close_all(d);
		return;
	}
	for (int i = 0; i < d->n_slots; i++)
		next_s = MIN(next_s, slot_tick(&d->slots[i], now_s));
	next_s = MIN(next_s, dispatch_tick(d, now_s));
	next_s = MIN(next_s, forward_tick(d, now_s));
	if (d->stopping)
		next_s = MIN(next_s, stop_tick(d, now_s));
	if (d->closed)
		return;
	double wait_ms = ceil(MAX(next_s - now_s, 0) * 1000);
	if (isfinite(next_s))
		uv_timer_start(timer, on_timer, (uint64_t)MAX(wait_ms, 1), 0);
	else
		uv_timer_stop(timer);
}

static void wake(struct daemon *d)
{
	if (!d->closed)
		uv_timer_start(&d->timer, on_timer, 0, 0);
}

void daemon_poke(struct daemon *d)
{
	d->dispatch_wanted = true;
	wake(d);
}

/* --- turns --- */

static void on_pause(void *arg, bool pause)
{
	struct daemon *d = arg;
	const char *why;
	peer_list_pause(&d->workers, pause);
	if (!pause)
		slots_forgive_silence(d);
	else if (turn_trouble(d->turn, &why) == -ESTALE)
		wal_rescue(d->wal);
}

static void on_committed(void *arg)
{
	struct daemon *d = arg;
	link_send_acks(d);
	change_check_pending(d);
	int64_t event = store_last_event(d->store);
	if (event > d->event_published) {
		d->event_published = event;
		watch_publish_event(d, event);
	}
	wal_committed(d->wal, store_log_pages(d->store));
	wake(d);
}

/* --- stopping --- */

void daemon_stop(struct daemon *d)
{
	if (d->stopping)
		return;
	log_info("stopping: workers checkpoint and end, their jobs go back to the queue");
	notify("STOPPING=1");
	d->stopping = true;
	d->give_up_at_s = monotonic_s() + (d->options.drain_ms + 4.0 * d->options.ask_ms) / 1000;
	for (int i = 0; i < d->n_slots; i++)
		slot_begin_stop(&d->slots[i]);
	wake(d);
}

void daemon_restart(struct daemon *d)
{
	log_info("ends to be started again; its workers go on");
	notify("STOPPING=1");
	d->restarting = true;
	wake(d);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct daemon *d = handle->data;
	daemon_stop(d);
	if (++d->n_signals < 2)
		return;
	for (int i = 0; i < d->n_slots; i++)
		slot_kill(&d->slots[i], "sweepd was told twice to stop");
}

/* --- opening --- */

static int listen_on(struct daemon *d, uv_pipe_t *pipe, const char *path, mode_t mode, uv_connection_cb cb,
		     struct err *err)
{
	unlink(path); /* of a daemon that is gone: we hold the lock */
	uv_pipe_init(&d->loop, pipe, 0);
	pipe->data = d;
	int r = uv_pipe_bind(pipe, path);
	if (r == 0 && chmod(path, mode) < 0)
		r = -errno;
	r = r ? r : uv_listen((uv_stream_t *)pipe, LISTEN_BACKLOG, cb);
	return r < 0 ? err_set(err, r, "cannot listen on %s: %s", path, uv_strerror(r)) : 0;
}

static int listen_all(struct daemon *d, struct err *err)
{
	int r = listen_on(d, &d->worker_listener, d->paths.worker, 0600, link_on_connection, err);
	return r ? r : listen_on(d, &d->control_listener, d->paths.control, 0660, control_on_connection, err);
}

static void init_handles(struct daemon *d)
{
	static const int numbers[ARRAY_LEN(d->signals)] = {SIGTERM, SIGINT, SIGHUP};
	uv_timer_init(&d->loop, &d->timer);
	d->timer.data = d;
	for (size_t i = 0; i < ARRAY_LEN(d->signals); i++) {
		uv_signal_init(&d->loop, &d->signals[i]);
		d->signals[i].data = d;
		uv_signal_start(&d->signals[i], on_signal, numbers[i]);
	}
}

/* Paths travel in messages, which are UTF-8. */
static int check_state_path(const char *path, struct err *err)
{
	for (const char *p = path; *p;) {
		size_t n = utf8_length(p, strlen(p));
		if (!n)
			return err_set(err, -EILSEQ, "the name of the directory %s is not UTF-8", path);
		p += n;
	}
	return 0;
}

static int open_store(struct daemon *d, struct err *err)
{
	autofree char *worker = NULL;
	int r = paths_daemon(&d->paths, d->options.dir, err);
	r = r ? r : check_state_path(d->paths.state, err);
	r = r ? r : spawn_find_program("sweep-worker", "worker", d->options.worker_program, &worker, err);
	r = r ? r : paths_create(&d->paths, err);
	r = r ? r : store_open(&d->store, &d->paths, err);
	if (r < 0)
		return r;
	autofree char *token_file = xasprintf("%s/worker.token", d->paths.state);
	return token_load(token_file, d->token, err);
}

static void do_nothing(uv_work_t *work)
{
}

static void work_freed(uv_work_t *work, int status)
{
	free(work);
}

/* libuv makes its threads for the first work, and aborts when it cannot: not in the middle of a night, because some user's
 * processes have reached their limit. */
static void start_thread_pool(struct daemon *d)
{
	uv_queue_work(&d->loop, xcalloc(1, sizeof(uv_work_t)), do_nothing, work_freed);
}

static int open_all(struct daemon *d, struct err *err)
{
	const struct turn_events events = {.pause = on_pause, .committed = on_committed, .arg = d};
	int r = open_store(d, err);
	if (r < 0)
		return r;
	init_handles(d);
	start_thread_pool(d);
	d->turn = turn_new(&d->loop, d->store, &events);
	d->event_published = store_last_event(d->store);
	r = wal_new(&d->wal, &d->loop, d->paths.db, err);
	r = r ? r : forward_new(d, err);
	r = r ? r : slots_new(d, err);
	return r ? r : listen_all(d, err);
}

static void say_ready(struct daemon *d)
{
	log_info("sweepd %s serves %s, pid %d, %d device%s", SWEEPD_VERSION, d->paths.state, (int)getpid(),
		 d->n_places, d->n_places == 1 ? "" : "s");
	notify("READY=1");
	if (d->options.ready_fd < 0)
		return;
	if (write(d->options.ready_fd, "1", 1) != 1)
		log_warn("cannot write to --ready-fd %d: %s", d->options.ready_fd, strerror(errno));
	close(d->options.ready_fd);
}

int daemon_run(const struct daemon_options *options)
{
	struct err err;
	struct daemon d = {.options = *options, .started_ms = wall_ms(), .dispatch_at_s = INFINITY};
	int r = uv_loop_init(&d.loop);
	if (r < 0) {
		log_error("cannot make an event loop: %s", uv_strerror(r));
		return EXIT_BAD_OUTCOME;
	}
	signal(SIGPIPE, SIG_IGN); /* libuv 1.44 writes to sockets without MSG_NOSIGNAL */
	r = open_all(&d, &err);
	if (r < 0) {
		log_error("%s", err.text);
		close_all(&d);
	} else {
		say_ready(&d);
		page_check_start(&d);
		daemon_poke(&d);
	}
	uv_run(&d.loop, UV_RUN_DEFAULT);
	free_all(&d);
	if (r < 0)
		return EXIT_BAD_OUTCOME;
	log_info("sweepd ended");
	return d.restarting ? EXIT_RESTART : EXIT_OK;
}
