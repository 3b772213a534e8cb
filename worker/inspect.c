/* See inspect.h. */
#include "inspect.h"

#include "pretrained.h"

#include "common/json.h"
#include "common/protocol.h"

static bool is_whole(enum st_dtype dtype)
{
	return strchr("IUB", st_dtype_name(dtype)[0]) && dtype != ST_BF16;
}

static json_t *tensor_json(const struct weight *w)
{
	json_t *shape = json_array();
	for (int d = 0; d < w->ndim; d++)
		json_array_append_new(shape, json_integer((json_int_t)w->shape[d]));
	return json_pack("{s:s, s:s, s:o}", "name", w->name, "dtype", st_dtype_name(w->dtype), "shape", shape);
}

static json_t *weights_json(const struct weights *w, const char *path)
{
	char sha256[65];
	int64_t elements = 0;
	json_t *tensors = json_array();
	for (size_t i = 0; i < weights_count(w); i++) {
		const struct weight *at = weights_at(w, i);
		json_array_append_new(tensors, tensor_json(at));
		if (!is_whole(at->dtype) && __builtin_add_overflow(elements, at->count, &elements))
			elements = INT64_MAX;
	}
	weights_sha256(w, sha256);
	return json_pack("{s:s, s:s, s:I, s:s, s:I, s:o, s:o}", "file", path, "format", weights_format(w), "bytes",
			 (json_int_t)weights_bytes(w), "sha256", sha256, "elements", (json_int_t)elements, "tensors",
			 tensors, "models", weights_models(w));
}

static void print_all(const struct weights *w, const json_t *about)
{
	char shape[100];
	size_t i;
	json_t *m;
	for (size_t t = 0; t < weights_count(w); t++) {
		const struct weight *at = weights_at(w, t);
		printf("%-5s %-16s %s\n", st_dtype_name(at->dtype),
		       weight_shape(at->ndim, at->shape, shape, sizeof(shape)), at->name);
	}
	printf("%zu tensors, %lld elements; %s, sha256 %s\n", weights_count(w),
	       (long long)json_int_or(about, "elements", 0), weights_format(w), json_str_or(about, "sha256", ""));
	const json_t *models = json_object_get(about, "models");
	json_array_foreach(models, i, m)
		printf("fits %s with stem %s\n", json_str_or(m, "model", ""), json_str_or(m, "stem", ""));
	if (!json_array_size(models))
		printf("fits no network of this program\n");
}

int inspect_weights(const char *path, bool json)
{
	struct err err;
	struct weights *w = NULL;
	int r = weights_open(&w, path, &err);
	autojson json_t *about = r == 0 ? weights_json(w, path) : NULL;
	if (r == 0 && !about)
		r = err_set(&err, -EINVAL, "%s: its name is not UTF-8", path);
	if (r == 0)
		r = weights_check(w, &err);
	if (r == 0 && json) {
		autofree char *line = json_line(about);
		puts(line);
	} else if (r == 0) {
		print_all(w, about);
	} else {
		fprintf(stderr, "error: %s\n", err.text);
	}
	weights_close(w);
	return r == 0 ? EXIT_OK : r == -ENOENT ? EXIT_NO_SUCH : r == -EACCES ? EXIT_PERMISSION : EXIT_BAD_OUTCOME;
}
