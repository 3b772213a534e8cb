/* Makes batches ahead of the training thread: a ring of buffers, filled by num_workers threads (0: by loader_next()
 * itself) and handed out strictly in order.  What a batch holds does not depend on the number of threads.
 *
 * One loader serves one plan: a training pass, an evaluation pass, again a training pass; starting one ends the other.
 * All verbs are for one thread, the plan's.  Nothing is allocated after loader_new(). */
#pragma once

#include "data.h"

struct loader;

struct batch { /* borrowed until loader_release_batch() */
	const float *images;   /* (n, 3, size, size), normalised, mixed */
	const int32_t *labels; /* (n) */
	const int32_t *partners; /* (n): labels of those they are mixed with; NULL: not mixed */
	double share;		 /* of their own label; 1: not mixed */
	int n;		       /* the last batch of a pass may be smaller than the others */
	uint32_t step;	       /* 0-based in its pass */
};

/* data is borrowed for the loader's life.  recipe: its augmentation, seed and num_workers, copied.  ring: batches in flight,
 * >= 1 (num_workers + 2 is a good value; with 0 workers one buffer is used).  A failing pthread_create is an error. */
int loader_new(struct loader **ret, const struct dataset *data, const struct recipe *recipe, int batch, int ring,
	       struct err *err);

/* Begins a training pass at step `first`: batches of tables->order, augmented as the recipe says, mixed as the tables say.
 * tables: borrowed until loader_stop() or the next start. */
void loader_start_train(struct loader *loader, const struct epoch_tables *tables, uint32_t first);
/* Begins a pass over a split in its own order, without augmentation, at batch `first`. */
void loader_start_eval(struct loader *loader, enum split split, uint32_t first);
/* A training pass (of this split: an evaluation pass) is under way and its next batch is `step`: no start is needed. */
bool loader_at_train(const struct loader *loader, uint32_t step);
bool loader_at_eval(const struct loader *loader, enum split split, uint32_t step);

/* The next batch, waiting for it; NULL at the end of the pass.  At most one batch is borrowed at a time. */
const struct batch *loader_next(struct loader *loader);
void loader_release_batch(struct loader *loader, const struct batch *batch);

/* Ends the pass and waits until no thread reads its tables; accepts a loader without a pass. */
void loader_stop(struct loader *loader);
void loader_free(struct loader *loader); /* accepts NULL */
