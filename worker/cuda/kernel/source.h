/* The image a thread block is to produce: which sample, how it is drawn, where its bytes are. */
#pragma once

#include "vocab.h"

#include "worker/sample_draw.h"

struct sample {
	const uint8_t *pixels; /* of its first channel */
	uint64_t plane_pitch;
	int32_t label;
	struct augment_draw draw;
};

/* i: position in the batch */
DEVICE struct sample sample_of(const struct batch_source *s, uint32_t i)
{
	uint32_t index = s->state->step * s->batch + i;
	if (s->order)
		index = s->order[index];
	struct sample r;
	r.pixels = s->pixels + index * s->pitch;
	r.plane_pitch = s->plane_pitch;
	r.label = s->labels[index * s->label_pitch];
	r.draw = augment_draw(s->state->seed, index, s->state->epoch, s->crop, s->flip);
	return r;
}

DEVICE float sample_byte(const struct sample *s, int channel, int y, int x)
{
	return (float)augment_byte(s->pixels + channel * s->plane_pitch, s->draw, y, x);
}

/* Between four pixels of the augmented image. */
DEVICE float sample_between(const struct sample *s, int channel, struct bilinear y, struct bilinear x)
{
	float top = (1 - x.weight) * sample_byte(s, channel, y.low, x.low) +
		    x.weight * sample_byte(s, channel, y.low, x.high);
	float bottom = (1 - x.weight) * sample_byte(s, channel, y.high, x.low) +
		       x.weight * sample_byte(s, channel, y.high, x.high);
	return (1 - y.weight) * top + y.weight * bottom;
}
