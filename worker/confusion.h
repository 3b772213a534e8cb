/* What the test images were taken for, kept with the run: JOB_DIR/confusion.json, of the last test and of the best, by the
 * weights, without mirror images:
 *
 *   {"dataset": "cifar100", "classes": ["apple", ...],
 *    "last": {"epoch": 7, "matrix": [[88, 0, ...], ...], "accuracy": [88.0, ...]}, "best": {...}}
 *
 * matrix: rows are true classes, columns predicted ones, images are counted; accuracy: of each class, per cent, null where
 * no image is of it.  Best is the epoch whose weights best.safetensors has. */
#pragma once

#include "data.h"
#include "train.h"

struct confusion {
	const struct dataset *data; /* borrowed */
	int32_t *predicted; /* by test image, of the test under way or the last one */
	json_t *best;
};

/* Takes up the best of a run that goes on. */
void confusion_init(struct confusion *c, const struct train_job *job, const struct dataset *data);
void confusion_fini(struct confusion *c); /* accepts one of zeros */
/* The last test, of that epoch (from 1), is written; best: it is the best too.  A file that cannot be written is said in the
 * job's log, and training goes on. */
void confusion_save(struct confusion *c, const struct train_job *job, int epoch, bool best);
