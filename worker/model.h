/* A network, described once: operations on shaped tensors, and the parameters they use.
 *
 * Nothing here computes.  A backend walks `ops` forward and backward and is free to fuse neighbours (BN+ReLU,
 * add+ReLU) and to store activations as it likes; names and shapes of parameters are torchvision's
 * (torchvision/models/resnet.py, v1.5: the stride of a bottleneck is on its 3x3 convolution). */
#pragma once

#include "common/base.h"

enum op_kind { OP_CONV, OP_BN, OP_RELU, OP_MAXPOOL, OP_ADD, OP_AVGPOOL, OP_FC };

enum param_role { ROLE_CONV, ROLE_BN_WEIGHT, ROLE_BN_BIAS, ROLE_FC_WEIGHT, ROLE_FC_BIAS };

struct tensor { /* activation of one image: (C, H, W) */
	int c, h, w;
	int uses; /* how many ops read it: 2 where a residual branches, so two gradients join */
};

struct op {
	enum op_kind kind;
	int in, in2, out;	/* tensor ids; in2 only for OP_ADD, else -1 */
	int kernel, stride, pad; /* OP_CONV, OP_MAXPOOL (whose padding is never the maximum) */
	int param;		/* first parameter: conv weight; BN weight (bias follows); FC weight (bias follows); else -1 */
	int bn;			/* OP_BN: index of its running statistics, else -1 */
};

struct net_param {
	char name[64]; /* "layer1.0.conv1.weight" */
	enum param_role role;
	int group; /* of learning rates (N_GROUPS, optim.h): 0: conv1, bn1, layer1, layer2; 1: layer3; 2: layer4, fc.  Does not
		    * fall from one parameter to the next */
	int ndim, shape[4]; /* conv: O, I, kh, kw; fc weight: O, I; else: C */
	size_t offset, count; /* elements, in the flat arena of all parameters */
};

struct net_bn { /* running_mean (C) then running_var (C) in the flat arena of buffers */
	char name[64]; /* "layer1.0.bn1" */
	int channels;
	size_t offset; /* of running_mean; running_var is at offset + channels */
};

/* What a network begins with; in the order of params.def's `stem`.
 *
 *   STEM_CIFAR     conv1 3x3, stride 1, padding 1; no pooling.  In torchvision's terms:
 *                      net = resnet18(num_classes=K)
 *                      net.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False); net.maxpool = nn.Identity()
 *   STEM_IMAGENET  conv1 7x7, stride 2, padding 3, and MaxPool2d(3, 2, 1) behind bn1 and ReLU: resnet18(num_classes=K) as
 *                  it is.  The first stage sees a quarter of the image's side.
 *
 * The names of the state dict are the same, conv1.weight has another shape. */
enum stem { STEM_CIFAR, STEM_IMAGENET };

struct net {
	enum stem stem;
	int classes;
	struct tensor *tensors; /* tensors[0] is the input, the last one the logits (classes, 1, 1) */
	struct op *ops;		/* in order of execution */
	struct net_param *params; /* in torchvision's state-dict order */
	struct net_bn *bns;	/* in state-dict order */
	int n_tensors, n_ops, n_params, n_bns;
	size_t param_count;  /* elements of all parameters */
	size_t buffer_count; /* elements of all running means and variances */
};

#define BN_EPS 1e-5
#define BN_MOMENTUM 0.1 /* running = 0.9 * running + 0.1 * batch; running_var takes the unbiased variance */

/* name: one of params.def's `model`, for a 3 x size x size image.  NULL: no such network.
 * resnet18, 34, 50: torchvision's.  resnet8 and resnet20: section 4.2 of He et al. 2015 (arXiv 1512.03385), 6n+2 layers
 * in three stages of 16, 32 and 64 channels, with projections (option B) where the shape changes: the same blocks and
 * names, and the same initialisation. */
struct net *net_new(const char *name, enum stem stem, int size, int classes);
/* Any bottleneck/basic residual network, for tests: blocks per stage (0: no such stage), width of the first stage. */
struct net *net_new_custom(enum stem stem, bool bottleneck, const int blocks[4], int width, int size, int classes);
/* The fewest images that a training step can take: 2 where a batch norm sees a single value of an image (ResNet-18 with
 * the ImageNet stem on 32x32), whose variance does not exist for one image, as torch says too; else 1. */
int net_min_batch(const struct net *net);
void net_free(struct net *net);

/* Fills params (param_count floats, OIHW) and buffers (buffer_count) with torch's initialisation drawn from seed:
 * conv kaiming_normal(fan_out), fc uniform(+-1/sqrt(in)), BN 1 and 0, running_mean 0, running_var 1.  The CIFAR stem's
 * conv1, replaced after construction, has Conv2d's own default: uniform(+-1/sqrt(27)). */
void net_init(const struct net *net, uint64_t seed, float *params, float *buffers);
