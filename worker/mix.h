/* MixUp (Zhang et al., arXiv 1710.09412) and CutMix (Yun et al., arXiv 1905.04899) of a batch as torchvision.transforms.v2
 * has them: after Normalize, the batch with itself rolled by one (image i with image i - 1, the first with the last), one
 * lambda a batch, drawn from Beta(alpha, alpha).  And what a mixed image should be.
 *
 *   MixUp   x = lambda * own + (1 - lambda) * partner
 *   CutMix  the partner's pixels in a box around a random centre, of (1 - lambda) of the area, cut at the border; lambda
 *           becomes the share of the image that is left
 *
 * What is drawn depends on (seed, epoch, step) alone. */
#pragma once

#include "hd.h"
#include "sample_draw.h"

#include <stddef.h>

enum mix_kind { MIX_NONE, MIX_MIXUP, MIX_CUTMIX };

struct mix { /* of one step's batch */
	enum mix_kind kind;
	float lambda;	/* the share of an image's own label, 1 - lambda its partner's; MIX_NONE: 1 */
	struct box box; /* CutMix: the partner's pixels */
};

/* A pixel's normalised value. */
HD float mixed_value(const struct mix *mix, float own, float partner, int y, int x)
{
	if (mix->kind == MIX_CUTMIX)
		return box_has(&mix->box, y, x) ? partner : own;
	return mix->lambda * own + (1 - mix->lambda) * partner;
}

/* What the images of a batch should be: q[k] = (1 - smoothing) * (share * (k == label) + (1 - share) * (k == partner's
 * label)) + smoothing / classes, as torch's CrossEntropyLoss(label_smoothing) makes of such targets.  An image counts as
 * correct with the share of the label that has the largest logit. */
struct targets {
	const int32_t *labels;	 /* (n) */
	const int32_t *partners; /* (n): the partner's; NULL: nothing is mixed */
	double share;		 /* lambda; 1 where nothing is mixed */
	double smoothing;
};

HD struct targets targets_of(const int32_t *labels, double smoothing) /* nothing is mixed */
{
	struct targets t = {labels, NULL, 1, smoothing};
	return t;
}

struct target { /* of one image: q[k] = base + weight * (k == label) + weight2 * (k == label2) */
	double base, weight, weight2;
	int32_t label, label2; /* label2 -1: none */
};

HD struct target target_of(const struct targets *t, int i, int classes)
{
	struct target r = {t->smoothing / classes, 1 - t->smoothing, 0, t->labels[i], -1};
	if (t->partners) {
		r.weight = (1 - t->smoothing) * t->share;
		r.weight2 = (1 - t->smoothing) * (1 - t->share);
		r.label2 = t->partners[i];
	}
	return r;
}

HD double target_at(const struct target *t, int32_t k)
{
	return t->base + (k == t->label ? t->weight : 0) + (k == t->label2 ? t->weight2 : 0);
}

/* best: the class with the largest logit. */
HD double targets_correct(const struct targets *t, int i, int32_t best)
{
	double own = best == t->labels[i] ? t->share : 0;
	return t->partners && best == t->partners[i] ? own + (1 - t->share) : own;
}

/* --- on the host --- */

struct mix_settings {
	bool mixup, cutmix; /* both: one or the other, by a coin for each batch */
	double mixup_alpha, cutmix_alpha; /* above 0 */
	double probability; /* of a batch to be mixed */
};

/* The epoch's table: n of the steps from 0 on, for images of size x size. */
void mixes_draw(struct mix *mixes, uint32_t n, const struct mix_settings *settings, uint64_t seed, uint32_t epoch, int size);

/* images: (n, 3, size, size), in place; kept: room for one of them. */
void mix_images(float *images, int n, int size, const struct mix *mix, float *kept);
