/* See follow.h.  The loop: what sweepd says of committed rows wakes runs, the one timer lets sweeps and runs act, and
 * what W&B acknowledged goes back to sweepd in batches. */
#include "follow.h"

#include "about.h"
#include "key.h"
#include "offline_follow.h"
#include "run.h"

#include "common/clock.h"
#include "common/json.h"
#include "common/log.h"
#include "common/protocol.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#define REPORT_GATHER_S 0.2 /* reports are a transaction of sweepd's each */
#define REPORT_RUNS     256
#define IDLE_S          60.0
#define LOCK_WAIT_MS    500

/* --- sweeps and runs --- */

struct wsweep *follow_sweep(struct follow *f, int64_t sweep, struct err *err)
{
	for (struct wsweep *ws = f->sweeps; ws; ws = wsweep_next(ws)) {
		struct wsweep_facts facts;
		wsweep_facts(ws, &facts);
		if (facts.id == sweep)
			return ws;
	}
	return wsweep_new(f, sweep, err);
}

static struct run *find_run(struct follow *f, int64_t job)
{
	for (size_t i = 0; i < f->n_runs; i++)
		if (run_job(f->runs[i]) == job)
			return f->runs[i];
	return NULL;
}

/* Takes what row holds. */
static struct run *add_run(struct follow *f, struct run_row *row)
{
	struct err err;
	struct wsweep *ws = follow_sweep(f, row->sweep, &err);
	if (!ws) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_ERROR, "job %lld is not sent: %s", (long long)row->job, err.text);
		run_row_fini(row);
		return NULL;
	}
	f->runs = xrealloc_array(f->runs, f->n_runs + 1, sizeof(struct run *));
	return f->runs[f->n_runs++] = run_new(f, ws, row);
}

bool follow_owes(const struct follow *f, const struct wsweep *ws)
{
	for (size_t i = 0; i < f->n_runs; i++)
		if (run_is_of(f->runs[i], ws) && !run_is_settled(f->runs[i]))
			return true;
	return false;
}

static void drop_settled(struct follow *f)
{
	size_t kept = 0;
	for (size_t i = 0; i < f->n_runs; i++) {
		if (run_is_settled(f->runs[i]))
			run_free(f->runs[i]);
		else
			f->runs[kept++] = f->runs[i];
	}
	f->n_runs = kept;
}

static void take_pending(void *arg, struct run_row *row)
{
	struct run *run = add_run(arg, row);
	if (run)
		run_touch(run, true);
}

struct touched { /* gathered first: a statement is open while they come */
	int64_t *jobs;
	enum urgency *how;
	size_t n;
};

static void take_touched(void *arg, int64_t job, enum urgency how)
{
	struct touched *t = arg;
	t->jobs = xrealloc_array(t->jobs, t->n + 1, sizeof(*t->jobs));
	t->how = xrealloc_array(t->how, t->n + 1, sizeof(*t->how));
	t->jobs[t->n] = job;
	t->how[t->n++] = how;
}

static void touch(struct follow *f, int64_t job, enum urgency how)
{
	struct run_row row;
	struct run *run = find_run(f, job);
	if (!run && rows_run(f->rows, job, &row, NULL) == 1) {
		if (row.at.phase == RUN_REFUSED) {
			run_row_fini(&row);
			return;
		}
		run = add_run(f, &row);
	}
	if (run)
		run_touch(run, how != TOUCH_ROWS);
	if (run && how == TOUCH_ASKED)
		for (struct wsweep *ws = f->sweeps; ws; ws = wsweep_next(ws))
			if (run_is_of(run, ws))
				wsweep_hurry(ws);
}

static int open_rows(struct follow *f, struct err *err)
{
	int r = rows_open(&f->rows, &f->paths, err);
	r = r ? r : rows_begin(f->rows, err);
	if (r < 0)
		return r;
	r = rows_last_event(f->rows, &f->seen_event, err);
	r = r ? r : rows_pending(f->rows, take_pending, f, err);
	rows_end(f->rows);
	if (r == 0 && f->n_runs)
		log_info("%zu run%s to be sent", f->n_runs, f->n_runs == 1 ? " is" : "s are");
	return r;
}

/* --- what sweepd says --- */

static void on_committed(void *arg, int64_t event)
{
	struct follow *f = arg;
	struct err err;
	struct touched touched = {0};
	int r = 0;
	drop_settled(f);
	if (!f->rows)
		r = open_rows(f, &err);
	else if (event > f->seen_event)
		r = rows_touched(f->rows, f->seen_event, event, take_touched, &touched, &err);
	if (r == 0 && f->rows)
		f->seen_event = MAX(f->seen_event, event);
	for (size_t i = 0; r == 0 && i < touched.n; i++)
		touch(f, touched.jobs[i], touched.how[i]);
	offlines_touch(f->offlines);
	free(touched.jobs);
	free(touched.how);
	if (r < 0) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_WARN, "%s", err.text);
	}
	follow_poke(f);
}

static void on_link_connected(void *arg)
{
	log_debug("connected to sweepd");
	follow_poke(arg);
}

static void on_link_lost(void *arg)
{
	log_info("sweepd is away; what is committed goes on to be sent");
	follow_poke(arg);
}

/* --- what it is told --- */

void follow_ask(struct follow *f, const char *verb, json_t *jobs)
{
	if (json_array_size(jobs))
		json_array_append_new(f->asks,
				      json_pack("{s:s, s:s, s:O}", "verb", "forward", "ask", verb, "jobs", jobs));
	json_decref(jobs);
	follow_poke(f);
}

static void on_asked(void *arg, const json_t *answer)
{
	struct follow *f = arg;
	if (!answer) /* it is asked again */
		return;
	bool refused = !json_bool_or(answer, "ok", false);
	if (refused)
		log_info("sweepd: %s", json_str_or(answer, "error", "refused"));
	if (refused && !json_object_get(answer, "jobs")) /* not the jobs' state: it could not look at them */
		f->ask_s = monotonic_s() + 1;
	else
		json_array_remove(f->asks, 0);
	follow_poke(f);
}

static void on_reported(void *arg, const json_t *answer)
{
	struct follow *f = arg;
	bool stored = answer && json_bool_or(answer, "ok", false);
	if (answer && !stored) {
		static struct log_rate rate;
		log_seldom(&rate, LOG_LEVEL_WARN, "sweepd stores no report: %s",
			   json_str_or(answer, "error", "refused"));
		f->report_s = monotonic_s() + 1;
	}
	for (struct wsweep *ws = f->sweeps; ws; ws = wsweep_next(ws))
		wsweep_reported(ws, stored);
	for (size_t i = 0; i < f->n_runs; i++)
		run_reported(f->runs[i], stored);
	offlines_reported(f->offlines, stored);
	drop_settled(f);
	follow_poke(f);
}

static json_t *gather(struct follow *f)
{
	json_t *runs = json_array(), *sweeps = json_array(), *one;
	for (struct wsweep *ws = f->sweeps; ws; ws = wsweep_next(ws))
		if ((one = wsweep_report(ws)))
			json_array_append_new(sweeps, one);
	for (size_t i = 0; i < f->n_runs && json_array_size(runs) < REPORT_RUNS; i++)
		if ((one = run_report(f->runs[i])))
			json_array_append_new(runs, one);
	offlines_report(f->offlines, runs, sweeps);
	if (json_array_size(runs) || json_array_size(sweeps))
		return json_pack("{s:s, s:o, s:o}", "verb", "forward", "runs", runs, "sweeps", sweeps);
	json_decref(runs);
	json_decref(sweeps);
	return NULL;
}

/* Returns when it wants to be asked again. */
static double tell(struct follow *f, double now_s)
{
	if (!link_is_free(f->link))
		return INFINITY;
	if (json_array_size(f->asks) && now_s < f->ask_s)
		return f->ask_s;
	if (json_array_size(f->asks)) {
		link_send(f->link, json_incref(json_array_get(f->asks, 0)), on_asked, f);
		return INFINITY;
	}
	if (now_s < f->report_s)
		return f->report_s;
	json_t *report = gather(f);
	if (!report)
		return INFINITY;
	f->report_s = now_s + REPORT_GATHER_S;
	link_send(f->link, report, on_reported, f);
	return INFINITY;
}

/* --- the timer --- */

static void close_handle(void *handle)
{
	uv_handle_t *h = handle;
	if (h->loop && !uv_is_closing(h))
		uv_close(h, NULL);
}

static void close_all(struct follow *f)
{
	if (f->closed)
		return;
	f->closed = true;
	if (f->net)
		net_close(f->net);
	for (size_t i = 0; i < f->n_runs; i++)
		run_free(f->runs[i]);
	free(f->runs);
	f->runs = NULL;
	f->n_runs = 0;
	if (f->link)
		link_close(f->link);
	for (size_t i = 0; i < ARRAY_LEN(f->signals); i++)
		close_handle(&f->signals[i]);
	close_handle(&f->timer);
}

static bool is_through(const struct follow *f)
{
	const char *why;
	if (net_is_down(f->net, &why))
		return true;
	for (size_t i = 0; i < f->n_runs; i++)
		if (run_is_behind(f->runs[i]))
			return false;
	return net_in_flight(f->net) == 0;
}

static void stop(struct follow *f)
{
	if (f->stopping)
		return;
	f->stopping = true;
	f->stop_at_s = monotonic_s() + f->options.stop_ms / 1000.0;
	for (size_t i = 0; i < f->n_runs; i++)
		if (run_is_behind(f->runs[i]))
			run_touch(f->runs[i], true);
	follow_poke(f);
}

/* Who was started by sweepd ends with it. */
static void on_link_stop(void *arg)
{
	struct follow *f = arg;
	if (f->options.orphan_ms)
		stop(f);
}

static double tick_runs(struct follow *f, double now_s)
{
	double when_s, next_s = INFINITY;
	size_t n = f->n_runs;
	for (size_t i = 0; i < n; i++) {
		if (!net_peek(f->net, now_s, &when_s)) { /* whose turn it is comes first next time */
			f->next_run = (f->next_run + i) % n;
			return MIN(next_s, when_s);
		}
		next_s = MIN(next_s, run_tick(f->runs[(f->next_run + i) % n], now_s));
	}
	return next_s;
}

static double tick(struct follow *f, double now_s)
{
	double next_s = now_s + IDLE_S, lost_s = link_lost_since_s(f->link);
	if (f->options.orphan_ms && !isnan(lost_s)) {
		double end_s = lost_s + f->options.orphan_ms / 1000.0;
		if (now_s >= end_s)
			stop(f);
		next_s = MIN(next_s, MAX(end_s, now_s + 1));
	}
	if (f->rows) {
		for (struct wsweep *ws = f->sweeps; ws; ws = wsweep_next(ws))
			next_s = MIN(next_s, wsweep_tick(ws, now_s));
		next_s = MIN(next_s, tick_runs(f, now_s));
		next_s = MIN(next_s, offlines_tick(f->offlines, now_s));
	}
	next_s = MIN(next_s, tell(f, now_s));
	if (f->stopping && (now_s >= f->stop_at_s || !f->rows || is_through(f)))
		close_all(f);
	return f->stopping ? MIN(next_s, f->stop_at_s) : next_s;
}

static void on_timer(uv_timer_t *timer)
{
	struct follow *f = timer->data;
	double now_s = monotonic_s(), next_s = tick(f, now_s);
	if (f->closed)
		return;
	if (!uv_is_active((uv_handle_t *)timer)) /* else something was poked meanwhile */
		uv_timer_start(timer, on_timer, (uint64_t)ceil(MAX(next_s - now_s, 0.001) * 1000), 0);
}

void follow_poke(struct follow *f)
{
	if (!f->closed)
		uv_timer_start(&f->timer, on_timer, 0, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct follow *f = handle->data;
	if (f->stopping)
		close_all(f);
	else
		stop(f);
}

/* --- opening --- */

/* One sweep-forward a store: the lock goes with the process.  A killed one's may take a moment. */
static int take_lock(const struct paths *paths, int *ret_fd, struct err *err)
{
	autofree char *path = xasprintf("%s/forward.lock", paths->state);
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open %s, which sweepd makes", path);
	for (int waited_ms = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited_ms += 20) {
		if (waited_ms >= LOCK_WAIT_MS)
			return err_set(err, -EEXIST, "another sweep-forward sends the runs of %s", paths->state);
		nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000L}, NULL);
	}
	*ret_fd = steal_fd(&fd);
	return 0;
}

static int find_paths(struct follow *f, struct err *err)
{
	int r = paths_client(&f->paths, f->options.dir, err);
	if (r < 0 || !f->options.control)
		return r;
	free(f->paths.control);
	f->paths.control = xstrdup(f->options.control);
	return 0;
}

static int open_all(struct follow *f, int *ret_lock, struct err *err)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	const struct net_options net = {.rate = f->options.rate,
					.burst = f->options.rate * 2,
					.in_flight = f->options.in_flight,
					.retry_s = f->options.retry_ms / 1000.0};
	const struct link_events events = {on_link_connected, on_committed, on_link_lost, on_link_stop, f};
	int r = find_paths(f, err);
	r = r ? r : take_lock(&f->paths, ret_lock, err);
	if (r < 0)
		return r;
	f->config_dir = key_config_dir(f->options.dir);
	f->asks = json_array();
	f->offlines = offlines_new(f);
	uv_timer_init(&f->loop, &f->timer);
	f->timer.data = f;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		uv_signal_init(&f->loop, &f->signals[i]);
		f->signals[i].data = f;
		uv_signal_start(&f->signals[i], on_signal, numbers[i]);
	}
	r = net_new(&f->net, &f->loop, &net, err);
	if (r < 0)
		return r;
	f->link = link_new(&f->loop, f->paths.control, &events);
	return 0;
}

static void free_all(struct follow *f)
{
	INVARIANT(uv_loop_close(&f->loop) == 0, "the loop ended with open handles");
	while (f->sweeps) {
		struct wsweep *ws = f->sweeps;
		f->sweeps = wsweep_next(ws);
		wsweep_free(ws);
	}
	net_free(f->net);
	link_free(f->link);
	rows_close(f->rows);
	json_decref(f->asks);
	offlines_free(f->offlines);
	free(f->config_dir);
	paths_fini(&f->paths);
}

int follow_run(const struct follow_options *options)
{
	struct err err;
	autoclose int lock = -1;
	struct follow f = {.options = *options};
	uv_loop_init(&f.loop);
	signal(SIGPIPE, SIG_IGN);
	srand48((long)getpid() ^ (long)time(NULL));
	about_machine(&f.machine);
	int r = open_all(&f, &lock, &err);
	if (r < 0) {
		log_error("%s", err.text);
		close_all(&f);
	} else {
		log_info("sweep-forward " SWEEPD_VERSION " follows %s, pid %d", f.paths.state, (int)getpid());
	}
	uv_run(&f.loop, UV_RUN_DEFAULT);
	free_all(&f);
	if (r < 0)
		return r == -EEXIST ? EXIT_STATE : EXIT_BAD_OUTCOME;
	log_info("sweep-forward ended");
	return EXIT_OK;
}
