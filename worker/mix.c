/* See mix.h.  Compiled without fused multiply-add, as the device's kernels. */
#include "mix.h"

#include "common/base.h"

/* --- draws --- */

struct stream { /* of random words of one step */
	uint64_t seed;
	uint32_t step, epoch, next;
	struct philox block;
};

static uint32_t word(struct stream *s)
{
	if (s->next % 4 == 0)
		s->block = philox4x32(s->seed, s->step, s->epoch, RNG_MIX, s->next / 4);
	return s->block.v[s->next++ % 4];
}

static double open_unit(struct stream *s) /* in (0, 1) */
{
	return ((double)word(s) + 0.5) * (1.0 / 4294967296.0);
}

static double normal(struct stream *s) /* Box and Muller */
{
	double radius = sqrt(-2 * log(open_unit(s))), angle = 2 * 3.14159265358979323846 * open_unit(s);
	return radius * cos(angle);
}

/* log of a Gamma(alpha, 1) variable: Marsaglia and Tsang (2000), below 1 through alpha + 1.  Its logarithm, as for small
 * alpha it may be less than any double. */
static double log_gamma_variable(struct stream *s, double alpha)
{
	if (alpha < 1) {
		double boost = log(open_unit(s)) / alpha;
		return log_gamma_variable(s, alpha + 1) + boost;
	}
	double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
	for (;;) {
		double x = normal(s), v = 1 + c * x;
		if (v <= 0)
			continue;
		v = v * v * v;
		if (log(open_unit(s)) < 0.5 * x * x + d - d * v + d * log(v))
			return log(d * v);
	}
}

static double beta_variable(struct stream *s, double alpha)
{
	double x = log_gamma_variable(s, alpha), y = log_gamma_variable(s, alpha);
	return 1 / (1 + exp(y - x));
}

/* torchvision.transforms.v2.CutMix._get_params() */
static struct mix cutmix(struct stream *s, double alpha, int size)
{
	double lambda = beta_variable(s, alpha), half = 0.5 * sqrt(1 - lambda);
	int x = (int)rng_below(word(s), (uint32_t)size), y = (int)rng_below(word(s), (uint32_t)size);
	int reach = (int)(half * size);
	struct box box = {MAX(x - reach, 0), MAX(y - reach, 0), MIN(x + reach, size), MIN(y + reach, size)};
	double area = (double)(box.x2 - box.x1) * (box.y2 - box.y1);
	return (struct mix){.kind = MIX_CUTMIX, .lambda = (float)(1 - area / ((double)size * size)), .box = box};
}

static struct mix draw(const struct mix_settings *m, struct stream *s, int size)
{
	bool mixed = rng_unit(word(s)) < m->probability, coin = word(s) >> 31;
	if (!mixed || (!m->mixup && !m->cutmix))
		return (struct mix){.kind = MIX_NONE, .lambda = 1};
	if (m->cutmix && (coin || !m->mixup))
		return cutmix(s, m->cutmix_alpha, size);
	return (struct mix){.kind = MIX_MIXUP, .lambda = (float)beta_variable(s, m->mixup_alpha)};
}

void mixes_draw(struct mix *mixes, uint32_t n, const struct mix_settings *settings, uint64_t seed, uint32_t epoch, int size)
{
	for (uint32_t step = 0; step < n; step++) {
		struct stream stream = {.seed = seed, .step = step, .epoch = epoch};
		mixes[step] = draw(settings, &stream, size);
	}
}

/* --- images --- */

/* own = lambda * own + (1 - lambda) * partner */
static void mix_values(float *restrict own, const float *restrict partner, size_t n, const struct mix *mix)
{
	for (size_t i = 0; i < n; i++)
		own[i] = mixed_value(mix, own[i], partner[i], 0, 0);
}

static void paste(float *own, const float *partner, int size, const struct box *box)
{
	if (box->x2 <= box->x1)
		return;
	for (int c = 0; c < 3; c++)
		for (int y = box->y1; y < box->y2; y++) {
			int at = (c * size + y) * size + box->x1;
			memcpy(own + at, partner + at, (size_t)(box->x2 - box->x1) * sizeof(*own));
		}
}

void mix_images(float *images, int n, int size, const struct mix *mix, float *kept)
{
	size_t values = 3 * (size_t)size * (size_t)size;
	if (mix->kind == MIX_NONE)
		return;
	memcpy(kept, images + (size_t)(n - 1) * values, values * sizeof(*kept));
	for (int i = n - 1; i >= 0; i--) { /* from the end, so that a partner is as it was */
		float *own = images + (size_t)i * values, *partner = i > 0 ? own - values : kept;
		if (mix->kind == MIX_MIXUP)
			mix_values(own, partner, values, mix);
		else
			paste(own, partner, size, &mix->box);
	}
}
