/* What a run's test images were taken for; see confusion.h. */
#include "ctl/confusion.h"
#include "ctl/columns.h"
#include "common/fs.h"
#include "common/json.h"

#include <math.h>
#include <sys/stat.h>

#define FILE_MAX (16 * 1024 * 1024)

static bool read_row(const json_t *row, size_t n, uint32_t *ret)
{
	size_t i;
	json_t *images;

	if (json_array_size(row) != n)
		return false;
	json_array_foreach(row, i, images)
	{
		json_int_t v = json_integer_value(images);
		if (!json_is_integer(images) || v < 0 || v > UINT32_MAX)
			return false;
		ret[i] = (uint32_t)v;
	}
	return true;
}

static char *name_of(const json_t *value)
{
	char *name = text_clean(json_string_value(value) ? json_string_value(value) : "?");

	name[text_fit(name, CONFUSION_NAME_MAX)] = 0;
	return name;
}

static int read_test(struct confusion *c, const json_t *root, const char *path, struct err *err)
{
	const json_t *names = json_object_get(root, "classes"), *last = json_object_get(root, "last");
	const json_t *matrix = json_object_get(last, "matrix");
	size_t n = json_array_size(names);
	int64_t epoch = json_int_or(last, "epoch", 0);

	if (n < 1 || n > CONFUSION_CLASSES_MAX || json_array_size(matrix) != n || epoch < 1 || epoch > INT32_MAX)
		return err_set(
			err, -EBADMSG,
			"%s does not hold a confusion matrix\n"
			"  expected: names of 1 to %d classes and a test with its epoch and a row for each class",
			path, CONFUSION_CLASSES_MAX);
	*c = (struct confusion){.n = n, .epoch = (int)epoch};
	c->names = xcalloc(n, sizeof(*c->names));
	c->images = xcalloc(n * n, sizeof(*c->images));
	c->of_class = xcalloc(n, sizeof(*c->of_class));
	c->accuracy = xcalloc(n, sizeof(*c->accuracy));
	for (size_t i = 0; i < n; i++) {
		uint32_t *row = c->images + i * n;
		c->names[i] = name_of(json_array_get(names, i));
		if (!read_row(json_array_get(matrix, i), n, row))
			return err_set(
				err, -EBADMSG,
				"%s: row %zu of the confusion matrix is not one\n  expected: %zu numbers of images",
				path, i + 1, n);
		for (size_t k = 0; k < n; k++)
			c->of_class[i] += row[k];
		c->accuracy[i] = c->of_class[i] ? 100.0 * row[i] / (double)c->of_class[i] : NAN;
	}
	return 1;
}

int confusion_read(struct confusion *ret, const struct paths *paths, int64_t job, struct err *err)
{
	autofree char *dir = paths_job_dir(paths, job), *path = xasprintf("%s/confusion.json", dir), *text = NULL;
	struct confusion c = {0};
	struct stat st;
	struct err why;
	size_t size = 0;

	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : err_sys(err, -errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, -EBADMSG, "%s is not a file", path);
	int e = fs_read_file(path, FILE_MAX, &text, &size, err);
	if (e < 0)
		return e;
	autojson json_t *root = json_parse(text, size, &why);
	e = root ? read_test(&c, root, path, err) : err_set(err, -EBADMSG, "%s: %s", path, why.text);
	if (e < 0) {
		confusion_fini(&c);
		return e;
	}
	*ret = c;
	return e;
}

void confusion_fini(struct confusion *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->names[i]);
	free(c->names);
	free(c->images);
	free(c->of_class);
	free(c->accuracy);
	*c = (struct confusion){0};
}

static int by_accuracy(const void *a, const void *b, void *data)
{
	size_t first = *(const size_t *)a, second = *(const size_t *)b;
	const double *accuracy = data;

	if (accuracy[first] != accuracy[second])
		return accuracy[first] < accuracy[second] ? -1 : 1;
	return first < second ? -1 : 1;
}

size_t *confusion_ranked(const struct confusion *c, size_t *ret_n)
{
	size_t *ranked = xcalloc(c->n + 1, sizeof(*ranked));
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if (c->of_class[i])
			ranked[n++] = i;
	qsort_r(ranked, n, sizeof(*ranked), by_accuracy, c->accuracy);
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

struct confused *confusion_most(const struct confusion *c, size_t limit, size_t *ret_n)
{
	struct confused *all = xcalloc(c->n * c->n + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; i < c->n; i++) {
		for (size_t k = 0; k < c->n; k++) {
			uint32_t images = c->images[i * c->n + k];
			if (i != k && images)
				all[n++] = (struct confused){i, k, images, 100.0 * images / (double)c->of_class[i]};
		}
	}
	qsort(all, n, sizeof(*all), by_images);
	*ret_n = MIN(n, limit);
	return all;
}

static json_t *class_json(const struct confusion *c, size_t class)
{
	return json_pack("{ss, sf}", "class", c->names[class], "accuracy", c->accuracy[class]);
}

json_t *confusion_json(const struct confusion *c, size_t limit)
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
