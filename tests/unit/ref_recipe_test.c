/* Twenty steps of a small network in double under every part of a recipe, against torch's float64 (small_net.json, made by
 * small_net.py): losses, parameters, running statistics and their averages. */
#include "golden.h"

#include "worker/optim_loop.h"
#include "worker/ref/ref.h"

#include <math.h>

enum { N = 8, SIZE = 12, CLASSES = 5, STEPS = 20, PIXELS = 3 * SIZE * SIZE };
#define LIMIT 1e-9 /* relative */

#define SGD 5e-4
#define SGD_VALUES {0.02, 0.9}
#define ADAM_VALUES {2e-3, 0.9}
static const struct recipe_case {
	const char *name;
	struct recipe recipe;
	struct step_values values;
	bool mixed; /* as small_net.py's mixture() */
} cases[] = {
	{"sgd_nesterov",
	 {.optim = {.nesterov = true, .weight_decay = SGD}, .lr_scale = LR_SCALES_ONE, .label_smoothing = 0.1},
	 SGD_VALUES},
	{"sgd_dampening", {.optim = {.dampening = 0.5, .weight_decay = SGD}, .lr_scale = LR_SCALES_ONE}, SGD_VALUES},
	{"adam", {.optim = {OPTIMIZER_ADAM, .beta2 = 0.999, .eps = 1e-8, .weight_decay = SGD}, .lr_scale = LR_SCALES_ONE}, ADAM_VALUES},
	{"adamw",
	 {.optim = {OPTIMIZER_ADAMW, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05},
	  .lr_scale = LR_SCALES_ONE,
	  .label_smoothing = 0.1},
	 ADAM_VALUES},
	{"clip", {.optim.weight_decay = SGD, .lr_scale = LR_SCALES_ONE, .clip_norm = 0.5}, SGD_VALUES},
	{"ema",
	 {.optim = {OPTIMIZER_ADAMW, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.05},
	  .lr_scale = LR_SCALES_ONE,
	  .ema_decay = 0.9},
	 ADAM_VALUES},
	{"mixed",
	 {.optim = {.nesterov = true, .weight_decay = SGD}, .lr_scale = LR_SCALES_ONE, .label_smoothing = 0.1},
	 SGD_VALUES,
	 true},
	{"groups_spared",
	 {.optim = {.nesterov = true, .weight_decay = SGD}, .lr_scale = {0.25, 0.5, 1}, .spare_bn_bias = true},
	 SGD_VALUES},
};

/* As small_net.py's STAGES. */
static void set_groups(struct net *net)
{
	for (int i = 0; i < net->n_params; i++) {
		const char *name = net->params[i].name;
		bool last = strncmp(name, "layer3", 6) == 0 || strncmp(name, "fc", 2) == 0;
		net->params[i].group = last ? 2 : strncmp(name, "layer2", 6) == 0;
	}
}

/* Of a step, as small_net.py's mixture(). */
static struct mix mixture(int step)
{
	int x1 = step % 5, y1 = step % 3, x2 = x1 + 1 + step % 7, y2 = y1 + 2 + step % 6;
	if (step % 3 == 0)
		return (struct mix){.kind = MIX_NONE, .lambda = 1};
	if (step % 3 == 1)
		return (struct mix){.kind = MIX_MIXUP, .lambda = (float)(step + 1) / 32};
	return (struct mix){.kind = MIX_CUTMIX,
			    .lambda = (float)(1 - (double)((x2 - x1) * (y2 - y1)) / (SIZE * SIZE)),
			    .box = {x1, y1, x2, y2}};
}

/* Returns the mean loss. */
static double step(struct ref_net *ref, const struct recipe_case *c, int number, double *ret_correct)
{
	static double x[N * PIXELS];
	static float images[N * PIXELS], kept[PIXELS];
	int32_t labels[N], partners[N];
	struct sums sums = {0};
	struct mix mix = mixture(c->mixed ? number : 0);
	for (uint64_t i = 0; i < ARRAY_LEN(x); i++)
		images[i] = (float)golden_u(1000 + (uint64_t)number, i);
	mix_images(images, N, SIZE, &mix, kept);
	for (size_t i = 0; i < ARRAY_LEN(x); i++)
		x[i] = (double)images[i];
	for (int i = 0; i < N; i++)
		labels[i] = (7 * i + 3 * number) % CLASSES;
	for (int i = 0; i < N; i++)
		partners[i] = labels[(i + N - 1) % N];
	ref_forward(ref, N, x, true);
	const struct targets targets = {labels, mix.kind == MIX_NONE ? NULL : partners, (double)mix.lambda,
					c->recipe.label_smoothing};
	ref_loss(ref, &targets, &sums);
	*ret_correct = sums.correct;
	ref_backward(ref);
	ref_update(ref, &c->recipe, &c->values, (uint64_t)number + 1);
	return sums.loss / N;
}

static void check(const char *what, const json_t *stats, const double *v, size_t n)
{
	double difference = 0, l2 = json_number_value(golden_get(stats, "l2"));
	golden_compare(stats, v, n, &difference, NULL);
	assert_near(sqrt(difference), 0, 0, LIMIT * l2, what);
}

static void check_model(const struct net *net, const json_t *params, const json_t *running, const double *p, const double *b)
{
	assert_int_equal(json_object_size(params), net->n_params);
	assert_int_equal(json_object_size(running), 2 * net->n_bns);
	for (int i = 0; i < net->n_params; i++)
		check(net->params[i].name, golden_get(params, net->params[i].name), p + net->params[i].offset, net->params[i].count);
	for (int i = 0; i < 2 * net->n_bns; i++) {
		const struct net_bn *bn = &net->bns[i / 2];
		size_t c = (size_t)bn->channels;
		autofree char *name = xasprintf("%s.running_%s", bn->name, i % 2 ? "var" : "mean");
		check(name, golden_get(running, name), b + bn->offset + (i % 2 ? c : 0), c);
	}
}

static void test_recipe(void **state)
{
	const struct recipe_case *c = *state;
	json_t *file = golden_load("small_net.json"), *golden = golden_get(file, c->name);
	struct net *net = net_new_custom(STEM_CIFAR, false, (int[]){1, 1, 1, 0}, 4, SIZE, CLASSES);
	set_groups(net);
	struct ref_net *ref = ref_net_new(net, N);
	golden_fill(net, ref_params(ref), ref_buffers(ref));
	autofree double *losses = golden_doubles(golden_get(golden, "losses"), NULL);
	autofree double *ema = xcalloc(net->param_count, sizeof(double)), *ema_running = xcalloc(net->buffer_count, sizeof(double));
	for (int i = 0; i < STEPS; i++) {
		double keep = i == 0 ? 0 : c->recipe.ema_decay, correct;
		assert_near(step(ref, c, i, &correct), losses[i], LIMIT, 0, c->name);
		if (c->mixed)
			assert_near(correct, json_number_value(json_array_get(golden_get(golden, "correct"), (size_t)i)), 0, 1e-12,
				    "correct");
		ema_update_f64(net->param_count, ema, ref_params(ref), keep, 1 - keep);
		ema_update_f64(net->buffer_count, ema_running, ref_buffers(ref), keep, 1 - keep);
	}
	check_model(net, golden_get(golden, "params"), golden_get(golden, "running"), ref_params(ref), ref_buffers(ref));
	if (c->recipe.ema_decay > 0)
		check_model(net, golden_get(golden, "ema_params"), golden_get(golden, "ema_running"), ema, ema_running);
	ref_net_free(ref);
	net_free(net);
	json_decref(file);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(cases)];
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		tests[i] = (struct CMUnitTest){.name = cases[i].name, .test_func = test_recipe, .initial_state = (void *)&cases[i]};
	return cmocka_run_group_tests_name("recipes in double", tests, NULL, NULL);
}
