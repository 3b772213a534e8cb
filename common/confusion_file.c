/* See confusion_file.h. */
#include "confusion_file.h"

#include "fs.h"
#include "json.h"

/* Of two tests with their rows and accuracies; signs in a name count too. */
#define ITEMS_MAX (2 * CONFUSION_CLASSES_MAX * (CONFUSION_CLASSES_MAX + 32))
#define LISTS_MAX (4 * CONFUSION_CLASSES_MAX) /* and members of maps */

/* More than two tests have: a tree of it could take a hundred times the file's size. */
static bool is_too_much(const char *text, size_t size)
{
	size_t items = 0, lists = 0;
	for (size_t i = 0; i < size; i++) {
		items += text[i] == ',';
		lists += text[i] == '[' || text[i] == '{' || text[i] == ':';
	}
	return items > ITEMS_MAX || lists > LISTS_MAX;
}

static int read_names(struct confusion_matrix *c, const json_t *names, struct err *err)
{
	size_t n = json_array_size(names);
	if (n < 1 || n > CONFUSION_CLASSES_MAX)
		return err_set(err, -EINVAL, "\"classes\": expected the names of 1 to %d classes", CONFUSION_CLASSES_MAX);
	c->names = xcalloc(n, sizeof(*c->names));
	for (; c->n < n; c->n++) {
		const char *name = json_string_value(json_array_get(names, c->n));
		if (!name)
			return err_set(err, -EINVAL, "\"classes\": name %zu: expected a string", c->n + 1);
		c->names[c->n] = xstrdup(name);
	}
	return 0;
}

static int read_row(struct confusion_matrix *c, size_t class, const json_t *row, struct err *err)
{
	if (json_array_size(row) != c->n)
		return err_set(err, -EINVAL, "row %zu of the confusion matrix: expected %zu numbers of images", class + 1, c->n);
	for (size_t i = 0; i < c->n; i++) {
		const json_t *images = json_array_get(row, i);
		json_int_t v = json_integer_value(images);
		if (!json_is_integer(images) || v < 0 || v > UINT32_MAX)
			return err_set(err, -EINVAL, "row %zu of the confusion matrix, column %zu: expected a number of images",
				       class + 1, i + 1);
		c->images[class * c->n + i] = (uint32_t)v;
		c->of_class[class] += (uint32_t)v;
	}
	return 0;
}

static int read_test(struct confusion_matrix *c, const json_t *test, struct err *err)
{
	int64_t epoch;
	const json_t *matrix = json_object_get(test, "matrix");
	int r = json_get_int(test, "epoch", &epoch, err);
	if (r < 0)
		return r;
	if (epoch < 1 || epoch > INT32_MAX)
		return err_set(err, -EINVAL, "\"epoch\": expected 1 or more");
	if (json_array_size(matrix) != c->n)
		return err_set(err, -EINVAL, "\"matrix\": expected a row for each of %zu classes", c->n);
	c->epoch = (int)epoch;
	c->images = xcalloc(c->n * c->n, sizeof(*c->images));
	c->of_class = xcalloc(c->n, sizeof(*c->of_class));
	for (size_t i = 0; r == 0 && i < c->n; i++)
		r = read_row(c, i, json_array_get(matrix, i), err);
	return r;
}

static int parse(struct confusion_matrix *c, const char *text, size_t size, enum confusion_test which, struct err *err)
{
	if (is_too_much(text, size))
		return err_set(err, -EINVAL, "expected two tests of at most %d classes", CONFUSION_CLASSES_MAX);
	autojson json_t *root = json_parse(text, size, err);
	if (!root)
		return -EINVAL;
	int r = read_names(c, json_object_get(root, "classes"), err);
	if (r < 0)
		return r;
	const char *dataset = json_str_or(root, "dataset", NULL), *test = which == CONFUSION_BEST ? "best" : "last";
	c->dataset = dataset ? xstrdup(dataset) : NULL;
	r = read_test(c, json_object_get(root, test), err);
	return r < 0 ? err_prefix(err, r, "\"%s\"", test) : 0;
}

int confusion_matrix_read(struct confusion_matrix *ret, const char *path, enum confusion_test which, struct err *err)
{
	size_t size;
	autofree char *text = NULL;
	struct confusion_matrix c = {0};
	int r = fs_read_plain_file(path, CONFUSION_BYTES_MAX, &text, &size, err);
	if (r < 0)
		return r == -ENOENT || r == -ENOTDIR ? 0 : r;
	r = parse(&c, text, size, which, err);
	if (r < 0) {
		confusion_matrix_fini(&c);
		return err_prefix(err, r, "%s", path);
	}
	*ret = c;
	return 1;
}

void confusion_matrix_fini(struct confusion_matrix *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->names[i]);
	free(c->dataset);
	free(c->names);
	free(c->images);
	free(c->of_class);
	*c = (struct confusion_matrix){0};
}
