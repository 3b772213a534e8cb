/* Which of cuDNN's plans a convolution uses, and the file that remembers it.
 *
 * Timing takes seconds and may end differently next time, so a choice is made once for a device, a cuDNN version and a
 * convolution, and kept: a later run computes the same bits and starts at once.  The choices of a run also go into its
 * manifest.  Nothing here needs a GPU or cuDNN.
 *
 * The file (JSON, one per device and cuDNN version) is only a cache: one that is damaged, of another device or version,
 * or has impossible values is not used and is written anew. */
#pragma once

#include "conv_shape.h"

#include "common/json.h"

#define CONV_KNOBS_MAX 24

struct conv_choice {
	int64_t engine; /* cuDNN's global index */
	int n_knobs;
	struct {
		int64_t type, value;
	} knobs[CONV_KNOBS_MAX]; /* settings of the engine, cuDNN's numbers */
	int64_t workspace;	 /* bytes */
	double ms;		 /* as timed; 0: not timed, the heuristics' first */
};

/* --- the fastest of several --- */

/* Runs candidate i so many times in a row and tells how long one took.  -ENOTSUP: it cannot run here (it is left out);
 * any other error ends the search. */
struct conv_timer {
	int (*time)(void *arg, int i, int repeats, double *ret_ms, struct err *err);
	void *arg;
};
/* Two rounds: each briefly, then the near ones (within twice the best) in turn, by the median of several.  Of candidates
 * within 2 % of the fastest the first wins, so that noise does not choose.  Returns its index; -ENOTSUP: none can run. */
int conv_choose(int n, const struct conv_timer *timer, double *ret_ms, struct err *err);

/* --- the file --- */

struct conv_cache;

/* dir: created when needed; NULL: nothing is read or kept.  device: its name and what else matters ("NVIDIA H200, sm_90,
 * 132 SMs").  Never fails: when the file cannot be used, ret_note says why (else ""). */
struct conv_cache *conv_cache_open(const char *dir, const char *device, int cudnn_version, struct err *ret_note);
void conv_cache_free(struct conv_cache *cache);
/* purpose: what else decided ("deterministic", "fp32 strict"), part of the key.  False: not there. */
bool conv_cache_find(const struct conv_cache *cache, const struct conv_shape *shape, const char *purpose,
		     struct conv_choice *ret);
void conv_cache_put(struct conv_cache *cache, const struct conv_shape *shape, const char *purpose,
		    const struct conv_choice *choice);
/* Writes what was put since, together with what other workers have written meanwhile (where both chose, ours). */
int conv_cache_save(struct conv_cache *cache, struct err *err);
/* $CACHE_DIRECTORY (systemd), $XDG_CACHE_HOME/sweepd or ~/.cache/sweepd; NULL where there is none of them.  Caller frees. */
char *conv_cache_dir(void);

/* {"conv": text, "engine": .., "knobs": [[type, value], ..], "workspace": .., "ms": ..}: a row of the file and of a run's
 * manifest.  New reference. */
json_t *conv_choice_json(const char *key, const struct conv_choice *choice);
