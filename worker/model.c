/* Builds torchvision's ResNets as lists of operations; see model.h.  To add a network: a row in nets[], and its builder
 * if it is no residual network. */
#include "model.h"

#include "rng.h"

#include <math.h>

/* --- pieces --- */

static int add_tensor(struct net *net, int c, int h, int w)
{
	net->tensors = xrealloc_array(net->tensors, (size_t)net->n_tensors + 1, sizeof(*net->tensors));
	net->tensors[net->n_tensors] = (struct tensor){.c = c, .h = h, .w = w};
	return net->n_tensors++;
}

static void add_op(struct net *net, struct op op)
{
	net->ops = xrealloc_array(net->ops, (size_t)net->n_ops + 1, sizeof(*net->ops));
	net->ops[net->n_ops++] = op;
	net->tensors[op.in].uses++;
	if (op.in2 >= 0)
		net->tensors[op.in2].uses++;
}

/* Of a module: what is near the images changes least in fine-tuning. */
static int group_of(const char *module)
{
	static const struct {
		const char *prefix;
		int group;
	} groups[] = {{"layer3", 1}, {"layer4", 2}, {"fc", 2}};
	for (size_t i = 0; i < ARRAY_LEN(groups); i++)
		if (strncmp(module, groups[i].prefix, strlen(groups[i].prefix)) == 0)
			return groups[i].group;
	return 0;
}

static int add_param(struct net *net, enum param_role role, const char *module, const char *leaf, int ndim,
		     const int *shape)
{
	net->params = xrealloc_array(net->params, (size_t)net->n_params + 1, sizeof(*net->params));
	struct net_param *p = &net->params[net->n_params];
	*p = (struct net_param){
		.role = role, .group = group_of(module), .ndim = ndim, .offset = net->param_count, .count = 1};
	int length = snprintf(p->name, sizeof(p->name), "%s.%s", module, leaf);
	INVARIANT(length < (int)sizeof(p->name), "parameter name %s.%s is too long", module, leaf);
	for (int i = 0; i < ndim; i++) {
		p->shape[i] = shape[i];
		p->count *= (size_t)shape[i];
	}
	net->param_count += p->count;
	return net->n_params++;
}

static int add_conv(struct net *net, const char *module, int in, int channels, int kernel, int stride)
{
	struct tensor t = net->tensors[in];
	int pad = kernel / 2;
	int h = (t.h + 2 * pad - kernel) / stride + 1, w = (t.w + 2 * pad - kernel) / stride + 1;
	int param = add_param(net, ROLE_CONV, module, "weight", 4, (int[]){channels, t.c, kernel, kernel});
	int out = add_tensor(net, channels, h, w);
	add_op(net, (struct op){.kind = OP_CONV, .in = in, .in2 = -1, .out = out, .kernel = kernel, .stride = stride,
				.pad = pad, .param = param, .bn = -1});
	return out;
}

static int add_bn(struct net *net, const char *module, int in)
{
	struct tensor t = net->tensors[in];
	int param = add_param(net, ROLE_BN_WEIGHT, module, "weight", 1, &t.c);
	add_param(net, ROLE_BN_BIAS, module, "bias", 1, &t.c);
	net->bns = xrealloc_array(net->bns, (size_t)net->n_bns + 1, sizeof(*net->bns));
	struct net_bn *bn = &net->bns[net->n_bns];
	*bn = (struct net_bn){.channels = t.c, .offset = net->buffer_count};
	snprintf(bn->name, sizeof(bn->name), "%s", module);
	net->buffer_count += 2 * (size_t)t.c;
	int out = add_tensor(net, t.c, t.h, t.w);
	add_op(net, (struct op){.kind = OP_BN, .in = in, .in2 = -1, .out = out, .param = param, .bn = net->n_bns++});
	return out;
}

static int add_relu(struct net *net, int in)
{
	struct tensor t = net->tensors[in];
	int out = add_tensor(net, t.c, t.h, t.w);
	add_op(net, (struct op){.kind = OP_RELU, .in = in, .in2 = -1, .out = out, .param = -1, .bn = -1});
	return out;
}

static int add_maxpool(struct net *net, int in, int kernel, int stride, int pad)
{
	struct tensor t = net->tensors[in];
	int h = (t.h + 2 * pad - kernel) / stride + 1, w = (t.w + 2 * pad - kernel) / stride + 1;
	int out = add_tensor(net, t.c, h, w);
	add_op(net, (struct op){.kind = OP_MAXPOOL, .in = in, .in2 = -1, .out = out, .kernel = kernel, .stride = stride,
				.pad = pad, .param = -1, .bn = -1});
	return out;
}

static int add_sum(struct net *net, int a, int b)
{
	struct tensor t = net->tensors[a];
	int out = add_tensor(net, t.c, t.h, t.w);
	add_op(net, (struct op){.kind = OP_ADD, .in = a, .in2 = b, .out = out, .param = -1, .bn = -1});
	return out;
}

static void add_classifier(struct net *net, int in, int classes)
{
	int c = net->tensors[in].c;
	int pooled = add_tensor(net, c, 1, 1);
	add_op(net, (struct op){.kind = OP_AVGPOOL, .in = in, .in2 = -1, .out = pooled, .param = -1, .bn = -1});
	int param = add_param(net, ROLE_FC_WEIGHT, "fc", "weight", 2, (int[]){classes, c});
	add_param(net, ROLE_FC_BIAS, "fc", "bias", 1, &classes);
	int logits = add_tensor(net, classes, 1, 1);
	add_op(net, (struct op){.kind = OP_FC, .in = pooled, .in2 = -1, .out = logits, .param = param, .bn = -1});
}

/* --- residual networks --- */

/* Convolution i of a block and its normalization: "layer1.0.conv2", "layer1.0.bn2". */
static int add_block_conv(struct net *net, const char *block, int i, int in, int channels, int kernel, int stride)
{
	char name[48];
	snprintf(name, sizeof(name), "%s.conv%d", block, i);
	int t = add_conv(net, name, in, channels, kernel, stride);
	snprintf(name, sizeof(name), "%s.bn%d", block, i);
	return add_bn(net, name, t);
}

static int add_block(struct net *net, const char *block, bool bottleneck, int in, int width, int stride)
{
	int channels = bottleneck ? 4 * width : width, t;
	if (bottleneck) {
		t = add_relu(net, add_block_conv(net, block, 1, in, width, 1, 1));
		t = add_relu(net, add_block_conv(net, block, 2, t, width, 3, stride));
		t = add_block_conv(net, block, 3, t, channels, 1, 1);
	} else {
		t = add_relu(net, add_block_conv(net, block, 1, in, width, 3, stride));
		t = add_block_conv(net, block, 2, t, width, 3, 1);
	}
	int identity = in;
	if (stride != 1 || net->tensors[in].c != channels) {
		char name[48];
		snprintf(name, sizeof(name), "%s.downsample.0", block);
		identity = add_conv(net, name, in, channels, 1, stride);
		snprintf(name, sizeof(name), "%s.downsample.1", block);
		identity = add_bn(net, name, identity);
	}
	return add_relu(net, add_sum(net, t, identity));
}

static int add_stem(struct net *net, int in, int width)
{
	bool imagenet = net->stem == STEM_IMAGENET;
	int t = add_conv(net, "conv1", in, width, imagenet ? 7 : 3, imagenet ? 2 : 1);
	t = add_relu(net, add_bn(net, "bn1", t));
	return imagenet ? add_maxpool(net, t, 3, 2, 1) : t;
}

struct net *net_new_custom(enum stem stem, bool bottleneck, const int blocks[4], int width, int size, int classes)
{
	struct net *net = xcalloc(1, sizeof(*net));
	net->stem = stem;
	net->classes = classes;
	int t = add_stem(net, add_tensor(net, 3, size, size), width);
	for (int stage = 0; stage < 4; stage++)
		for (int i = 0; i < blocks[stage]; i++) {
			char block[32];
			snprintf(block, sizeof(block), "layer%d.%d", stage + 1, i);
			int stride = stage > 0 && i == 0 ? 2 : 1;
			t = add_block(net, block, bottleneck, t, width << stage, stride);
		}
	add_classifier(net, t, classes);
	return net;
}

static const struct {
	const char *name;
	bool bottleneck;
	int blocks[4], width;
} nets[] = {
	{"resnet8", false, {1, 1, 1}, 16},
	{"resnet18", false, {2, 2, 2, 2}, 64},
	{"resnet20", false, {3, 3, 3}, 16},
	{"resnet34", false, {3, 4, 6, 3}, 64},
	{"resnet50", true, {3, 4, 6, 3}, 64},
};

struct net *net_new(const char *name, enum stem stem, int size, int classes)
{
	for (size_t i = 0; i < ARRAY_LEN(nets); i++)
		if (str_eq(nets[i].name, name))
			return net_new_custom(stem, nets[i].bottleneck, nets[i].blocks, nets[i].width, size, classes);
	return NULL;
}

int net_min_batch(const struct net *net)
{
	for (int i = 0; i < net->n_ops; i++) {
		const struct tensor *in = &net->tensors[net->ops[i].in];
		if (net->ops[i].kind == OP_BN && in->h * in->w == 1)
			return 2;
	}
	return 1;
}

void net_free(struct net *net)
{
	if (!net)
		return;
	free(net->tensors);
	free(net->ops);
	free(net->params);
	free(net->bns);
	free(net);
}

/* --- initialisation --- */

/* In (0, 1): never 0, so that its logarithm exists. */
static double unit(uint32_t bits)
{
	return ((double)bits + 0.5) * 0x1p-32;
}

/* Box-Muller: two normals from two uniforms. */
static void normal_pair(uint32_t bits0, uint32_t bits1, double ret[2])
{
	double radius = sqrt(-2 * log(unit(bits0))), angle = 2 * M_PI * unit(bits1);
	ret[0] = radius * cos(angle);
	ret[1] = radius * sin(angle);
}

static void fill_normal(float *values, size_t count, double std, uint64_t seed, uint32_t stream)
{
	for (size_t i = 0; i < count; i += 4) {
		struct philox r = philox4x32(seed, (uint32_t)(i / 4), stream, RNG_INIT, 0);
		double z[4];
		normal_pair(r.v[0], r.v[1], z);
		normal_pair(r.v[2], r.v[3], z + 2);
		for (size_t j = 0; j < 4 && i + j < count; j++)
			values[i + j] = (float)(std * z[j]);
	}
}

static void fill_uniform(float *values, size_t count, double bound, uint64_t seed, uint32_t stream)
{
	for (size_t i = 0; i < count; i += 4) {
		struct philox r = philox4x32(seed, (uint32_t)(i / 4), stream, RNG_INIT, 0);
		for (size_t j = 0; j < 4 && i + j < count; j++)
			values[i + j] = (float)(bound * (2 * unit(r.v[j]) - 1));
	}
}

static void fill_const(float *values, size_t count, float value)
{
	for (size_t i = 0; i < count; i++)
		values[i] = value;
}

static void init_param(const struct net *net, int index, uint64_t seed, float *values)
{
	const struct net_param *p = &net->params[index];
	uint32_t stream = (uint32_t)index;
	double area = p->shape[2] * p->shape[3];
	switch (p->role) {
	case ROLE_CONV:
		if (index == 0 && net->stem == STEM_CIFAR)
			fill_uniform(values, p->count, 1 / sqrt(p->shape[1] * area), seed, stream);
		else
			fill_normal(values, p->count, sqrt(2 / (p->shape[0] * area)), seed, stream);
		break;
	case ROLE_BN_WEIGHT:
		fill_const(values, p->count, 1);
		break;
	case ROLE_BN_BIAS:
		fill_const(values, p->count, 0);
		break;
	case ROLE_FC_WEIGHT:
		fill_uniform(values, p->count, 1 / sqrt(p->shape[1]), seed, stream);
		break;
	case ROLE_FC_BIAS: /* the weight stands before it; both have its fan_in */
		fill_uniform(values, p->count, 1 / sqrt(net->params[index - 1].shape[1]), seed, stream);
		break;
	}
}

void net_init(const struct net *net, uint64_t seed, float *params, float *buffers)
{
	for (int i = 0; i < net->n_params; i++)
		init_param(net, i, seed, params + net->params[i].offset);
	for (int i = 0; i < net->n_bns; i++) {
		size_t channels = (size_t)net->bns[i].channels;
		fill_const(buffers + net->bns[i].offset, channels, 0);
		fill_const(buffers + net->bns[i].offset + channels, channels, 1);
	}
}
