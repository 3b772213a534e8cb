/* The parts of softmax_ce that no cell type changes. */
#pragma once

#include "vocab.h"

/* A block's share of the sums: the first 8 of the (8 + C) floats of partials it writes, its column sums of dlogits
 * behind them. */
enum { PART_LOSS, PART_CORRECT, PART_CORRECT5, PART_COLUMNS = 8 };

struct row_loss {
	float loss;
	uint32_t rank;	/* how many logits come before the label's */
	float correct; /* targets_correct() */
};

/* What an image should be: worker/mix.h's target_of(), rounded. */
struct row_target {
	float base, weight, weight2;
	int32_t label, label2; /* label2 -1: none */
	float share;	       /* of label where it is correct; the rest is label2's */
};

DEVICE struct row_target row_target_of(const struct softmax_ce_args *a, uint32_t row)
{
	float share = a->partners ? a->shares[row] : 1;
	struct targets targets = {a->labels, a->partners, (double)share, (double)a->smoothing};
	struct target t = target_of(&targets, (int)row, (int)a->classes);
	struct row_target r = {(float)t.base, (float)t.weight, (float)t.weight2, t.label, t.label2, share};
	return r;
}

/* The whole batch's sums, from the blocks' in their order. */
DEVICE void add_to_state(const struct softmax_ce_args *a, uint32_t stride, uint32_t blocks)
{
	struct step_state *state = a->state;
	double loss = 0, correct = 0;
	uint32_t correct5 = 0;
	for (uint32_t block = 0; block < blocks; block++) {
		struct float8 part = ld8_other_block(a->partials + (size_t)block * stride, 0);
		loss += part.v[PART_LOSS];
		correct += part.v[PART_CORRECT];
		correct5 += (uint32_t)part.v[PART_CORRECT5];
	}
	if (a->mirrored) {
		state->mirror_loss += loss;
		state->mirror_correct += correct;
		state->mirror_correct5 += correct5;
		return;
	}
	if (!(loss - loss == 0) && state->bad_step == NO_BAD_STEP)
		state->bad_step = state->step;
	if (a->results)
		a->results[state->step].loss = loss;
	state->loss += loss;
	state->correct += correct;
	state->correct5 += correct5;
	state->images += a->n;
}
