/* sweepctl watch: follows sweeps while they run.
 *
 * Progress and the ids of new events come over the daemon's `watch` stream; what they mean is read from the store, so
 * a watcher that joins late, or whose daemon was restarted, sees the same.  Leaving never stops training. */
#include "ctl/watch.h"
#include "ctl/format.h"
#include "common/clock.h"
#include "common/json.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define DRAW_S         0.25 /* at most four pictures a second */
#define TICK_S         1.0  /* clocks on the picture move */
#define RECONNECT_S    1.0

static const struct argp_option options[] = {
	{"exit-status", 'e', NULL, 0, "exit with 1 if a job failed or was cancelled"},
	{"interval", 'i', "SECONDS", 0, "without a terminal: at most one epoch line a job in that time (10)"},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct watch_input *input = state->input;

	switch (key) {
	case ARGP_KEY_INIT:
		input->interval_s = 10;
		return 0;
	case 'e':
		input->exit_status = true;
		return 0;
	case 'i':
		input->interval_s = number_take(arg, state, "--interval", "seconds", 0);
		return 0;
	case ARGP_KEY_ARGS:
		words_take(&input->targets, state);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {options, parse};

const struct live *watch_live(const struct watch *w, const struct job_row *job)
{
	for (size_t i = 0; i < w->n_live; i++)
		if (w->live[i].job == job->id && w->live[i].epoch == job->epoch + 1)
			return &w->live[i];
	return NULL;
}

void watch_estimate(const struct watch *w, struct estimate *e)
{
	autofree double *underway = xcalloc(w->survey.n_jobs + 1, sizeof(double));

	for (size_t i = 0; w->n_live && i < w->survey.n_jobs; i++) {
		const struct live *live = watch_live(w, &w->survey.jobs[i]);
		underway[i] = live ? live->part : 0;
	}
	survey_estimate(&w->survey, underway, e);
}

/* A paused job is not over: a wait that took it for that would let a script go on with half a sweep. */
static bool something_left(const struct watch *w)
{
	const size_t *counts = w->survey.counts;

	return counts[JOB_RUNNING] || counts[JOB_QUEUED] || counts[JOB_PAUSED];
}

/* " s1 s3": the sweeps that have paused jobs; allocated. */
static char *paused_sweeps(const struct watch *w)
{
	char *sweeps = xstrdup("");
	int64_t last = 0;

	for (size_t i = 0; i < w->sel.n_parts; i++) {
		size_t counts[N_JOB_STATES] = {0};
		int64_t sweep = w->sel.parts[i].sweep;
		if (sweep != last && reader_count(w->reader, &w->sel.parts[i], counts, NULL) == 0 && counts[JOB_PAUSED])
			text_append(&sweeps, " s%lld", (long long)(last = sweep));
	}
	return sweeps;
}

/* Says once what a person must do before anything can happen again. */
static void say_paused(struct watch *w)
{
	const size_t *counts = w->survey.counts;
	size_t n = counts[JOB_PAUSED];
	bool stuck = n && !counts[JOB_RUNNING] && !counts[JOB_QUEUED];

	if (stuck && !w->said_paused && w->lines) {
		autofree char *sweeps = paused_sweeps(w);
		fprintf(stderr, "%zu job%s paused; `sweepctl resume%s` lets %s go on\n", n, n == 1 ? " is" : "s are",
			sweeps, n == 1 ? "it" : "them");
	}
	w->said_paused = stuck;
}

/* Reads what the selected jobs are doing and where the log of events stands, at one instant. */
static int load(struct watch *w, const struct words *targets, struct err *err)
{
	struct event_row newest = {0};
	int e = reader_begin(w->reader, err);

	if (e == 0)
		e = selection_init(&w->sel, w->reader, err);
	if (e == 0)
		e = selection_name_all(&w->sel, w->reader, targets->items, targets->n, true, err);
	if (e == 0)
		e = reader_newest_event(w->reader, &newest, err);
	if (e == 0)
		e = watch_refresh(w, err);
	if (e == 0 && !w->lines)
		e = reader_devices(w->reader, &w->devices, &w->n_devices, err);
	reader_end(w->reader);
	w->last_event = newest.id;
	for (size_t i = 0; i < w->survey.n_jobs; i++)
		watch_remember(w, &w->survey.jobs[i]);
	return e;
}

static const struct job_row *find_running(const struct watch *w, int64_t job)
{
	for (size_t i = 0; i < w->survey.n_jobs; i++)
		if (w->survey.jobs[i].id == job)
			return &w->survey.jobs[i];
	return NULL;
}

/* The place for what is said of a job. */
static struct live *live_of(struct watch *w, int64_t job)
{
	for (size_t i = 0; i < w->n_live; i++)
		if (w->live[i].job == job)
			return &w->live[i];
	w->live = xrealloc_array(w->live, w->n_live + 1, sizeof(w->live[0]));
	w->live[w->n_live] = (struct live){.job = job};
	return &w->live[w->n_live++];
}

static void take_progress(struct watch *w, const json_t *line)
{
	const struct job_row *job = find_running(w, json_int_or(line, "job", 0));
	double steps = json_num_or(line, "steps", 0);

	if (!job || steps <= 0)
		return;
	struct live *live = live_of(w, job->id);
	/* How much of an epoch is testing is known from the last one. */
	double testing = job->epoch && job->last_seconds > 0 ? job->last_test_seconds / job->last_seconds : 0;
	double part = json_num_or(line, "step", 0) / steps;
	live->epoch = (int)json_int_or(line, "epoch", 0);
	if (str_eq(json_str_or(line, "phase", "train"), "test")) {
		live->part = 1 - testing + testing * part;
	} else {
		live->part = (1 - testing) * part;
		live->images_per_second = json_num_or(line, "images_per_second", NAN);
	}
}

/* Connects and asks for the stream. */
static int join(struct watch *w, struct err *err)
{
	autojson json_t *request = json_pack("{ss}", "verb", "watch");
	autojson json_t *answer = NULL;
	int e = client_connect(&w->client, &w->ctl->paths, err);

	if (e < 0)
		return e;
	e = client_send(&w->client, request, err);
	if (e == 0)
		e = client_wait(&w->client, CLIENT_SILENCE_MS, &answer, err);
	if (e == 0 && !json_bool_or(answer, "ok", false))
		e = err_set(err, -EACCES, "%s", json_str_or(answer, "error", "sweepd refused"));
	if (e < 0)
		client_close(&w->client);
	return e;
}

static void daemon_gone(struct watch *w)
{
	client_close(&w->client);
	w->gone_ms = wall_ms();
	if (w->lines)
		fputs("sweepd is gone; waiting for it (workers go on)\n", stderr);
}

/* Reads what the stream has; true when the store has news. */
static bool read_stream(struct watch *w, bool *redraw)
{
	bool news = false;
	json_t *line;
	int e;

	while (w->client.fd >= 0 && (e = client_poll(&w->client, &line, NULL)) != 0) {
		*redraw = true;
		if (e < 0) {
			daemon_gone(w);
			break;
		}
		if (str_eq(json_str_or(line, "type", ""), "event"))
			news = true;
		else
			take_progress(w, line);
		json_decref(line);
	}
	return news;
}

static bool reconnect(struct watch *w)
{
	if (join(w, NULL) < 0)
		return false;
	w->gone_ms = 0;
	if (w->lines)
		fputs("sweepd is back\n", stderr);
	return true;
}

enum leave { STAY, LEAVE_KEY, LEAVE_SIGNAL, LEAVE_TIMEOUT };

/* Ctrl-Z: the terminal is the shell's while we are stopped. */
static void suspend(struct watch *w)
{
	screen_leave(&w->ctl->out);
	raise(SIGSTOP);
	screen_enter(&w->ctl->out);
	screen_resized(&w->ctl->out);
}

static enum leave take_signal(struct watch *w, int fd)
{
	struct signalfd_siginfo info;

	if (read(fd, &info, sizeof(info)) != sizeof(info))
		return STAY;
	if (info.ssi_signo == SIGWINCH)
		screen_resized(&w->ctl->out);
	else if (info.ssi_signo == SIGTSTP)
		suspend(w);
	else
		return LEAVE_SIGNAL;
	return STAY;
}

static enum leave take_keys(struct screen *s)
{
	char keys[64];
	ssize_t n = read(STDIN_FILENO, keys, sizeof(keys));

	if (n <= 0)
		s->keys = false;
	return n > 0 && memchr(keys, 'q', (size_t)n) ? LEAVE_KEY : STAY;
}

static int open_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

struct times { /* monotonic seconds */
	double drawn, tried;
};

/* How long the loop may wait. */
static int wait_ms(const struct watch *w, const struct times *t, bool news)
{
	double now = monotonic_s(), until = w->lines && !news ? now + 3600 : t->drawn + (news ? DRAW_S : TICK_S);

	if (w->client.fd < 0)
		until = MIN(until, t->tried + RECONNECT_S);
	until = MIN(until, w->deadline_s);
	return until > now ? (int)((until - now) * 1000) + 1 : 0;
}

/* Store and picture, when they are due.  The store is read no more often than it is shown. */
static int update(struct watch *w, struct times *t, bool *news, bool *redraw, struct err *err)
{
	double now = monotonic_s();

	if (w->client.fd < 0 && now - t->tried >= RECONNECT_S) {
		t->tried = now;
		*news |= reconnect(w);
	}
	if (now - t->drawn < DRAW_S || (!*news && !*redraw && now - t->drawn < TICK_S))
		return 0;
	if (*news) {
		int e = watch_catch_up(w, err);
		if (e < 0 && e != -EBUSY)
			return e;
		*news = e == -EBUSY;
	}
	t->drawn = now;
	*redraw = false;
	if (!w->lines)
		watch_draw(w);
	return 0;
}

static int follow(struct watch *w, enum leave *ret_leave, struct err *err)
{
	autoclose int signals = w->lines ? -1 : open_signals();
	struct times t = {0};
	bool news = true, redraw = true;

	t.tried = monotonic_s();
	for (;;) {
		/* Not only after poll() says so: lines may have come together with the answer to `watch`. */
		news |= read_stream(w, &redraw);
		int e = update(w, &t, &news, &redraw, err);
		if (e < 0 || (!news && !something_left(w)))
			return e;
		if (!news)
			say_paused(w);
		if (monotonic_s() >= w->deadline_s) {
			*ret_leave = LEAVE_TIMEOUT;
			return 0;
		}
		struct pollfd p[3] = {
			{.fd = signals, .events = POLLIN},
			{.fd = !w->lines && w->ctl->out.keys ? STDIN_FILENO : -1, .events = POLLIN},
			{.fd = w->client.fd, .events = POLLIN},
		};
		if (poll(p, 3, wait_ms(w, &t, news || redraw)) < 0 && errno != EINTR)
			return err_sys(err, -errno, "poll");
		if (p[0].revents && (*ret_leave = take_signal(w, signals)) != STAY)
			return 0;
		if (p[1].revents && (*ret_leave = take_keys(&w->ctl->out)) != STAY)
			return 0;
		redraw |= p[0].revents != 0;
	}
}

/* Follows to the end, on a terminal with its settings put back afterwards. */
static int follow_on_screen(struct watch *w, struct err *err)
{
	struct screen *s = &w->ctl->out;
	enum leave leave = STAY;

	if (!w->lines)
		screen_enter(s);
	int e = follow(w, &leave, err);
	if (!w->lines) {
		if (e == 0)
			watch_draw(w);
		screen_leave(s);
	}
	if (e < 0)
		return ctl_fail(w->ctl, e, err);
	if (leave == LEAVE_KEY || leave == LEAVE_SIGNAL)
		fputs("left; training goes on. back: sweepctl watch\n", stderr);
	if (leave == LEAVE_TIMEOUT)
		fputs("error: the time is up, training goes on\n", stderr);
	return leave == LEAVE_SIGNAL ? EXIT_INTERRUPTED : leave == LEAVE_TIMEOUT ? EXIT_TIMEOUT : EXIT_OK;
}

static int outcome(const struct watch *w)
{
	return w->survey.counts[JOB_FAILED] || w->survey.counts[JOB_CANCELLED] ? EXIT_BAD_OUTCOME : EXIT_OK;
}

static int watch(struct watch *w, const struct watch_input *input)
{
	struct err err;
	int e = load(w, &input->targets, &err);

	if (e < 0)
		return ctl_fail(w->ctl, e, &err);
	if (!w->survey.n) {
		if (!w->sel.missing)
			fputs("no sweeps yet. do this: sweepctl submit FILE\n", stderr);
		return w->sel.missing ? EXIT_NO_SUCH : EXIT_OK;
	}
	if (w->lines && !w->quiet)
		e = watch_say_sweeps(w, &err);
	bool over = !something_left(w);
	if (e == 0 && !over)
		e = join(w, &err);
	if (e < 0)
		return ctl_fail(w->ctl, e, &err);
	int code = follow_on_screen(w, &err);
	if (w->lines && !w->quiet && !over && code == EXIT_OK && (e = watch_say_sweeps(w, &err)) < 0)
		return ctl_fail(w->ctl, e, &err);
	if (code == EXIT_OK && input->exit_status && !something_left(w))
		code = outcome(w);
	return code == EXIT_OK && w->sel.missing ? EXIT_NO_SUCH : code;
}

int watch_run(struct ctl *ctl, const struct watch_input *input)
{
	struct watch w = {.ctl = ctl, .client = {.fd = -1}, .interval_s = input->interval_s, .quiet = input->quiet};
	struct err err;
	int code;

	w.deadline_s = input->timeout_s > 0 ? monotonic_s() + input->timeout_s : INFINITY;
	w.lines = !ctl->out.terminal || ctl->json || input->quiet;
	int e = reader_open(&w.reader, &ctl->paths, &err);
	code = e < 0 ? ctl_fail(ctl, e, &err) : watch(&w, input);
	client_close(&w.client);
	device_rows_free(w.devices, w.n_devices);
	selection_fini(&w.sel);
	survey_fini(&w.survey);
	job_rows_free(w.page, w.n_page);
	free(w.live);
	free(w.seen);
	free(w.news);
	reader_close(w.reader);
	return code;
}

int watch_target(struct ctl *ctl, const char *target)
{
	char *words[] = {(char *)target};
	struct watch_input input = {.targets = {words, 1}, .interval_s = 10};

	return watch_run(ctl, &input);
}

static int run(struct ctl *ctl, void *data)
{
	return watch_run(ctl, data);
}

const struct verb verb_watch = {
	.name = "watch",
	.args = "[TARGET...]",
	.line = "follow sweeps while they run",
	.group = "Follow",
	.example = "sweepctl watch s1 --exit-status",
	.input_size = sizeof(struct watch_input),
	.argp = &argp,
	.exits = EXITS(EXIT_BAD_OUTCOME, EXIT_NO_DAEMON, EXIT_NO_SUCH, EXIT_PERMISSION, EXIT_INTERRUPTED),
	.run = run,
};
