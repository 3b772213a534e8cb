/* See standalone.h. */
#include "standalone.h"

#include "common/doc.h"
#include "common/fs.h"
#include "common/json.h"
#include "common/protocol.h"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

static void set_param(json_t *object, const char *key, struct mark mark, const struct node *value, struct findings *f)
{
	struct err err;
	const struct param *p = param_find(key);
	autojson json_t *v = node_json(value);
	if (!p) {
		const char *near = param_nearest(key);
		findings_add(f, mark, "unknown parameter \"%s\"\n  expected: a training parameter (sweepctl params)%s%s%s", key,
			     near ? "\n  do this:  write \"" : "", near ? near : "", near ? "\"" : "");
	} else if (param_check(p, v, &err) < 0) {
		findings_add(f, value->mark, "%s", err.text);
	} else {
		json_object_set(object, key, v);
	}
}

static void set_override(json_t *object, const char *text, struct findings *f)
{
	const char *equals = strchr(text, '=');
	if (!equals) {
		findings_add(f, (struct mark){0}, "--override %s: expected key=value", text);
		return;
	}
	autofree char *key = xasprintf("%.*s", (int)(equals - text), text);
	struct node *value = node_scalar(equals + 1);
	if (value)
		set_param(object, key, (struct mark){0}, value, f);
	else
		findings_add(f, (struct mark){0}, "--override %s: expected one value", text);
	node_free(value);
}

static void read_params(json_t *object, const char *text, size_t size, struct findings *f)
{
	struct node *root = doc_parse(text, size, f);
	struct mark mark;
	bool is_map = root && root->kind == NODE_MAP, is_sweep = is_map && node_get(root, "parameters", &mark);
	if (root && !is_map)
		findings_add(f, root->mark, "expected a map of training parameters, found %s", node_kind_name(root));
	if (is_sweep)
		findings_add(f, mark, "this is a sweep file: sweepctl submit FILE runs it\n"
			     "  expected: one job's parameters");
	for (size_t i = 0; is_map && !is_sweep && i < root->n_items; i++)
		set_param(object, root->keys[i], root->key_marks[i], root->items[i], f);
	node_free(root);
}

/* The configuration as JSON, or NULL with everything that is wrong with it on stderr. */
static json_t *read_config(const struct standalone_config *config)
{
	struct err err;
	size_t size;
	struct findings f = {0};
	struct train_config checked;
	autofree char *text = NULL;
	autojson json_t *object = json_object();
	if (fs_read_file(config->config_file, DOC_MAX_BYTES, &text, &size, &err) < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		return NULL;
	}
	read_params(object, text, size, &f);
	for (size_t i = 0; i < config->n_overrides; i++)
		set_override(object, config->overrides[i], &f);
	if (f.n_errors == 0 && config_from_json(&checked, object, &err) < 0)
		findings_add(&f, (struct mark){0}, "%s", err.text);
	bool good = f.n_errors == 0;
	if (f.n_items) {
		autofree char *report = findings_print(&f, config->config_file, text);
		fputs(report, stderr);
	}
	findings_fini(&f);
	return good ? config_to_json(&checked) : NULL;
}

/* One more than the highest attempt that left an event file in the directory. */
static int64_t next_attempt(const char *job_dir)
{
	int64_t highest = 0;
	DIR *d = opendir(job_dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		long long n;
		if (sscanf(e->d_name, "events.%lld.jsonl", &n) == 1 && n > highest)
			highest = n;
	}
	if (d)
		closedir(d);
	return highest + 1;
}

/* A directory holds one run: another would mix with it, and overwrite its weights. */
static int check_dir(const struct standalone_config *config, int64_t attempt, struct err *err)
{
	autofree char *final = xasprintf("%s/final.safetensors", config->job_dir);
	if (config->resume && fs_exists(final))
		return err_set(err, -EEXIST, "the run in %s is finished\n  do this:  another --dir", config->job_dir);
	if (!config->resume && attempt > 1)
		return err_set(err, -EEXIST, "%s holds a run already\n  do this:  --resume to go on with it, or another --dir",
			       config->job_dir);
	return 0;
}

static void wake_eventfd(void *arg)
{
	uint64_t one = 1;
	ssize_t n = write(*(int *)arg, &one, sizeof(one));
	(void)n;
}

/* ret_code: set by an event that ends the run other than `done`. */
static off_t print_events(struct slot *slot, off_t from, int *ret_code)
{
	char buf[WORKER_LINE_MAX + 1];
	ssize_t n;
	while ((n = event_log_read(slot_events(slot), from, buf, WORKER_LINE_MAX)) > 0) {
		buf[n] = '\0';
		if (strstr(buf, "\"type\":\"failed\""))
			*ret_code = EXIT_BAD_OUTCOME;
		else if (strstr(buf, "\"type\":\"released\""))
			*ret_code = EXIT_INTERRUPTED;
		fwrite(buf, 1, (size_t)n, stdout);
		from += n;
	}
	fflush(stdout);
	return from;
}

static int wait_for_end(struct slot *slot, int wake_fd)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	autoclose int signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	off_t printed = 0;
	int code = EXIT_OK;
	for (bool training = true; training;) {
		struct pollfd fds[] = {{.fd = wake_fd, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
		poll(fds, ARRAY_LEN(fds), -1);
		uint64_t count;
		if (fds[0].revents && read(wake_fd, &count, sizeof(count)) < 0 && errno != EAGAIN)
			return 1;
		struct signalfd_siginfo signal;
		if (fds[1].revents && read(signal_fd, &signal, sizeof(signal)) > 0) {
			atomic_store(&slot_control(slot)->release, RELEASE_STOP);
			fputs("checkpoint at the next step, then end; --resume goes on\n", stderr);
		}
		training = slot_training(slot);
		printed = print_events(slot, printed, &code);
	}
	if (!event_log_ended(slot_events(slot))) {
		fputs("error: the end of the run cannot be recorded\n", stderr);
		return EXIT_BAD_OUTCOME;
	}
	return code;
}

static void block_signals(void)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

int standalone_run(const struct standalone_config *config, const struct slot_device *device)
{
	struct err err;
	autojson json_t *params_json = read_config(config);
	if (!params_json)
		return EXIT_REFUSED;
	int64_t attempt = next_attempt(config->job_dir);
	if (check_dir(config, attempt, &err) < 0) {
		fprintf(stderr, "error: %s\n", err.text);
		return EXIT_STATE;
	}
	autoclose int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (wake_fd < 0 || fs_mkdirs(config->job_dir, 0755, &err) < 0) {
		fprintf(stderr, "error: %s\n", wake_fd < 0 ? strerror(errno) : err.text);
		return EXIT_BAD_OUTCOME;
	}
	block_signals();
	struct slot *slot = slot_new(device, wake_eventfd, &wake_fd);
	autojson json_t *run = json_pack("{s:I, s:s, s:s?, s:O, s:b}", "attempt",
					 (json_int_t)attempt, "job_dir", config->job_dir,
					 "data_dir", config->data_dir, "config", params_json, "resume", config->resume);
	int code = EXIT_BAD_OUTCOME;
	if (slot_start(slot, run, &err) < 0)
		fprintf(stderr, "error: %s\n", err.text);
	else
		code = wait_for_end(slot, wake_fd);
	slot_free(slot);
	return code;
}
