/* How a job does in its tests: metrics, classes, confusions; see show.h. */
#include "ctl/show.h"
#include "ctl/ctl.h"
#include "ctl/text.h"

#include <math.h>

#define SHOWN_CLASSES 5
#define NAME_COLUMNS  16 /* of a class in the table */

int job_tests_read(struct job_tests *ret, struct reader *r, const struct paths *paths, int64_t job, struct err *err)
{
	struct err why;
	int e = reader_metrics(r, job, &ret->metrics, &ret->n_metrics, err);

	if (e < 0)
		return e;
	e = confusion_read(&ret->confusion, paths, job, &why);
	ret->has_confusion = e > 0;
	if (e < 0)
		ret->trouble = text_clean_lines(why.text);
	return 0;
}

void job_tests_fini(struct job_tests *t)
{
	metric_rows_free(t->metrics, t->n_metrics);
	confusion_matrix_fini(&t->confusion);
	free(t->trouble);
}

/* All metrics: those that every epoch has, then the others. */
static int all_metrics(const struct job_tests *t, struct reader *r, const struct job_row *job, struct metric_row **ret,
		       size_t *ret_n, struct err *err)
{
	size_t n = n_metric_columns + t->n_metrics;
	struct metric_row *all = xcalloc(n, sizeof(*all));

	for (size_t i = 0; i < n_metric_columns; i++) {
		const struct metric_column *m = &metric_columns[i];
		all[i].name = (char *)m->name;
		int e = reader_metric(r, job->id, m->name, m->maximize, &all[i].last, &all[i].best, &all[i].best_epoch,
				      err);
		if (e < 0) {
			free(all);
			return e;
		}
	}
	for (size_t i = 0; i < t->n_metrics; i++)
		all[n_metric_columns + i] = t->metrics[i];
	*ret = all;
	*ret_n = n;
	return 0;
}

/* Of a number that is neither an accuracy nor a loss nobody knows what is best. */
static bool has_best(const char *name)
{
	return strstr(name, "accuracy") || strstr(name, "loss");
}

static void print_metrics(const struct metric_row *all, size_t n)
{
	char last[FORMAT_MAX], best[FORMAT_MAX];
	int width = 15;

	for (size_t i = 0; i < n; i++)
		width = MAX(width, (int)MIN(text_columns(all[i].name, strlen(all[i].name)), (size_t)40));
	printf("  %-*s     last      best  epoch\n", width, "metric");
	for (size_t i = 0; i < n; i++) {
		const struct metric_row *m = &all[i];
		printf("  %-*s %8s", width, m->name, metric_text(m->name, m->last, last));
		if (has_best(m->name) && m->best_epoch)
			printf("  %8s  %5d", metric_text(m->name, m->best, best), m->best_epoch);
		putchar('\n');
	}
}

/* A class with its accuracy, in 24 columns. */
static void print_class(const struct confusion_matrix *c, size_t class)
{
	const char *name = c->names[class];
	size_t bytes = text_fit(name, NAME_COLUMNS - 1);

	printf("%.*s%*s%6.2f  ", (int)bytes, name, (int)(NAME_COLUMNS - text_columns(name, bytes)), "",
	       confusion_percent(c, class, class));
}

/* "12 cat for dog", behind the two lists. */
static void print_confused(const struct confusion_matrix *c, const struct screen *out, const struct confused *m)
{
	size_t room = out->columns ? (size_t)MAX(out->columns - 52, 10) : SIZE_MAX;
	autofree char *text = xasprintf("%u %s for %s", m->images, c->names[m->class], c->names[m->taken_for]);
	bool fits = text_columns(text, strlen(text)) <= room;

	printf("%.*s%s", (int)(fits ? strlen(text) : text_fit(text, room - 2)), text, fits ? "" : "..");
}

static void print_classes(const struct confusion_matrix *c, const struct screen *out)
{
	size_t n_ranked, n_most;
	autofree size_t *ranked = confusion_ranked(c, &n_ranked);
	autofree struct confused *most = confusion_most(c, SHOWN_CLASSES, &n_most);
	size_t rows = MIN((n_ranked + 1) / 2, (size_t)SHOWN_CLASSES);

	printf("  classes     test of epoch %d\n", c->epoch);
	printf("    %-24s%-24s%s\n", "worst         per cent", "best          per cent", "taken for another");
	for (size_t i = 0; i < MAX(rows, n_most); i++) {
		fputs("    ", stdout);
		if (i < rows) {
			size_t good = ranked[n_ranked - 1 - i];
			print_class(c, ranked[i]);
			if (confusion_percent(c, good, good) > 0) /* no class of which nothing was right is among the best */
				print_class(c, good);
			else
				printf("%24s", "");
		} else {
			printf("%48s", "");
		}
		if (i < n_most)
			print_confused(c, out, &most[i]);
		putchar('\n');
	}
}

int job_tests_print(const struct job_tests *t, const struct screen *out, struct reader *r, const struct job_row *job,
		    struct err *err)
{
	struct metric_row *all;
	size_t n;

	if (!job->epoch)
		return 0;
	int e = all_metrics(t, r, job, &all, &n, err);
	if (e < 0)
		return e;
	print_metrics(all, n);
	free(all);
	if (t->has_confusion)
		print_classes(&t->confusion, out);
	if (t->trouble) {
		autofree char *line = xasprintf("  classes     not shown: %s", t->trouble);
		screen_wrap(out, stdout, line, 14);
	}
	return 0;
}

int job_tests_json(const struct job_tests *t, struct reader *r, const struct job_row *job, json_t **ret,
		   struct err *err)
{
	struct metric_row *all;
	size_t n;
	json_t *metrics = json_object();
	int e = all_metrics(t, r, job, &all, &n, err);

	if (e < 0) {
		json_decref(metrics);
		return e;
	}
	for (size_t i = 0; job->epoch && i < n; i++) {
		const struct metric_row *m = &all[i];
		bool best = has_best(m->name) && m->best_epoch;
		json_object_set_new(metrics, m->name,
				    json_pack("{so, so, so}", "last", json_known(m->last), "best",
					      json_known(best ? m->best : NAN), "best_epoch",
					      best ? json_integer(m->best_epoch) : json_null()));
	}
	free(all);
	*ret = json_pack("{so, so}", "metrics", metrics, "classes",
			 t->has_confusion ? confusion_json(&t->confusion, SHOWN_CLASSES) : json_null());
	return 0;
}
