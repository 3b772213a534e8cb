/* The state of a sweep at W&B: buttons pressed there act on jobs, and it is told when all has ended.  See
 * wsweep_internal.h. */
#include "wsweep_internal.h"

#include "common/log.h"

/* --- buttons --- */

static void ask_jobs(struct wsweep *ws, const char *verb, const char *state, const char *reason)
{
	struct err err;
	json_t *jobs = NULL;
	if (rows_jobs_in(ws->follow->rows, ws->id, state, reason, &jobs, &err) < 0)
		log_warn("sweep s%lld: %s", (long long)ws->id, err.text);
	else
		follow_ask(ws->follow, verb, jobs);
}

/* What was seen last decides: a state acts once, also after a restart. */
void wsweep_take_state(struct wsweep *ws, const char *state)
{
	if (!state || (ws->state && str_eq(state, ws->state)))
		return;
	log_info("sweep s%lld: %s in W&B", (long long)ws->id, state);
	if (str_eq(state, "PAUSED"))
		ask_jobs(ws, "pause", "queued", NULL);
	else if (str_eq(state, "RUNNING"))
		ask_jobs(ws, "resume", "paused", "paused by W&B");
	else if (str_eq(state, "FINISHED") || str_eq(state, "CANCELED")) {
		ask_jobs(ws, "cancel", "queued", NULL);
		ask_jobs(ws, "cancel", "paused", NULL);
		if (str_eq(state, "CANCELED"))
			ask_jobs(ws, "cancel", "running", NULL);
	}
	replace(&ws->state, state);
	wsweep_say(ws);
}

/* --- its state there --- */

void wsweep_reopened(struct wsweep *ws)
{
	ws->reopened = ws->state && str_eq(ws->state, "FINISHED");
}

static bool is_over(const struct wsweep *ws)
{
	return ws->state && (str_eq(ws->state, "FINISHED") || str_eq(ws->state, "CANCELED"));
}

static bool has_open_jobs(const struct wsweep *ws)
{
	int64_t open = 1;
	return rows_open_jobs(ws->follow->rows, ws->id, &open, NULL) < 0 || open > 0;
}

/* Its jobs have all ended, or go on after it was said to be finished. */
const char *wsweep_wanted_state(struct wsweep *ws)
{
	if (ws->reopened) {
		ws->reopened = false;
		return "RUNNING";
	}
	if (is_over(ws) || has_open_jobs(ws) || follow_owes(ws->follow, ws))
		return NULL;
	return "FINISHED";
}

bool wsweep_is_over(const struct wsweep *ws)
{
	return is_over(ws) && !has_open_jobs(ws);
}
