/* sweep-worker: trains one job at a time on one device.
 *
 * Started by sweepd (--socket) it serves jobs for its whole life; with --standalone it trains one configuration. */
#include "devices.h"
#include "inspect.h"
#include "link.h"
#include "manual.h"
#include "standalone.h"

#include "common/protocol.h"

#include <argp.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

struct options {
	struct link_config link;
	struct standalone_config standalone;
	const char *backend, *weights;
	bool alone, devices, json;
	int threads, slots;
	const char **overrides;
};

enum { OPT_SOCKET = 256, OPT_TOKEN, OPT_WORKER, OPT_DEVICE, OPT_ORPHAN, OPT_ALONE, OPT_OVERRIDE, OPT_DATA, OPT_BACKEND,
       OPT_DIR, OPT_RESUME, OPT_THREADS, OPT_MANUAL, OPT_DEVICES, OPT_WEIGHTS, OPT_JSON, OPT_SLOTS };

static const struct argp_option option_table[] = {
	{0, 0, 0, 0, "One configuration by hand:", 1},
	{"standalone", OPT_ALONE, 0, 0, "Train the configuration of --config and print its events", 0},
	{"config", 'c', "FILE", 0, "Training parameters, JSON or YAML", 0},
	{"override", OPT_OVERRIDE, "KEY=VALUE", 0, "Set one parameter; wins over the file", 0},
	{"dir", OPT_DIR, "DIR", 0, "Checkpoints, events and log go there (default: sweep-worker-run)", 0},
	{"data", OPT_DATA, "DIR", 0, "Look for the data set there first", 0},
	{"resume", OPT_RESUME, 0, 0, "Go on from DIR/last.safetensors", 0},
	{0, 0, 0, 0, "What there is:", 2},
	{"devices", OPT_DEVICES, 0, 0, "List what this machine could train on, and why not on the rest", 0},
	{"weights", OPT_WEIGHTS, "FILE", 0, "What a file of weights holds (.pth, .safetensors), and which networks it fits", 0},
	{"json", OPT_JSON, 0, 0, "One of these as one line of JSON", 0},
	{0, 0, 0, 0, "Common:", 3},
	{"device", OPT_DEVICE, "ID", 0, "Train on it: cpu, cpu:N (one of several on it), cuda:N or a GPU's UUID", 0},
	{"backend", OPT_BACKEND, "NAME", 0, "cpu (oneDNN), cuda or ref (slow, exact; the specification)", 0},
	{"threads", OPT_THREADS, "N", 0, "Threads of the training (default: the cores this process may use)", 0},
	{0, 0, 0, 0, "As sweepd starts it:", 4},
	{"socket", OPT_SOCKET, "PATH", 0, "sweepd's worker socket", 0},
	{"token-file", OPT_TOKEN, "FILE", 0, "Holds the token that sweepd expects", 0},
	{"worker", OPT_WORKER, "N", 0, "sweepd's number for this worker", 0},
	{"slots", OPT_SLOTS, "N", 0, "Jobs at a time; they share the device and --threads (default: 1)", 0},
	{"orphan-timeout", OPT_ORPHAN, "SECONDS", 0, "Without sweepd so long: checkpoint and end (default: 86400)", 0},
	{"manual", OPT_MANUAL, 0, OPTION_HIDDEN, 0, 0}, /* the build makes sweep-worker(1) with it */
	{0},
};

static long parse_count(const char *arg, const char *what, struct argp_state *state)
{
	char *end;
	errno = 0;
	long n = strtol(arg, &end, 10);
	if (errno || *end || end == arg || n < 1 || n > 1000000000)
		argp_error(state, "%s: expected a whole number from 1, not \"%s\"", what, arg);
	return n;
}

/* "cpu", or one of several workers that share it: "cpu:0". */
static bool is_cpu_place(const char *id)
{
	if (strncmp(id, "cpu", 3) != 0)
		return false;
	return !id[3] || (id[3] == ':' && id[4] && strspn(id + 4, "0123456789") == strlen(id + 4));
}

static bool is_gpu(const char *id)
{
	if (strncmp(id, "cuda:", 5) == 0)
		return id[5] && strspn(id + 5, "0123456789") == strlen(id + 5);
	return strncmp(id, "GPU-", 4) == 0 || strncmp(id, "MIG-", 4) == 0;
}

/* Which options go with which. */
static void check_together(const struct options *o, struct argp_state *state)
{
	if (o->devices || o->weights)
		return;
	if (o->json)
		argp_error(state, "--json goes with --devices or --weights");
	if (o->backend && o->link.device_id && is_gpu(o->link.device_id) != str_eq(o->backend, "cuda"))
		argp_error(state, "--backend %s does not train on %s", o->backend, o->link.device_id);
	if (o->alone && !o->standalone.config_file)
		argp_error(state, "--standalone needs --config FILE");
	if (o->alone && o->slots > 1)
		argp_error(state, "--standalone trains one job; --slots goes with --socket");
	if (!o->alone && (!o->link.socket_path || !o->link.token_file || !o->link.worker))
		argp_error(state, "expected --standalone --config FILE, or --socket, --token-file and --worker");
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case OPT_MANUAL:
		manual_print(option_table);
		exit(EXIT_OK);
	case OPT_ALONE:
		o->alone = true;
		break;
	case 'c':
		o->standalone.config_file = arg;
		break;
	case OPT_OVERRIDE:
		o->overrides[o->standalone.n_overrides++] = arg;
		break;
	case OPT_DIR:
		o->standalone.job_dir = arg;
		break;
	case OPT_DATA:
		o->standalone.data_dir = arg;
		break;
	case OPT_RESUME:
		o->standalone.resume = true;
		break;
	case OPT_BACKEND:
		o->backend = arg;
		break;
	case OPT_THREADS:
		o->threads = (int)parse_count(arg, "--threads", state);
		break;
	case OPT_DEVICES:
		o->devices = true;
		break;
	case OPT_WEIGHTS:
		o->weights = arg;
		break;
	case OPT_JSON:
		o->json = true;
		break;
	case OPT_SOCKET:
		o->link.socket_path = arg;
		break;
	case OPT_TOKEN:
		o->link.token_file = arg;
		break;
	case OPT_WORKER:
		o->link.worker = parse_count(arg, "--worker", state);
		break;
	case OPT_DEVICE:
		if (!is_cpu_place(arg) && !is_gpu(arg))
			argp_error(state, "--device: expected cpu, cpu:N, cuda:N or a GPU's UUID, not \"%s\"", arg);
		if (is_gpu(arg) && !backend_find("cuda"))
			argp_error(state, "--device %s: this build trains on the CPU only", arg);
		o->link.device_id = arg;
		break;
	case OPT_SLOTS:
		o->slots = (int)parse_count(arg, "--slots", state);
		if (o->slots > SLOTS_MAX)
			argp_error(state, "--slots: at most %d", SLOTS_MAX);
		break;
	case OPT_ORPHAN:
		o->link.orphan_timeout_s = (double)parse_count(arg, "--orphan-timeout", state);
		break;
	case ARGP_KEY_END:
		check_together(o, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static void print_version(FILE *f, struct argp_state *state)
{
	(void)state;
	fprintf(f, "sweep-worker %s backends:%s%s%s\n", SWEEPD_VERSION, backend_find("ref") ? " ref" : "",
		backend_find("cpu") ? " cpu" : "", backend_find("cuda") ? " cuda" : "");
}
void (*argp_program_version_hook)(FILE *, struct argp_state *) = print_version;

/* Spinning threads of a waiting team take the cores from the loader threads.  libgomp reads this when it is loaded, so
 * the program starts itself again with it. */
static void ensure_passive_waiting(char **argv)
{
	if (getenv("OMP_WAIT_POLICY"))
		return;
	setenv("OMP_WAIT_POLICY", "passive", 1);
	char self[PATH_MAX]; /* its name, so that ps does not show "exe" */
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n > 0) {
		self[n] = '\0';
		execv(self, argv);
	}
}

static int list_devices(bool json)
{
	autojson json_t *found = devices_find();
	autofree char *line = json_line(found);
	if (json)
		puts(line);
	else
		devices_print(found, stdout);
	return EXIT_OK;
}

static int usable_cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* Each says what the other is where it was not given. */
static void choose_device(struct options *o)
{
	const char *id = o->link.device_id;
	if (!o->backend && id && !is_cpu_place(id))
		o->backend = "cuda";
	if (!o->backend)
		o->backend = backend_find("cpu") ? "cpu" : "ref";
	if (!id)
		o->link.device_id = str_eq(o->backend, "cuda") ? "cuda:0" : "cpu";
}

static int serve(const struct options *o, const struct slot_device *devices)
{
	struct err err;
	if (o->alone)
		return standalone_run(&o->standalone, devices);
	if (link_serve(&o->link, devices, o->slots, &err) == 0)
		return EXIT_OK;
	fprintf(stderr, "error: %s\n", err.text);
	return EXIT_BAD_OUTCOME;
}

/* A handle on the device for each slot, with its share of the threads. */
static int open_devices(const struct options *o, struct slot_device devices[SLOTS_MAX], struct err *err)
{
	int threads = MAX((o->threads ? o->threads : usable_cores()) / o->slots, 1);
	struct device_spec spec = {.threads = threads, .id = o->link.device_id};
	for (int i = 0; i < o->slots; i++) {
		devices[i] = (struct slot_device){.backend = backend_find(o->backend), .threads = threads};
		int r = devices[i].backend->open(&devices[i].device, &spec, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {option_table, parse_option, 0,
					 "Trains image classifiers: jobs from sweepd, or one by hand.", 0, 0, 0};
	ensure_passive_waiting(argv);
	signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of the write */
	autofree const char **overrides = xcalloc((size_t)argc, sizeof(*overrides));
	struct options o = {
		.link = {.orphan_timeout_s = ORPHAN_TIMEOUT_S},
		.standalone = {.job_dir = "sweep-worker-run", .overrides = overrides},
		.overrides = overrides,
		.slots = 1,
	};
	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.devices)
		return list_devices(o.json);
	if (o.weights)
		return inspect_weights(o.weights, o.json);
	choose_device(&o);
	struct err err;
	struct slot_device devices[SLOTS_MAX] = {0};
	if (!backend_find(o.backend)) {
		fprintf(stderr, "error: no backend \"%s\" in this build\n", o.backend);
		return EXIT_USAGE;
	}
	int code = EXIT_BAD_OUTCOME;
	if (open_devices(&o, devices, &err) < 0)
		fprintf(stderr, "error: %s\n", err.text);
	else
		code = serve(&o, devices);
	for (int i = 0; i < SLOTS_MAX; i++)
		if (devices[i].device)
			devices[i].backend->close(devices[i].device);
	return code;
}
