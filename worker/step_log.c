/* See step_log.h. */
#include "step_log.h"

#include "common/clock.h"
#include "common/json.h"

#include <math.h>

void step_log_init(struct step_log *log, const struct train_config *cfg)
{
	log->every = cfg->log_steps;
	log->norms = cfg->clip_grad_norm > 0;
	log->n = 0;
	log->emitted_s = monotonic_s();
}

int step_log_flush(struct step_log *log, struct event_log *events, int epoch, struct err *err)
{
	if (!log->n)
		return 0;
	json_t *steps = json_array(), *losses = json_array(), *rates = json_array(), *norms = json_array();
	for (size_t i = 0; i < log->n; i++) {
		const struct step_sample *s = &log->samples[i];
		json_array_append_new(steps, json_integer(s->step));
		json_array_append_new(losses, json_num(s->train_loss));
		json_array_append_new(rates, json_num(s->lr));
		json_array_append_new(norms, json_num(s->grad_norm));
	}
	json_t *body = json_pack("{s:i, s:o, s:o, s:o}", "epoch", epoch, "step", steps, "train_loss", losses, "lr", rates);
	if (log->norms)
		json_object_set(body, "grad_norm", norms);
	json_decref(norms);
	log->n = 0;
	log->emitted_s = monotonic_s();
	return event_emit(events, "steps", body, err);
}

int step_log_take(struct step_log *log, struct event_log *events, const struct step_span *span, struct err *err)
{
	int r = 0;
	for (uint32_t i = span->first; r == 0 && log->every && i < span->first + span->n; i++) {
		int64_t step = span->before + i + 1;
		const struct step_record *record = &span->records[i];
		if (step % log->every != 0 || !isfinite(record->loss))
			continue;
		log->samples[log->n++] = (struct step_sample){step, span->values[i].lr, record->loss, record->grad_norm};
		if (log->n == STEPS_EVENT_MAX)
			r = step_log_flush(log, events, span->epoch, err);
	}
	if (r == 0 && monotonic_s() - log->emitted_s >= STEP_LOG_INTERVAL_S)
		r = step_log_flush(log, events, span->epoch, err);
	return r;
}
