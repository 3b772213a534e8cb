/* A small data set in memory, for tests and benchmarks. */
#pragma once

#include "worker/backend.h"
#include "worker/data.h"

/* Random images, the same for the same seed; labels in range.  Owned: made_free(). */
struct dataset *made_dataset(size_t train, size_t test, int classes, uint64_t seed);
void made_free(struct dataset *data);
/* The same values for n steps.  Caller frees. */
struct step_values *made_steps(size_t n, double lr, double momentum);
