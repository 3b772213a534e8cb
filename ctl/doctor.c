/* sweepctl doctor: whether training can run here, and what to do if not. */
#include "ctl/ctl.h"
#include "ctl/format.h"
#include "ctl/launch.h"
#include "ctl/machine.h"
#include "common/clock.h"
#include "common/datasets.h"
#include "common/json.h"
#include "common/params.h"

#include <sys/stat.h>
#include <unistd.h>

enum health { HEALTH_OK, HEALTH_WARN, HEALTH_FAIL, HEALTH_NONE };
static const char *const health_names[] = {"ok", "warn", "fail", "none"};

struct doctor {
	struct ctl *ctl;
	struct machine machine;
	char *worker; /* path of sweep-worker, or NULL */
	char *worker_version;
	json_t *checks; /* [{name, health, text, do_this?}] */
	int counts[4];
};

/* One line of the answer; do_this may be NULL. */
static void add(struct doctor *d, enum health health, const char *name, const char *do_this, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
static void add(struct doctor *d, enum health health, const char *name, const char *do_this, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	d->counts[health]++;
	json_array_append_new(d->checks, json_pack("{ss, ss, ss, ss?}", "name", name, "health", health_names[health],
						   "text", text, "do_this", do_this));
}

static void check_daemon(struct doctor *d)
{
	autojson json_t *answer = NULL;
	const struct paths *paths = &d->ctl->paths;
	struct err err;
	char up[FORMAT_MAX];
	int e = client_ask(paths, json_pack("{ss}", "verb", "status"), CLIENT_SILENCE_MS, &answer, &err);

	if (e == 0 && json_bool_or(answer, "ok", false))
		add(d, HEALTH_OK, "daemon", NULL, "%s, pid %lld, up %s",
		    paths->system ? "the system's" : "private (yours)", (long long)json_int_or(answer, "pid", 0),
		    format_span((double)(wall_ms() - json_int_or(answer, "started_ms", 0)) / 1000, up));
	else if (e == -ENOTCONN)
		add(d, HEALTH_NONE, "daemon", paths->system ? "sudo systemctl start sweepd" : "sweepctl daemon start",
		    "not running");
	else if (e == -EACCES)
		add(d, HEALTH_FAIL, "daemon", paths->system ? "sudo adduser $USER sweepd, then log in again" : NULL,
		    "%s", err.text);
	else
		add(d, HEALTH_FAIL, "daemon", NULL, "%s", e < 0 ? err.text : json_str_or(answer, "error", "refuses"));
}

/* The device lines are the daemon's: what it set aside it says why. */
static void check_devices(struct doctor *d, struct reader *r)
{
	struct device_row *rows = NULL;
	size_t n = 0;

	if (reader_devices(r, &rows, &n, NULL) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (str_eq(rows[i].state, "set_aside"))
			add(d, HEALTH_WARN, rows[i].id, NULL, "set aside: %s",
			    rows[i].reason ? rows[i].reason : "no reason");
	device_rows_free(rows, n);
}

static void check_store(struct doctor *d)
{
	const struct paths *paths = &d->ctl->paths;
	autofree char *shown = format_path(paths->db);
	struct file_system fs;
	struct reader *r = NULL;
	struct err err;
	struct stat st;
	char size[FORMAT_MAX], room[FORMAT_MAX];

	if (file_system_read(&fs, paths->state, &err) < 0) {
		add(d, HEALTH_FAIL, "store", NULL, "%s", err.text);
		return;
	}
	if (fs.network) {
		add(d, HEALTH_FAIL, "store", "export SWEEPD_DIR=/a/local/disk/sweepd",
		    "%s is on %s; SQLite's write-ahead log needs a local disk", shown, fs.name);
		return;
	}
	if (reader_open(&r, paths, &err) < 0) {
		add(d, HEALTH_FAIL, "store", NULL, "%s", err.text);
		return;
	}
	format_bytes(fs.free_bytes, room);
	if (stat(paths->db, &st) < 0) {
		if (can_create(paths->state))
			add(d, HEALTH_OK, "store", NULL, "%s, none yet, %s, %s free", shown, fs.name, room);
		else
			add(d, HEALTH_FAIL, "store", "export SWEEPD_DIR=DIR, a directory of yours",
			    "%s cannot be created: no permission", shown);
	} else {
		bool tight = fs.free_bytes < 1024.0 * 1024 * 1024;
		add(d, tight ? HEALTH_WARN : HEALTH_OK, "store", tight ? "free some space; checkpoints need it" : NULL,
		    "%s, %s, %s, %s free", shown, format_bytes((double)st.st_size, size), fs.name, room);
		check_devices(d, r);
	}
	reader_close(r);
}

static bool has_word(const char *text, const char *word)
{
	const char *at = text ? strstr(text, "backends:") : NULL;
	size_t size = strlen(word);

	for (at = at ? strstr(at, word) : NULL; at; at = strstr(at + 1, word))
		if (at[-1] == ' ' && (at[size] == ' ' || !at[size]))
			return true;
	return false;
}

static void check_worker(struct doctor *d)
{
	if (!d->worker)
		add(d, HEALTH_FAIL, "worker", "install sweep-worker beside sweepd", "sweep-worker is not there");
	else if (!d->worker_version)
		add(d, HEALTH_FAIL, "worker", "run it by hand: sweep-worker --version", "%s does not start", d->worker);
	else if (has_word(d->worker_version, "cpu") || has_word(d->worker_version, "cuda"))
		add(d, HEALTH_OK, "worker", NULL, "%s", d->worker_version);
	else
		add(d, HEALTH_WARN, "worker", "build with oneDNN (libdnnl-dev)",
		    "%s: the plain reference only, very slow", d->worker_version);
}

static void check_cpu(struct doctor *d)
{
	const struct machine *m = &d->machine;
	const char *amp = !has_word(d->worker_version, "cpu") ? "AMP off (no cpu backend)"
			  : m->bf16                           ? "AMP bf16"
							      : "AMP off (no AVX512-BF16 or AMX)";

	add(d, HEALTH_OK, "cpu", NULL, "%s, %d thread%s, %s\n%s", m->cpu[0] ? m->cpu : m->arch, m->cores,
	    m->cores == 1 ? "" : "s", m->isa, amp);
}

static void check_cuda(struct doctor *d)
{
	if (d->worker_version && !has_word(d->worker_version, "cuda"))
		add(d, HEALTH_NONE, "cuda", NULL, "this build has no CUDA backend; training uses the CPU");
}

/* Every data set there is a name for; without any of them nothing can be trained. */
static void check_data(struct doctor *d)
{
	const struct param *p = param_find("dataset");
	char name[64];
	int found = 0;

	for (int i = 0; p && param_choice(p, i, name, sizeof(name)); i++) {
		autofree char *dir = NULL;
		struct err err;
		if (datasets_find(name, NULL, &dir, &err) == 0) {
			autofree char *shown = format_path(dir);
			add(d, HEALTH_OK, "data", NULL, "%s, %s", name, shown);
			found++;
		} else {
			/* where it was looked for is told when a sweep wants it */
			const char *hint = strstr(err.text, "\n  do this:");
			add(d, HEALTH_NONE, "data", NULL, "%.*s%s", (int)strcspn(err.text, "\n"), err.text,
			    hint ? hint : "");
		}
	}
	if (!found)
		add(d, HEALTH_FAIL, "data", "sudo apt install dataset-fashion-mnist", "no data set at all");
}

/* "[ok]   store    text", further lines under the text. */
static void print_check(const struct ctl *ctl, const json_t *check)
{
	static const struct {
		const char *health, *mark;
		enum tone tone;
	} marks[] = {{"ok", "[ok]", TONE_GOOD},
		     {"warn", "[warn]", TONE_WARN},
		     {"fail", "[FAIL]", TONE_BAD},
		     {"none", "[--]", TONE_PLAIN}};
	const char *text = json_str_or(check, "text", ""), *do_this = json_str_or(check, "do_this", NULL);
	size_t i = 0;

	while (!str_eq(marks[i].health, json_str_or(check, "health", "none")))
		i++;
	printf("%s%s%s%*s %-8s ", tone_on(&ctl->out, marks[i].tone), marks[i].mark, tone_off(&ctl->out, marks[i].tone),
	       (int)(6 - strlen(marks[i].mark)), "", json_str_or(check, "name", ""));
	for (;;) {
		size_t size = strcspn(text, "\n");
		printf("%.*s\n", (int)size, text);
		if (!text[size])
			break;
		text += size + 1;
		text += strspn(text, " ");
		fputs("                ", stdout);
	}
	if (do_this)
		printf("                do this: %s\n", do_this);
}

static void print_text(const struct doctor *d)
{
	const struct machine *m = &d->machine;
	char ram[FORMAT_MAX];
	size_t i;
	json_t *check;

	printf("sweepd %s, %s, %s, %d core%s, %s RAM\n", SWEEPD_VERSION, m->os, m->arch, m->cores,
	       m->cores == 1 ? "" : "s", format_bytes(m->ram_bytes, ram));
	json_array_foreach(d->checks, i, check) print_check(d->ctl, check);
	if (d->counts[HEALTH_FAIL])
		printf("%d failure%s. Training cannot run until [FAIL] is fixed.\n", d->counts[HEALTH_FAIL],
		       d->counts[HEALTH_FAIL] == 1 ? "" : "s");
	else
		printf("Training can run, %d warning%s.\n", d->counts[HEALTH_WARN],
		       d->counts[HEALTH_WARN] == 1 ? "" : "s");
}

static void print_report(const struct doctor *d)
{
	const struct machine *m = &d->machine;

	if (d->ctl->json)
		print_json(json_pack("{ss, ss, ss, ss, si, sf, sb, sO}", "version", SWEEPD_VERSION, "os", m->os, "arch",
				     m->arch, "cpu", m->cpu, "cores", m->cores, "ram_mib", m->ram_bytes / 1048576,
				     "can_train", d->counts[HEALTH_FAIL] == 0, "checks", d->checks));
	else
		print_text(d);
}

static int run(struct ctl *ctl, void *input)
{
	struct doctor d = {.ctl = ctl, .checks = json_array()};

	machine_read(&d.machine);
	d.worker = find_program("sweep-worker", "worker");
	d.worker_version = d.worker ? program_version(d.worker) : NULL;
	check_daemon(&d);
	check_store(&d);
	check_worker(&d);
	check_cpu(&d);
	check_cuda(&d);
	check_data(&d);
	print_report(&d);
	free(d.worker);
	free(d.worker_version);
	json_decref(d.checks);
	return d.counts[HEALTH_FAIL] ? EXIT_BAD_OUTCOME : EXIT_OK;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.line = "whether training can run here; what to do if not",
	.group = "Machine",
	.example = "sweepctl doctor",
	.exits = EXITS(EXIT_BAD_OUTCOME),
	.run = run,
};
