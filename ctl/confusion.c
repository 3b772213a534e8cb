/* What a person asks of a run's confusion matrix; see confusion.h. */
#include "ctl/confusion.h"
#include "ctl/columns.h"

#include <math.h>

int confusion_read(struct confusion_matrix *ret, const struct paths *paths, int64_t job, struct err *err)
{
	autofree char *dir = paths_job_dir(paths, job), *path = xasprintf("%s/confusion.json", dir);
	int e = confusion_matrix_read(ret, path, CONFUSION_LAST, err);

	for (size_t i = 0; e > 0 && i < ret->n; i++) {
		char *name = text_clean(ret->names[i]);
		name[text_fit(name, CONFUSION_NAME_MAX)] = 0;
		free(ret->names[i]);
		ret->names[i] = name;
	}
	return e;
}

double confusion_percent(const struct confusion_matrix *c, size_t class, size_t taken_for)
{
	return c->of_class[class] ? 100.0 * c->images[class * c->n + taken_for] / (double)c->of_class[class] : NAN;
}

static int by_accuracy(const void *a, const void *b, void *data)
{
	size_t first = *(const size_t *)a, second = *(const size_t *)b;
	double difference = confusion_percent(data, first, first) - confusion_percent(data, second, second);

	if (difference != 0)
		return difference < 0 ? -1 : 1;
	return first < second ? -1 : 1;
}

size_t *confusion_ranked(const struct confusion_matrix *c, size_t *ret_n)
{
	size_t *ranked = xcalloc(c->n + 1, sizeof(*ranked));
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->of_class[i])
			ranked[n++] = i;
	qsort_r(ranked, n, sizeof(*ranked), by_accuracy, (void *)c);
	*ret_n = n;
	return ranked;
}

/* More images first, then in the matrix's order. */
static int by_images(const void *a, const void *b)
{
	const struct confused *first = a, *second = b;

	if (first->images != second->images)
		return first->images > second->images ? -1 : 1;
	if (first->class != second->class)
		return first->class < second->class ? -1 : 1;
	return first->taken_for < second->taken_for ? -1 : 1;
}

struct confused *confusion_most(const struct confusion_matrix *c, size_t limit, size_t *ret_n)
{
	struct confused *all = xcalloc(c->n * c->n + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < c->n; k++) {
			uint32_t images = c->images[i * c->n + k];
			if (i != k && images)
				all[n++] = (struct confused){i, k, images, confusion_percent(c, i, k)};
		}
	}
	qsort(all, n, sizeof(*all), by_images);
	*ret_n = MIN(n, limit);
	return all;
}

static json_t *class_json(const struct confusion_matrix *c, size_t class)
{
	return json_pack("{ss, sf}", "class", c->names[class], "accuracy", confusion_percent(c, class, class));
}

json_t *confusion_json(const struct confusion_matrix *c, size_t limit)
{
	size_t n_ranked, n_most;
	autofree size_t *ranked = confusion_ranked(c, &n_ranked);
	autofree struct confused *most = confusion_most(c, limit, &n_most);
	json_t *worst = json_array(), *best = json_array(), *confused = json_array();

	for (size_t i = 0; i < MIN(limit, n_ranked); i++) {
		json_array_append_new(worst, class_json(c, ranked[i]));
		json_array_append_new(best, class_json(c, ranked[n_ranked - 1 - i]));
	}
	for (size_t i = 0; i < n_most; i++)
		json_array_append_new(confused, json_pack("{ss, ss, sI, sf}", "class", c->names[most[i].class],
							  "taken_for", c->names[most[i].taken_for], "images",
							  (json_int_t)most[i].images, "percent", most[i].percent));
	return json_pack("{si, so, so, so}", "epoch", c->epoch, "worst", worst, "best", best, "confused", confused);
}
