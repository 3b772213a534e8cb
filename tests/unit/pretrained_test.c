/* Weights of a file mapped to a net by torchvision's names: what is taken, what stays as initialised, what is refused.
 */
#include "cmocka_all.h"

#include "common/json.h"
#include "worker/pretrained.h"
#include "worker/safetensors.h"
#include "worker/state.h"

#include <fcntl.h>
#include <unistd.h>

#define MODEL "resnet8"

/* A state dict under way to a file; made of a net whose value i of parameter p is p + i / 1024, of buffers 100 + ... */
struct dict {
	struct st_tensor tensors[128];
	size_t n;
	void *owned[128];
};

static struct st_tensor *add(struct dict *d, const char *name, enum st_dtype dtype, int ndim, const int *shape)
{
	struct st_tensor *t = &d->tensors[d->n];
	*t = (struct st_tensor){.dtype = dtype, .ndim = ndim, .size_bytes = (size_t)st_dtype_bits(dtype) / 8};
	snprintf(t->name, sizeof(t->name), "%s", name);
	for (int i = 0; i < ndim; i++) {
		t->shape[i] = shape[i];
		t->size_bytes *= (size_t)shape[i];
	}
	t->data = d->owned[d->n++] = xcalloc(t->size_bytes, 1);
	return t;
}

static void add_floats(struct dict *d, const char *name, int ndim, const int *shape, float first)
{
	const struct st_tensor *t = add(d, name, ST_F32, ndim, shape);
	for (size_t i = 0; i < t->size_bytes / sizeof(float); i++)
		((float *)t->data)[i] = first + (float)i / 1024;
}

static void dict_of(struct dict *d, enum stem stem, int classes, bool counters)
{
	struct net *net = net_new(MODEL, stem, 32, classes);
	char name[96];
	*d = (struct dict){0};
	for (int i = 0; counters && i < net->n_bns; i++) { /* first: they need 8-byte alignment */
		snprintf(name, sizeof(name), "%s.num_batches_tracked", net->bns[i].name);
		*(int64_t *)add(d, name, ST_I64, 0, NULL)->data = 77;
	}
	for (int i = 0; i < net->n_params; i++)
		add_floats(d, net->params[i].name, net->params[i].ndim, net->params[i].shape, (float)i);
	for (int i = 0; i < net->n_bns; i++) {
		snprintf(name, sizeof(name), "%s.running_mean", net->bns[i].name);
		add_floats(d, name, 1, &net->bns[i].channels, 100 + (float)i);
		snprintf(name, sizeof(name), "%s.running_var", net->bns[i].name);
		add_floats(d, name, 1, &net->bns[i].channels, 200 + (float)i);
	}
	net_free(net);
}

static void dict_free(struct dict *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->owned[i]);
}

static struct st_tensor *find(struct dict *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (str_eq(d->tensors[i].name, name))
			return &d->tensors[i];
	fail_msg("no %s", name);
	return NULL;
}

static void drop(struct dict *d, const char *name)
{
	struct st_tensor *t = find(d, name);
	size_t i = (size_t)(t - d->tensors);
	free(d->owned[i]);
	d->n--;
	memmove(t, t + 1, (d->n - i) * sizeof(*t));
	memmove(&d->owned[i], &d->owned[i + 1], (d->n - i) * sizeof(void *));
}

struct place {
	char *dir, *path;
};

static struct weights *opened(const struct place *p, const struct dict *d)
{
	struct err err = {.text = ""};
	struct weights *w;
	int fd = open(p->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	autojson json_t *metadata = json_object();
	assert_int_equal(safetensors_write(fd, d->tensors, d->n, metadata, &err), 0);
	close(fd);
	if (weights_open(&w, p->path, &err) < 0)
		fail_msg("%s", err.text);
	return w;
}

static int setup(void **state)
{
	struct place *p = xcalloc(1, sizeof(*p));
	p->dir = temp_dir();
	p->path = xasprintf("%s/w.safetensors", p->dir);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct place *p = *state;
	temp_dir_remove(p->dir);
	free(p->path);
	free(p);
	return 0;
}

/* Whether the file fits a net of that stem and number of classes. */
static int fit(const struct place *p, const struct dict *d, enum stem stem, int classes, struct weights_fit *ret,
	       struct err *err)
{
	struct net *net = net_new(MODEL, stem, 32, classes);
	struct weights *w = opened(p, d);
	int r = weights_fit(w, net, MODEL, ret, err);
	weights_close(w);
	net_free(net);
	return r;
}

/* Takes d into the state of a net with that many classes and compares it; the classifier: taken, or as initialised. */
static void check_taken(const struct place *p, const struct dict *d, int classes, bool fresh, uint64_t batches)
{
	struct err err = {.text = ""};
	struct weights_fit f;
	struct state s, initial;
	struct net *net = net_new(MODEL, STEM_CIFAR, 32, classes);
	struct weights *w = opened(p, d);
	if (weights_fit(w, net, MODEL, &f, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(f.fresh_classifier, fresh);
	assert_int_equal(f.taken, net->n_params + 2 * net->n_bns - (fresh ? 2 : 0));
	state_init(&s, net, 5);
	state_init(&initial, net, 5);
	weights_take(w, net, &f, &s);
	for (int i = 0; i < net->n_params; i++)
		for (size_t k = 0; k < net->params[i].count; k++) {
			size_t at = net->params[i].offset + k;
			bool stays = fresh && i >= net->n_params - 2;
			float expected = stays ? ((float *)initial.params)[at] : (float)i + (float)k / 1024;
			assert_true(((float *)s.params)[at] == expected);
		}
	for (int i = 0; i < net->n_bns; i++)
		for (int k = 0; k < net->bns[i].channels; k++) {
			const float *mean = (float *)s.buffers + net->bns[i].offset;
			assert_true(mean[k] == 100 + (float)i + (float)k / 1024);
			assert_true(mean[net->bns[i].channels + k] == 200 + (float)i + (float)k / 1024);
		}
	assert_int_equal(s.batches_tracked, batches);
	state_fini(&s);
	state_fini(&initial);
	weights_close(w);
	net_free(net);
}

static void test_all_is_taken(void **state)
{
	struct dict d;
	dict_of(&d, STEM_CIFAR, 10, true);
	check_taken(*state, &d, 10, false, 77);
	dict_free(&d);
	dict_of(&d, STEM_CIFAR, 10, false); /* as torch before 0.4.1 wrote it */
	check_taken(*state, &d, 10, false, 0);
	dict_free(&d);
}

static void test_a_classifier_of_other_classes_is_replaced(void **state)
{
	struct dict d;
	dict_of(&d, STEM_CIFAR, 1000, true);
	check_taken(*state, &d, 10, true, 77);
	drop(&d, "fc.weight");
	drop(&d, "fc.bias"); /* a backbone alone */
	check_taken(*state, &d, 10, true, 77);
	dict_free(&d);
}

static void test_what_a_checkpoint_holds_beside_the_model_is_passed_over(void **state)
{
	struct dict d;
	dict_of(&d, STEM_CIFAR, 10, true);
	add_floats(&d, "optimizer.momentum.conv1.weight", 1, (int[]){3}, 0);
	add_floats(&d, "ema.conv1.weight", 1, (int[]){3}, 0);
	check_taken(*state, &d, 10, false, 77);
	dict_free(&d);
}

/* d does not fit, with this in the sentence. */
static void check_refused(const struct place *p, const struct dict *d, enum stem stem, int classes,
			  const char *expected)
{
	struct err err = {.text = ""};
	struct weights_fit f;
	assert_int_equal(fit(p, d, stem, classes, &f, &err), -EINVAL);
	if (!strstr(err.text, expected))
		fail_msg("\"%s\" lacks \"%s\"", err.text, expected);
}

static void test_what_does_not_fit_is_named(void **state)
{
	struct dict d;
	dict_of(&d, STEM_CIFAR, 10, true);
	drop(&d, "layer2.0.bn1.running_var");
	check_refused(*state, &d, STEM_CIFAR, 10,
		      "do not fit resnet8 with stem cifar: 1 missing: layer2.0.bn1.running_var\n"
		      "  expected: the state dict of torchvision's network");
	add_floats(&d, "layer2.0.bn1.running_va", 1, (int[]){32}, 0);
	add_floats(&d, "layer9.weight", 1, (int[]){1}, 0);
	check_refused(*state, &d, STEM_CIFAR, 10,
		      "1 missing: layer2.0.bn1.running_var; 2 unexpected: layer2.0.bn1.running_va, layer9.weight");
	for (int i = 0; i < 3; i++) {
		char name[32];
		snprintf(name, sizeof(name), "more.%d", i);
		add_floats(&d, name, 1, (int[]){1}, 0);
	}
	check_refused(*state, &d, STEM_CIFAR, 10,
		      "5 unexpected: layer2.0.bn1.running_va, layer9.weight, more.0, ...\n");
	dict_free(&d);
}

static void test_shapes_and_types_are_compared(void **state)
{
	struct dict d;
	dict_of(&d, STEM_CIFAR, 10, true);
	find(&d, "fc.weight")->shape[0] = 5;
	find(&d, "fc.weight")->shape[1] = 128;
	check_refused(*state, &d, STEM_CIFAR, 10,
		      "1 of another shape or type: fc.weight (F32 5x128 in the file, 10x64 here)");
	find(&d, "fc.weight")->shape[0] = 10;
	find(&d, "fc.weight")->shape[1] = 64;
	drop(&d, "bn1.weight");
	add(&d, "bn1.weight", ST_I64, 1, (int[]){16});
	struct st_tensor last = d.tensors[d.n - 1]; /* the file keeps 8-byte types first */
	void *owned = d.owned[d.n - 1];
	memmove(d.tensors + 1, d.tensors, (d.n - 1) * sizeof(last));
	memmove(d.owned + 1, d.owned, (d.n - 1) * sizeof(owned));
	d.tensors[0] = last;
	d.owned[0] = owned;
	check_refused(*state, &d, STEM_CIFAR, 10, "bn1.weight (I64 16 in the file, 16 here)");
	drop(&d, "fc.bias");
	check_refused(*state, &d, STEM_CIFAR, 10, "1 missing: fc.bias; 1 of another shape");
	dict_free(&d);
}

static void test_another_stem_or_model_is_advised(void **state)
{
	struct dict d;
	dict_of(&d, STEM_IMAGENET, 10, true);
	check_refused(*state, &d, STEM_CIFAR, 10,
		      "conv1.weight (F32 16x3x7x7 in the file, 16x3x3x3 here)\n"
		      "  expected: the state dict of torchvision's network\n"
		      "  do this:  model resnet8 with stem imagenet, which it fits");
	struct weights *w = opened(*state, &d);
	autojson json_t *models = weights_models(w);
	autofree char *text = json_line(models);
	assert_string_equal(text, "[{\"model\":\"resnet8\",\"stem\":\"imagenet\",\"classes\":10}]");
	weights_close(w);
	dict_free(&d);
}

static void test_learning_rates_of_groups(void **state)
{
	struct train_config cfg;
	double scales[N_GROUPS];
	config_defaults(&cfg);
	pretrained_lr_scales(&cfg, scales);
	assert_true(scales[0] == 1 && scales[1] == 1 && scales[2] == 1);
	autojson json_t *layers = json_string("layers");
	config_set(&cfg, param_find("lr_groups"), layers);
	pretrained_lr_scales(&cfg, scales);
	assert_true(scales[0] == .25 && scales[1] == .5 && scales[2] == 1);
}

static void test_rules_of_the_configuration(void **state)
{
	static const struct {
		const char *config, *expected; /* NULL: fine */
	} cases[] = {
		{"{\"pretrained\":true,\"stem\":\"imagenet\",\"image_size\":224}", NULL},
		{"{\"pretrained\":true,\"weights\":\"/home/me/w.pth\"}", NULL},
		{"{\"pretrained\":true,\"weights\":\"resnet50-v2\",\"model\":\"resnet50\",\"stem\":\"imagenet\"}",
		 NULL},
		{"{\"pretrained\":true}",
		 "\"pretrained\" needs \"stem\" imagenet: ImageNet's conv1 is 7x7, not 3x3\n  expected: stem"},
		{"{\"pretrained\":true,\"stem\":\"imagenet\",\"model\":\"resnet34\"}",
		 "no ImageNet weights of resnet34 are known"},
		{"{\"weights\":\"a\"}",
		 "\"weights\" is for \"pretrained\"\n  expected: pretrained true, or no weights"},
		{"{\"pretrained\":true,\"weights\":\"./w.pth\"}", "is a path that does not begin with /"},
		{"{\"image_size\":64}", "\"image_size\" has no value 64\n  expected: 32 or 224"},
		{"{\"image_size\":256}", "out of range"},
		{"{\"weights\":7}", "\"weights\" needs text; 7 is a number"},
		{"{\"weights\":\"a\\u001b[2J\"}", "holds control characters"},
		{"{\"lr_groups\":\"layer\"}", "expected: none, layers\n  do this:  write \"layers\""},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct train_config cfg;
		struct err err = {.text = ""};
		autojson json_t *object = json_parse(cases[i].config, strlen(cases[i].config), &err);
		int r = config_from_json(&cfg, object, &err);
		if ((r < 0) != !!cases[i].expected || (r < 0 && !strstr(err.text, cases[i].expected)))
			fail_msg("%s: %d, %s", cases[i].config, r, err.text);
	}
}

static void test_warnings_of_the_configuration(void **state)
{
	static const struct {
		const char *config, *expected;
	} cases[] = {
		{"{\"pretrained\":true,\"stem\":\"imagenet\",\"image_size\":224,\"lr_groups\":\"layers\"}", "[]"},
		{"{\"pretrained\":true,\"stem\":\"imagenet\"}", "give most at 224"},
		{"{\"image_size\":224}", "49 times the work"},
		{"{\"lr_groups\":\"layers\"}", "slows layers that have learnt nothing yet"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct train_config cfg;
		struct err err = {.text = ""};
		autojson json_t *object = json_parse(cases[i].config, strlen(cases[i].config), &err);
		assert_int_equal(config_from_json(&cfg, object, &err), 0);
		autojson json_t *warnings = config_warnings(&cfg);
		autofree char *text = json_line(warnings);
		if (!strstr(text, cases[i].expected) || json_array_size(warnings) > 1)
			fail_msg("%s: %s", cases[i].config, text);
	}
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_all_is_taken),
		T(test_a_classifier_of_other_classes_is_replaced),
		T(test_what_a_checkpoint_holds_beside_the_model_is_passed_over),
		T(test_what_does_not_fit_is_named),
		T(test_shapes_and_types_are_compared),
		T(test_another_stem_or_model_is_advised),
		T(test_learning_rates_of_groups),
		T(test_rules_of_the_configuration),
		T(test_warnings_of_the_configuration),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
