/* The networks against torchvision's state dicts, their operations' shapes, Philox and the initialisation. */
#include "golden.h"

#include "common/params.h"
#include "worker/optim.h"
#include "worker/rng.h"

#include <math.h>

/* Every network there is.  gmacs: multiplications of a forward pass of one image, 100 classes, in 10^9; params: known
 * figures.  last: (C, H, W) before the pooling. */
static const struct model {
	const char *name;
	enum stem stem;
	int image;
	double gmacs;
	size_t params;
	int channels, size;
} models[] = {
	{"resnet8", STEM_CIFAR, 32, 0.0125, 83892, 64, 8},
	{"resnet18", STEM_CIFAR, 32, 0.5555, 11220132, 512, 4},
	{"resnet20", STEM_CIFAR, 32, 0.0408, 278324, 64, 8},
	{"resnet34", STEM_CIFAR, 32, 1.1594, 21328292, 512, 4},
	{"resnet50", STEM_CIFAR, 32, 1.2980, 23705252, 2048, 4},
	{"resnet18", STEM_IMAGENET, 224, 1.8136, 11227812, 512, 7},
	{"resnet50", STEM_IMAGENET, 224, 4.0873, 23712932, 2048, 7},
};
static const char *const names[] = {"resnet8", "resnet18", "resnet20", "resnet34", "resnet50"};
static const char *const stems[] = {[STEM_CIFAR] = "cifar", [STEM_IMAGENET] = "imagenet"};

/* Key `at` of the state dict: its name and shape. */
static void check_key(const json_t *keys, size_t at, const char *name, int ndim, const int *shape)
{
	const json_t *key = json_array_get(keys, at);
	assert_string_equal(json_string_value(json_array_get(key, 0)), name);
	const json_t *expected = json_array_get(key, 1);
	assert_int_equal(json_array_size(expected), ndim);
	for (int i = 0; i < ndim; i++)
		assert_int_equal(json_integer_value(json_array_get(expected, (size_t)i)), shape[i]);
}

static size_t check_bn(const json_t *keys, size_t at, const struct net_bn *bn)
{
	static const char *const leaves[] = {"running_mean", "running_var", "num_batches_tracked"};
	for (size_t i = 0; i < 3; i++) {
		autofree char *name = xasprintf("%s.%s", bn->name, leaves[i]);
		check_key(keys, at + i, name, i < 2 ? 1 : 0, &bn->channels);
	}
	return at + 3;
}

static void check_table(const json_t *tables, const char *model, enum stem stem)
{
	autofree char *table_name = xasprintf("%s_%s_100", model, stems[stem]);
	const json_t *table = golden_get(tables, table_name), *keys = golden_get(table, "keys");
	struct net *net = net_new(model, stem, 32, 100);
	size_t at = 0;
	int bn = 0;
	for (int i = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		check_key(keys, at++, p->name, p->ndim, p->shape);
		if (p->role == ROLE_BN_BIAS)
			at = check_bn(keys, at, &net->bns[bn++]);
	}
	assert_int_equal(at, json_array_size(keys));
	assert_int_equal(bn, net->n_bns);
	assert_int_equal(net->param_count, json_integer_value(golden_get(table, "params")));
	assert_int_equal(net->n_params, json_integer_value(golden_get(table, "n_param_tensors")));
	net_free(net);
}

static void test_state_dict_of_torchvision(void **state)
{
	json_t *tables = golden_load("tables.json");
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (size_t stem = 0; stem < ARRAY_LEN(stems); stem++)
			check_table(tables, names[i], (enum stem)stem);
	json_decref(tables);
}

/* Elements of torchvision's modules: conv1, bn1, layer1 and layer2; layer3; layer4 and fc. */
static void test_groups_of_learning_rates(void **state)
{
	static const struct {
		const char *model;
		size_t counts[N_GROUPS];
	} nets[] = {{"resnet18", {683072, 2099712, 8445028}}, {"resnet50", {1444928, 7098368, 15169636}}};
	for (size_t i = 0; i < ARRAY_LEN(nets); i++) {
		struct net *net = net_new(nets[i].model, STEM_IMAGENET, 224, 100);
		size_t counts[N_GROUPS] = {0};
		for (int p = 0; p < net->n_params; p++) {
			counts[net->params[p].group] += net->params[p].count;
			assert_true(p == 0 || net->params[p].group >= net->params[p - 1].group);
		}
		for (int g = 0; g < N_GROUPS; g++)
			assert_int_equal(counts[g], nets[i].counts[g]);
		net_free(net);
	}
}

static void test_unknown_network(void **state)
{
	assert_null(net_new("resnet19", STEM_CIFAR, 32, 100));
}

/* Every tensor but the input is written once before it is read, and `uses` counts its readers. */
static void check_ops(const struct net *net)
{
	int *written = xcalloc((size_t)net->n_tensors, sizeof(*written));
	int *read = xcalloc((size_t)net->n_tensors, sizeof(*read));
	written[0] = 1;
	for (int i = 0; i < net->n_ops; i++) {
		const struct op *op = &net->ops[i];
		assert_true(written[op->in] == 1 && written[op->out]++ == 0);
		read[op->in]++;
		assert_int_equal(op->in2 >= 0, op->kind == OP_ADD);
		if (op->in2 < 0)
			continue;
		assert_int_equal(written[op->in2], 1);
		read[op->in2]++;
		const struct tensor *a = &net->tensors[op->in], *b = &net->tensors[op->in2];
		assert_true(a->c == b->c && a->h == b->h && a->w == b->w);
	}
	for (int i = 0; i < net->n_tensors; i++) {
		assert_int_equal(written[i], 1);
		assert_int_equal(read[i], net->tensors[i].uses);
		assert_int_equal(read[i] == 0, i == net->n_tensors - 1);
	}
	free(written);
	free(read);
}

/* Multiplications of a forward pass of one image. */
static double macs(const struct net *net)
{
	double sum = 0;
	for (int i = 0; i < net->n_ops; i++) {
		const struct op *op = &net->ops[i];
		const struct tensor *out = &net->tensors[op->out];
		if (op->kind == OP_CONV || op->kind == OP_FC)
			sum += (double)net->params[op->param].count * out->h * out->w;
	}
	return sum;
}

static void test_operations(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(models); i++) {
		struct net *net = net_new(models[i].name, models[i].stem, models[i].image, 100);
		check_ops(net);
		assert_near(macs(net) / 1e9, models[i].gmacs, 0, 5e-5, models[i].name);
		assert_int_equal(net->param_count, models[i].params);
		const struct tensor *last = &net->tensors[net->ops[net->n_ops - 2].in];
		assert_true(last->c == models[i].channels && last->h == models[i].size && last->w == models[i].size);
		net_free(net);
	}
}

/* The names above are params.def's, in its order. */
static void check_choices(const char *param, const char *const *expected, size_t count)
{
	char name[32];
	size_t n = 0;
	for (; param_choice(param_find(param), (int)n, name, sizeof(name)); n++)
		assert_string_equal(name, expected[n]);
	assert_int_equal(n, count);
}

static void test_every_choice_is_a_network(void **state)
{
	check_choices("model", names, ARRAY_LEN(names));
	check_choices("stem", stems, ARRAY_LEN(stems));
}

/* On 32x32 the ImageNet stem leaves 1x1 after four stages, 2x2 after three. */
static void test_smallest_batch(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		for (size_t stem = 0; stem < ARRAY_LEN(stems); stem++) {
			struct net *net = net_new(names[i], (enum stem)stem, 32, 10);
			bool narrow = str_eq(names[i], "resnet8") || str_eq(names[i], "resnet20");
			assert_int_equal(net_min_batch(net), stem == STEM_IMAGENET && !narrow ? 2 : 1);
			net_free(net);
		}
}

static void test_custom_network(void **state)
{
	struct net *net = net_new_custom(STEM_CIFAR, true, (int[]){1, 1, 1, 1}, 4, 12, 7);
	check_ops(net);
	const struct tensor *logits = &net->tensors[net->n_tensors - 1];
	assert_true(logits->c == 7 && logits->h == 1 && logits->w == 1);
	const struct tensor *last = &net->tensors[net->ops[net->n_ops - 2].in];
	assert_true(last->c == 4 * 4 * 8 && last->h == 2); /* 12 -> 6 -> 3 -> 2 */
	net_free(net);
}

/* --- numbers --- */

/* kat_vectors of Random123. */
static void test_philox_known_answers(void **state)
{
	static const struct {
		uint32_t counter[4], key[2], expected[4];
	} kat[] = {
		{{0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{{~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
		{{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
		 {0xa4093822, 0x299f31d0},
		 {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
	};
	for (size_t i = 0; i < ARRAY_LEN(kat); i++) {
		const uint32_t *c = kat[i].counter;
		uint64_t key = (uint64_t)kat[i].key[1] << 32 | kat[i].key[0];
		struct philox r = philox4x32(key, c[0], c[1], c[2], c[3]);
		assert_memory_equal(r.v, kat[i].expected, sizeof(r.v));
	}
}

static void moments(const float *v, size_t n, double *mean, double *std, double *largest)
{
	double sum = 0, squares = 0;
	*largest = 0;
	for (size_t i = 0; i < n; i++) {
		sum += v[i];
		squares += (double)v[i] * v[i];
		*largest = fmax(*largest, fabs(v[i]));
	}
	*mean = sum / (double)n;
	*std = sqrt(squares / (double)n - *mean * *mean);
}

/* Uniform values fill [-bound, bound]; normal ones have the std and go beyond 3 of them. */
static void check_init(const struct net_param *p, const float *v, bool uniform, double scale)
{
	double mean, std, largest, expected = uniform ? scale / sqrt(3) : scale;
	moments(v, p->count, &mean, &std, &largest);
	double noise = 5 / sqrt((double)p->count); /* five standard errors */
	assert_near(mean, 0, 0, noise * expected, p->name);
	assert_near(std, expected, noise, 0, p->name);
	assert_true(uniform ? largest <= scale && largest > 0.95 * scale : largest > 3 * scale);
}

static void check_inits(enum stem stem)
{
	struct net *net = net_new("resnet18", stem, 32, 100);
	float *values = xcalloc(net->param_count, sizeof(float)), *buffers = xcalloc(net->buffer_count, sizeof(float));
	net_init(net, 7, values, buffers);
	for (int i = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		const float *v = values + p->offset;
		if (p->role == ROLE_CONV && i == 0 && stem == STEM_CIFAR)
			check_init(p, v, true, 1 / sqrt(27.0));
		else if (p->role == ROLE_CONV)
			check_init(p, v, false, sqrt(2.0 / (p->shape[0] * p->shape[2] * p->shape[3])));
		else if (p->role == ROLE_FC_WEIGHT)
			check_init(p, v, true, 1 / sqrt(512.0));
		else if (p->role == ROLE_FC_BIAS)
			assert_true(fabsf(v[0]) <= 1 / sqrtf(512) && v[0] != v[1]);
		else
			assert_true(v[0] == (p->role == ROLE_BN_WEIGHT) && v[p->count - 1] == v[0]);
	}
	for (int i = 0; i < net->n_bns; i++) {
		const float *mean = buffers + net->bns[i].offset;
		int c = net->bns[i].channels;
		assert_true(mean[0] == 0 && mean[c - 1] == 0 && mean[c] == 1 && mean[2 * c - 1] == 1);
	}
	free(values);
	free(buffers);
	net_free(net);
}

static void test_init_is_torchs(void **state)
{
	check_inits(STEM_CIFAR);
	check_inits(STEM_IMAGENET);
}

static void test_init_depends_on_the_seed_only(void **state)
{
	struct net *net = net_new_custom(STEM_CIFAR, false, (int[]){1, 1, 1, 1}, 4, 32, 10);
	size_t size = net->param_count * sizeof(float);
	float *a = xcalloc(1, size), *b = xmalloc(size), *buffers = xcalloc(net->buffer_count, sizeof(float));
	memset(b, 0xff, size); /* every value is written */
	net_init(net, 1, a, buffers);
	net_init(net, 1, b, buffers);
	assert_memory_equal(a, b, size);
	net_init(net, 2, b, buffers);
	assert_memory_not_equal(a, b, size);
	free(a);
	free(b);
	free(buffers);
	net_free(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state_dict_of_torchvision),
		cmocka_unit_test(test_groups_of_learning_rates),
		cmocka_unit_test(test_unknown_network),
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_every_choice_is_a_network),
		cmocka_unit_test(test_smallest_batch),
		cmocka_unit_test(test_custom_network),
		cmocka_unit_test(test_philox_known_answers),
		cmocka_unit_test(test_init_is_torchs),
		cmocka_unit_test(test_init_depends_on_the_seed_only),
	};
	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
