/* The loss scale of fp16, torch.amp.GradScaler's state machine: gradients are multiples of the scale; a step with a
 * gradient that is not finite changes no parameter and halves the scale, SCALER_INTERVAL good steps double it, unless it
 * would become infinite.  The device moves it at a step's end; the host only reads and sets it. */
#pragma once

#include "hd.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

#define SCALER_INIT	65536.0f /* init_scale */
#define SCALER_INTERVAL 2000	 /* growth_interval; growth_factor 2, backoff_factor 0.5 */

struct grad_scaler { /* scale 0: nothing is scaled, or a plan's own beginning */
	float scale;
	uint32_t good_steps;	/* since it last changed */
	uint32_t skipped_steps; /* whose gradients were not finite */
};

/* interval 0: the scale is fixed. */
HD void scaler_update(struct grad_scaler *s, bool found_inf, uint32_t interval)
{
	if (found_inf) {
		s->skipped_steps++;
		s->good_steps = 0;
		if (interval > 0)
			s->scale *= 0.5f;
	} else if (interval > 0 && ++s->good_steps >= interval) {
		s->good_steps = 0;
		if (s->scale * 2 < INFINITY)
			s->scale *= 2;
	}
}
