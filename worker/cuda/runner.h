/* Who owns device memory and runs launch lists: one stream of a GPU (runner_cuda.c), or the tests' host.  What is asked of
 * a runner happens in order.  One thread at a time. */
#pragma once

#include "launch.h"

#include <jansson.h>

struct runner;
struct program; /* a list made ready to run: plans chosen, graphs captured */

struct launch_time {
	const struct launch *launch; /* borrowed from the program */
	double ms;
	double plan_ms; /* of a convolution: its plan's when it was chosen; 0: nothing was timed */
};

struct runner_ops {
	size_t own_bytes; /* device memory of a runner itself */
	/* Zeroed, 256-byte aligned.  -ENOMEM: err says how much was wanted and how much there was. */
	int (*alloc)(struct runner *runner, size_t bytes, void **ret, struct err *err);
	void (*release)(struct runner *runner, void *memory); /* accepts NULL */
	size_t (*free_bytes)(struct runner *runner);	      /* that alloc() could have now; 0: not known */
	/* Between host and device memory; back when the bytes have been copied. */
	int (*upload)(struct runner *runner, void *to, const void *from, size_t bytes, struct err *err);
	int (*download)(struct runner *runner, void *to, const void *from, size_t bytes, struct err *err);
	/* Takes the list over (also when it fails).  May run it, on whatever the memory holds: call it before the memory
	 * holds anything of value. */
	int (*prepare)(struct runner *runner, struct launch_list *list, struct program **ret, struct err *err);
	void (*program_free)(struct runner *runner, struct program *program); /* accepts NULL */
	/* Runs the list so many times.  Returns before it is done. */
	int (*run)(struct runner *runner, struct program *program, uint32_t times, struct err *err);
	/* Adds which plans its convolutions use: {conv_text(): conv_choice_json()}. */
	void (*describe)(const struct program *program, json_t *into);
	/* For measurements: runs the list once, not as a graph, and tells how long each launch took.  Caller frees. */
	int (*time)(struct runner *runner, struct program *program, struct launch_time **ret, int *ret_n, struct err *err);
	void (*close)(struct runner *runner);
};

struct runner {
	const struct runner_ops *ops;
};
