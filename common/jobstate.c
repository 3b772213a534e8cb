/* See jobstate.h. */
#include "jobstate.h"

const char *const job_state_names[N_JOB_STATES] = {
#define X(id, text) text,
	JOB_STATES(X)
#undef X
};

const char *const attempt_state_names[N_ATTEMPT_STATES] = {
#define X(id, text) text,
	ATTEMPT_STATES(X)
#undef X
};

static const struct {
	enum job_state from, to;
} moves[] = {
	{JOB_QUEUED, JOB_RUNNING},   {JOB_QUEUED, JOB_PAUSED},	 {JOB_QUEUED, JOB_CANCELLED}, {JOB_RUNNING, JOB_QUEUED},
	{JOB_RUNNING, JOB_PAUSED},   {JOB_RUNNING, JOB_DONE},	 {JOB_RUNNING, JOB_FAILED},   {JOB_RUNNING, JOB_CANCELLED},
	{JOB_RUNNING, JOB_PRUNED},   {JOB_PAUSED, JOB_QUEUED},	 {JOB_PAUSED, JOB_CANCELLED}, {JOB_FAILED, JOB_QUEUED},
	{JOB_CANCELLED, JOB_QUEUED},
};

bool job_may_move(enum job_state from, enum job_state to)
{
	for (size_t i = 0; i < ARRAY_LEN(moves); i++)
		if (moves[i].from == from && moves[i].to == to)
			return true;
	return false;
}

int job_state_parse(const char *name)
{
	for (int i = 0; i < N_JOB_STATES; i++)
		if (str_eq(job_state_names[i], name))
			return i;
	return -EINVAL;
}

bool job_is_final(enum job_state state)
{
	switch (state) {
	case JOB_QUEUED:
	case JOB_RUNNING:
	case JOB_PAUSED:
		return false;
	case JOB_DONE:
	case JOB_FAILED:
	case JOB_CANCELLED:
	case JOB_PRUNED:
	case N_JOB_STATES:
		return true;
	}
	return true;
}
