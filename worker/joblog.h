/* JOB_DIR/log.txt: what a person reads about a job's training, one time-stamped line each. */
#pragma once

#include "common/base.h"

/* Appends; a failure to write is not the training's business. */
void job_log(const char *job_dir, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
