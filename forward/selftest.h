/* Whether a W&B server takes what sweepd sends: one sweep with two tiny runs is made there with the same documents and
 * bodies as any other, read back, and compared. */
#pragma once

#include "common/base.h"

#include <jansson.h>

struct selftest_options {
	const char *base_url, *key;
	const char *entity; /* NULL: the key's own */
	const char *project;
	void (*say)(void *arg, const char *step, const char *text); /* as each step is done */
	void *arg;
};

/* 0; what does not agree is -EPROTO, others as ask.h.  ret: {"server", "entity", "project", "sweep", "url", "runs":
 * [...]}; new reference. */
int selftest_run(const struct selftest_options *options, json_t **ret, struct err *err);
