/* sweepctl doctor: whether training can run here, and what to do if not; see doctor.h. */
#include "ctl/doctor.h"
#include "ctl/format.h"
#include "ctl/launch.h"
#include "common/datasets.h"
#include "common/params.h"

static const char *const health_names[] = {"ok", "warn", "fail", "none"};

void doctor_add(struct doctor *d, enum health health, const char *name, const char *do_this, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	autofree char *text = xvasprintf(fmt, ap);
	va_end(ap);
	autofree char *clean = text_clean_lines(text);
	d->counts[health]++;
	json_array_append_new(d->checks, json_pack("{ss, ss, ss, ss?}", "name", name, "health", health_names[health],
						   "text", clean, "do_this", do_this));
}

void doctor_add_err(struct doctor *d, enum health health, const char *name, const char *do_this, const struct err *err)
{
	const char *mark = "\n  do this:", *hint = strstr(err->text, mark);
	autofree char *told = hint ? xstrdup(hint + strlen(mark) + strspn(hint + strlen(mark), " ")) : NULL;
	size_t size = hint ? (size_t)(hint - err->text) : strlen(err->text);

	doctor_add(d, health, name, told ? told : do_this, "%.*s", (int)size, err->text);
}

/* Every data set there is a name for; without any of them nothing can be trained.  Where each was looked for and how to
 * get it is told to the sweep that wants it. */
static void check_data(struct doctor *d)
{
	const struct param *p = param_find("dataset");
	autofree char *missing = NULL;
	char name[64];
	int found = 0;

	for (int i = 0; p && param_choice(p, i, name, sizeof(name)); i++) {
		autofree char *dir = NULL;
		if (datasets_find(name, NULL, &dir, NULL) < 0) {
			text_append(&missing, "%s%s", missing ? ", " : "", name);
			continue;
		}
		autofree char *shown = format_path(dir);
		doctor_add(d, HEALTH_OK, "data", NULL, "%s, %s", name, shown);
		found++;
	}
	if (missing)
		doctor_add(d, HEALTH_NONE, "data", "sweepctl dataset fetch NAME",
			   "not on this machine: %s", missing);
	if (!found)
		doctor_add(d, HEALTH_FAIL, "data", "sweepctl dataset fetch cifar100", "no data set at all");
}

/* --- the answer on a screen --- */

#define INDENT 16
#define WIDTH  80

/* Words of one line of text, broken at the width; the first line begins behind the mark and the name. */
static void print_words(const char *line, size_t size, int width)
{
	int at = INDENT;

	for (size_t i = 0; i < size;) {
		size_t n = strcspn(line + i, " \n");
		n = MIN(n, size - i);
		int columns = (int)text_columns(line + i, n);
		if (at > INDENT && at + 1 + columns > width) {
			printf("\n%*s", INDENT, "");
			at = INDENT;
		} else if (at > INDENT) {
			putchar(' ');
			at++;
		}
		printf("%.*s", (int)n, line + i);
		at += columns;
		i += n + (i + n < size);
	}
	putchar('\n');
}

/* "[ok]   store    text", further lines under the text.  What is to be typed is never broken. */
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
	int width = ctl->out.columns > 40 ? ctl->out.columns : WIDTH;
	size_t i = 0;

	while (!str_eq(marks[i].health, json_str_or(check, "health", "none")))
		i++;
	printf("%s%s%s%*s %-8s ", tone_on(&ctl->out, marks[i].tone), marks[i].mark, tone_off(&ctl->out, marks[i].tone),
	       (int)(6 - strlen(marks[i].mark)), "", json_str_or(check, "name", ""));
	for (;;) {
		size_t size = strcspn(text, "\n");
		print_words(text, size, width);
		if (!text[size])
			break;
		text += size + 1;
		text += strspn(text, " ");
		printf("%*s", INDENT, "");
	}
	if (do_this)
		printf("%*sdo this: %s\n", INDENT, "", do_this);
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
		print_json(json_pack("{ss, ss, ss, ss, si, sf, sb, sO, sO?}", "version", SWEEPD_VERSION, "os", m->os,
				     "arch", m->arch, "cpu", m->cpu, "cores", m->cores, "ram_mib",
				     m->ram_bytes / 1048576, "can_train", d->counts[HEALTH_FAIL] == 0, "checks",
				     d->checks, "worker", d->found));
	else
		print_text(d);
}

static void ask_worker(struct doctor *d)
{
	d->worker = find_program("sweep-worker", "worker");
	if (!d->worker)
		return;
	char *version[] = {d->worker, "--version", NULL}, *devices[] = {d->worker, "--devices", "--json", NULL};
	d->worker_version = program_output(version);
	autofree char *json = d->worker_version ? program_output(devices) : NULL;
	d->found = json ? json_parse(json, strlen(json), NULL) : NULL;
	if (d->worker_version)
		d->worker_version[strcspn(d->worker_version, "\n")] = 0;
}

static int run(struct ctl *ctl, void *input)
{
	struct doctor d = {.ctl = ctl, .checks = json_array()};

	machine_read(&d.machine);
	ask_worker(&d);
	doctor_daemon(&d);
	doctor_store(&d);
	doctor_rights(&d);
	doctor_worker(&d);
	doctor_cpu(&d);
	doctor_gpus(&d);
	doctor_libraries(&d);
	doctor_sandbox(&d);
	doctor_limits(&d);
	check_data(&d);
	doctor_wandb(&d);
	print_report(&d);
	free(d.worker);
	free(d.worker_version);
	json_decref(d.found);
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
