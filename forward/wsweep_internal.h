/* What the two halves of a sweep at W&B share: wsweep.c (the way to it), wsweep_state.c (its state and its buttons). */
#pragma once

#include "key.h"
#include "wsweep.h"

enum wsweep_step { STEP_KEY, STEP_VIEWER, STEP_LOOKUP, STEP_CREATE, STEP_READY };

struct wsweep {
	struct follow *follow;
	int64_t id;
	struct sweep_row row;
	struct wandb_settings settings;
	struct wandb_key key;
	char *base_url, *entity, *project;
	char *there, *node, *state; /* of the sweep at W&B; NULL: not known */
	char *problem;		    /* why it waits; NULL: it does not */
	char *cursor;		    /* of the list that is looked through */
	enum wsweep_step step;
	struct http_call *call;
	const char *setting;   /* a state that is being set */
	bool reopened, without; /* without: the server takes no sweep from us; runs go without */
	int tries;
	double due_s;
	int64_t said, told, telling; /* generations of what sweepd shall store */
	struct wsweep *next;
};

static inline void replace(char **at, const char *text)
{
	char *copy = text ? xstrdup(text) : NULL;
	free(*at);
	*at = copy;
}

/* Something is to be told to sweepd. */
void wsweep_say(struct wsweep *ws);
/* The server says that the sweep is in that state (NULL: it says none): what is new acts on jobs. */
void wsweep_take_state(struct wsweep *ws, const char *state);
/* The state that it should be told now, or NULL. */
const char *wsweep_wanted_state(struct wsweep *ws);
/* It has ended there, and nothing here may go on: no need to look. */
bool wsweep_is_over(const struct wsweep *ws);
