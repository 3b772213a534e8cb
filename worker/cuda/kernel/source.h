/* The image a thread block is to produce: which sample, what is drawn of it, where its bytes are. */
#pragma once

#include "vocab.h"

#include "worker/augment_place.h"

struct sample {
	struct sample_key key;
	const uint8_t *pixels; /* of its first channel */
	int32_t label;
	struct augment_draw draw; /* of the place */
	struct erase_draw erase;
};

/* i: position in the batch */
DEVICE struct sample sample_of(const struct batch_source *s, uint32_t i)
{
	uint32_t index = s->state->step * s->batch + i;
	if (s->order)
		index = s->order[index];
	struct sample r = {{s->state->seed, index, s->state->epoch}, s->pixels + index * s->pitch,
			   s->labels[index * s->label_pitch], augment_draw_none(s->settings.size), {{{0, 0, 0, 0}, {0, 0, 0, 0}}}};
	r.draw.flip = s->mirrored;
	if (s->draws) {
		r.draw = augment_draw(&r.key, &s->settings);
		r.erase = erase_draw(&r.key, &s->settings);
	}
	return r;
}

/* Whose pixels image i is mixed with: the batch rolled by one. */
DEVICE uint32_t partner_of(const struct batch_source *s, uint32_t i)
{
	return i > 0 ? i - 1 : s->n - 1;
}
