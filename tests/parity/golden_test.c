/* The networks as they are, on the cpu backend: logits, loss, every gradient and running statistics of a step against
 * torch's numbers in double, and every gradient against ref's at the same ReLUs.
 *
 * Two implementations round differently, so an activation within rounding of 0 passes a ReLU on one side only (in a batch
 * of 8, some do), which moves the gradients of a deep network by per cents: torch's own float32 by up to 1.8e-2 of a
 * gradient's norm in ResNet-50 (golden/resnet.json: float32_off).  Which ones do differs from one instruction set to the
 * next.  Where ref is given the outputs of the cpu backend's ReLUs, nothing but rounding is left; ref agrees with torch to
 * 1e-9 (tests/unit/ref_net_test.c).  docs/parity.md has the numbers. */
#include "tests/unit/golden.h"

#include "activations.h"
#include "bf16.h"
#include "parity.h"
#include "worker/ref/ref.h"
#include "worker/state.h"

#include <math.h>

enum { N = 8, CLASSES = 100, FIRST = 8 };
enum measure { LOGITS, LOSS, WORST_GRADIENT, GRADIENT, SAME_RELUS, STATISTICS, N_MEASURES };
static const char *const measure_names[N_MEASURES] = {
	[LOGITS] = "logits of evaluation, absolute", [LOSS] = "training loss",
	[WORST_GRADIENT] = "worst gradient",	     [GRADIENT] = "gradients in the mean",
	[SAME_RELUS] = "worst gradient, same ReLUs", [STATISTICS] = "worst running statistic",
};
static const char *const stems[] = {[STEM_CIFAR] = "cifar", [STEM_IMAGENET] = "imagenet"};

/* The narrow and ResNet-18; the deep. */
static const double fp32_limits[N_MEASURES] = {1e-5, 1e-6, 3e-2, 1e-2, 5e-5, 1e-5};
static const double deep_limits[N_MEASURES] = {2e-4, 3e-5, 2e-1, 1e-1, 1e-3, 1e-4};
static const double bf16_limits[N_MEASURES] = {0.05, 2e-3, 0.8, 0.4, 0.2, 1e-3};
static const double deep_bf16_limits[N_MEASURES] = {1.2, 2e-2, 1.5, 0.9, 0.3, 1e-2};

static const struct net_case {
	const char *model;
	enum stem stem;
	int size;
	bool amp;
	const double *limits; /* of a Euclidean norm, relative, unless said otherwise */
} cases[] = {
	{"resnet8", STEM_CIFAR, 32, false, fp32_limits},      {"resnet18", STEM_CIFAR, 32, false, fp32_limits},
	{"resnet20", STEM_CIFAR, 32, false, fp32_limits},     {"resnet34", STEM_CIFAR, 32, false, deep_limits},
	{"resnet50", STEM_CIFAR, 32, false, deep_limits},     {"resnet18", STEM_IMAGENET, 64, false, fp32_limits},
	{"resnet50", STEM_IMAGENET, 64, false, deep_limits},  {"resnet8", STEM_CIFAR, 32, true, bf16_limits},
	{"resnet18", STEM_CIFAR, 32, true, bf16_limits},      {"resnet20", STEM_CIFAR, 32, true, bf16_limits},
	{"resnet34", STEM_CIFAR, 32, true, deep_bf16_limits}, {"resnet50", STEM_CIFAR, 32, true, deep_bf16_limits},
	{"resnet18", STEM_IMAGENET, 64, true, bf16_limits},   {"resnet50", STEM_IMAGENET, 64, true, deep_bf16_limits},
};

struct fixture {
	const struct net_case *c;
	json_t *file, *golden;
	struct net *net;
	struct dataset *data;
	struct device device;
	struct plan *plan;
	struct ref_net *ref;
	size_t pixels; /* of the batch */
	double *x;
	float *x_float;
	int32_t labels[N];
};

/* The formula's weights, in both; exact in float. */
static void set_formula_state(struct fixture *f)
{
	struct state state;
	plan_state_alloc(f->plan, &state);
	golden_fill(f->net, ref_params(f->ref), ref_buffers(f->ref));
	values_copy(state.params, DTYPE_F32, ref_params(f->ref), DTYPE_F64, f->net->param_count);
	values_copy(state.buffers, DTYPE_F32, ref_buffers(f->ref), DTYPE_F64, f->net->buffer_count);
	assert_int_equal(plan_state_set(f->plan, &state, NULL), 0);
	state_fini(&state);
}

static void fixture_init(struct fixture *f, const struct net_case *c)
{
	struct err err;
	struct recipe recipe = {.amp = c->amp, .lr_scale = LR_SCALES_ONE};
	autofree char *key = xasprintf("%s_%s_N8_S%d", c->model, stems[c->stem], c->size);
	*f = (struct fixture){.c = c, .file = golden_load("resnet.json"), .net = net_new(c->model, c->stem, c->size, CLASSES)};
	f->golden = golden_get(golden_get(f->file, key), "float64");
	f->data = made_dataset(N, N, CLASSES, 1); /* only its size matters */
	f->device = (struct device){.spec = {.threads = 2, .direct = true}, .info = {.amp = dnn_has_bf16() ? "bf16" : NULL}, .data = f->data};
	if (plan_new(&f->plan, &f->device, f->net, &recipe, N, &err) < 0)
		fail_msg("%s", err.text);
	f->ref = ref_net_new(f->net, N);
	set_formula_state(f);
	f->pixels = (size_t)(N * 3 * c->size * c->size);
	f->x = xcalloc(f->pixels, sizeof(double));
	f->x_float = xcalloc(f->pixels, sizeof(float));
	for (uint64_t i = 0; i < f->pixels; i++)
		f->x_float[i] = (float)(f->x[i] = golden_u(1000, i));
	for (int i = 0; i < N; i++)
		f->labels[i] = (37 * i + 11) % CLASSES;
}

static void fixture_fini(struct fixture *f)
{
	plan_free(f->plan);
	ref_net_free(f->ref);
	made_free(f->data);
	net_free(f->net);
	json_decref(f->file);
	free(f->x);
	free(f->x_float);
}

static void note(const struct fixture *f, enum measure m, double off)
{
	const struct net_case *c = f->c;
	autofree char *what = xasprintf("%s, %s stem: %s", c->model, stems[c->stem], measure_names[m]);
	report(what, c->amp ? "bf16" : "fp32", off, c->limits[m]);
	assert_close(what, off, c->limits[m]);
}

/* Estimated distance of a tensor from golden's, relative. */
static double golden_off(const json_t *stats, const float *v, size_t count)
{
	double difference = 0, norm = 0;
	autofree double *d = xcalloc(count, sizeof(*d));
	values_copy(d, DTYPE_F64, v, DTYPE_F32, count);
	golden_compare(stats, d, count, &difference, &norm);
	return sqrt(difference / norm);
}

static void check_eval(struct fixture *f)
{
	struct err err;
	struct pass *pass = f->plan->passes[0];
	autofree double *expected = golden_doubles(golden_get(f->golden, "logits_eval_first8"), NULL);
	double off = 0;
	assert_int_equal(pass_infer(pass, f->x_float, f->labels, &err), 0);
	for (int i = 0; i < N; i++)
		for (int k = 0; k < FIRST; k++)
			off = fmax(off, fabs(pass->head.logits[i * CLASSES + k] - expected[i * FIRST + k]));
	note(f, LOGITS, off);
}

static void check_gradients(struct fixture *f)
{
	const json_t *expected = golden_get(f->golden, "grad_step1");
	double worst = 0, sum = 0;
	for (int i = 0; i < f->net->n_params; i++) {
		const struct net_param *p = &f->net->params[i];
		double off = golden_off(golden_get(expected, p->name), f->plan->arenas.grads + p->offset, p->count);
		worst = fmax(worst, off);
		sum += off;
	}
	note(f, WORST_GRADIENT, worst);
	note(f, GRADIENT, sum / f->net->n_params);
}

static void check_running(struct fixture *f)
{
	const json_t *expected = golden_get(f->golden, "running_after_step1");
	double worst = 0;
	for (int i = 0; i < 2 * f->net->n_bns; i++) {
		const struct net_bn *bn = &f->net->bns[i / 2];
		size_t c = (size_t)bn->channels;
		autofree char *name = xasprintf("%s.running_%s", bn->name, i % 2 ? "var" : "mean");
		const float *v = f->plan->buffers + bn->offset + (i % 2 ? c : 0);
		worst = fmax(worst, golden_off(golden_get(expected, name), v, c));
	}
	note(f, STATISTICS, worst);
}

/* Against ref with the cpu backend's activations. */
static void check_same_relus(struct fixture *f)
{
	double worst = 0;
	struct sums sums = {0};
	ref_forward(f->ref, N, f->x, true);
	struct relus relus = give_relus(f->plan, f->plan->passes[0], f->ref);
	print_message("# %s, %s stem: %zu of %zu ReLU outputs parted\n", f->c->model, stems[f->c->stem], relus.parted,
		      relus.outputs);
	struct targets targets = targets_of(f->labels, 0.1);
	ref_loss(f->ref, &targets, &sums);
	ref_backward(f->ref);
	for (int i = 0; i < f->net->n_params; i++) {
		const struct net_param *p = &f->net->params[i];
		worst = fmax(worst, distance(f->plan->arenas.grads + p->offset, ref_grads(f->ref) + p->offset, p->count));
	}
	note(f, SAME_RELUS, worst);
}

static void test_network(void **state)
{
	struct fixture f;
	struct err err;
	const struct net_case *c = *state;
	fixture_init(&f, c);
	struct pass *pass = f.plan->passes[0];
	autofree double *losses = golden_doubles(golden_get(f.golden, "loss_3_steps"), NULL);
	check_eval(&f);
	struct targets targets = targets_of(f.labels, 0.1);
	assert_int_equal(pass_forward(pass, f.x_float, &targets, &err), 0);
	double loss = 0;
	for (int i = 0; i < N; i++)
		loss += pass->head.losses[i] / N;
	note(&f, LOSS, fabs(loss - losses[0]) / losses[0]);
	pass_move_running(pass, f.plan->buffers);
	check_running(&f);
	assert_int_equal(pass_backward(pass, &err), 0);
	check_gradients(&f);
	check_same_relus(&f);
	fixture_fini(&f);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_LEN(cases)];
	bool bf16 = bf16_run(argc, argv);
	size_t n = 0;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (cases[i].amp == bf16)
			tests[n++] = (struct CMUnitTest){.name = cases[i].model, .test_func = test_network,
							 .initial_state = (void *)&cases[i]};
	return _cmocka_run_group_tests("cpu against torch, whole nets", tests, n, NULL, NULL);
}
