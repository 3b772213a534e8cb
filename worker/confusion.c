/* See confusion.h. */
#include "confusion.h"

#include "joblog.h"

#include "common/class_names.h"
#include "common/fs.h"
#include "common/json.h"

#define FILE_MAX (16 * 1024 * 1024)

static char *path_of(const struct train_job *job)
{
	return xasprintf("%s/confusion.json", job->job_dir);
}

void confusion_init(struct confusion *c, const struct train_job *job, const struct dataset *data)
{
	autofree char *path = path_of(job), *text = NULL;
	size_t size;
	*c = (struct confusion){.data = data};
	c->predicted = xcalloc(data->sets[SPLIT_TEST].count, sizeof(*c->predicted));
	if (!job->resume || fs_read_file(path, FILE_MAX, &text, &size, NULL) < 0)
		return;
	autojson json_t *before = json_parse(text, size, NULL);
	c->best = json_incref(json_object_get(before, "best"));
}

void confusion_fini(struct confusion *c)
{
	free(c->predicted);
	json_decref(c->best);
}

static json_t *row_json(const uint32_t *row, int classes)
{
	json_t *o = json_array();
	for (int k = 0; k < classes; k++)
		json_array_append_new(o, json_integer(row[k]));
	return o;
}

/* Per cent of a class's images that were taken for it. */
static json_t *accuracy_json(const uint32_t *row, int classes, int class)
{
	uint64_t images = 0;
	for (int k = 0; k < classes; k++)
		images += row[k];
	return images ? json_real(100.0 * row[class] / (double)images) : json_null();
}

static json_t *test_json(const struct confusion *c, int epoch)
{
	const struct image_set *set = &c->data->sets[SPLIT_TEST];
	int classes = c->data->classes;
	autofree uint32_t *counts = xcalloc((size_t)classes * (size_t)classes, sizeof(*counts));
	for (size_t i = 0; i < set->count; i++)
		counts[image_label(set, i) * (size_t)classes + (size_t)c->predicted[i]]++;
	json_t *matrix = json_array(), *accuracy = json_array();
	for (int k = 0; k < classes; k++) {
		const uint32_t *row = counts + (size_t)k * (size_t)classes;
		json_array_append_new(matrix, row_json(row, classes));
		json_array_append_new(accuracy, accuracy_json(row, classes, k));
	}
	return json_pack("{s:i, s:o, s:o}", "epoch", epoch, "matrix", matrix, "accuracy", accuracy);
}

void confusion_save(struct confusion *c, const struct train_job *job, int epoch, bool best)
{
	autofree char *path = path_of(job);
	struct err err;
	json_t *last = test_json(c, epoch), *names = json_array();
	if (best || !c->best) {
		json_decref(c->best);
		c->best = json_incref(last);
	}
	for (int k = 0; k < c->data->classes; k++)
		json_array_append_new(names, json_string(class_name(c->data->name, k)));
	autojson json_t *o = json_pack("{s:s, s:o, s:o, s:O}", "dataset", c->data->name, "classes", names, "last", last, "best",
				       c->best);
	autofree char *text = json_line(o);
	if (fs_write_file(path, text, strlen(text), 0640, &err) < 0)
		job_log(job->job_dir, "confusion.json not written: %s", err.text);
}
