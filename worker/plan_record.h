/* JOB_DIR/plan.json: which plans a job computes with.  What was timed, and may be chosen otherwise elsewhere, decides the last
 * bits of a result: so a run says it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Writes what backend.h's describe() gave.  True: there was one before, of other plans (times aside).  A disk that cannot
 * take it is not the job's end. */
bool plan_record(const char *job_dir, const json_t *plan);
