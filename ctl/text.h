/* Sentences and cells that several verbs show alike. */
#pragma once

#include "ctl/screen.h"
#include "ctl/target.h"

/* Colour of a state's word. */
enum tone state_tone(const char *state);
/* Value of a sweep's metric: two decimals where it is a percentage, else three; FORMAT_MAX bytes. */
const char *metric_text(const char *metric, double value, char *buf);
/* Why a job is where it is: the stored reason, else what follows from its row; allocated, "" when nothing is to say. */
char *job_reason(const struct job_row *job, int64_t now_ms);
/* A job as the JSON that list, show and results give: their keys only grow.  New reference. */
json_t *job_json(const struct selection *sel, const struct job_row *job);
