/* The loss scale's step (torch.amp.GradScaler's update with growth 2 and backoff 0.5), by one thread after the
 * optimizer's last read of it. */
#pragma once

#include "vocab.h"

DEVICE void scaler_step(struct step_state *s, uint32_t growth_interval)
{
	if (s->found_inf) {
		s->found_inf = 0;
		s->skipped_steps++;
		s->good_steps = 0;
		if (growth_interval > 0)
			s->loss_scale *= 0.5f;
	} else if (growth_interval > 0 && ++s->good_steps >= growth_interval) {
		s->good_steps = 0;
		if (s->loss_scale * 2 < INFINITY)
			s->loss_scale *= 2;
	}
}
