/* What the parity tests share: a job on a backend, and the distance of two arrays.
 * cmocka's headers come with it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "made.h"

struct job { /* one plan on a device of its own */
	const struct backend *backend;
	struct device *device;
	struct plan *plan;
	struct state state; /* of the last job_state() */
	uint32_t *order;
	struct step_values *values;
	struct step_record *records; /* (steps) of the steps that were run */
	struct epoch_tables tables;
	int batch;
};

struct job_options {
	const char *backend;
	int batch, threads;
	bool direct;
	double lr, momentum;
};

/* Opens, prepares, sets the fresh state of seed 7 and begins epoch 0 in a shuffled order.  Fails the test on error. */
void job_open(struct job *job, const struct job_options *options, const struct net *net, const struct dataset *data,
	      const struct recipe *recipe);
/* Runs steps [first, first + n); += into sums, with which their records must agree. */
void job_run(struct job *job, uint32_t first, uint32_t n, struct sums *sums);
const struct state *job_state(struct job *job);
void job_close(struct job *job);

/* |a - b| / |b| in the Euclidean norm; of the difference alone where b is 0. */
double distance(const float *a, const double *b, size_t n);
double distance_f64(const double *a, const double *b, size_t n);
/* Fails with what and both numbers when d is above limit or not a number. */
void assert_close(const char *what, double d, double limit);
/* Prints a row of docs/parity.md's tables, "# | what | how | d | limit |". */
void report(const char *what, const char *how, double d, double limit);
