/* One request after the other, for verbs whose user waits: login, selftest.  What may pass is tried again a few times,
 * as retry.h says. */
#pragma once

#include "graphql.h"
#include "http.h"

struct ask {
	uv_loop_t loop;
	struct http *http;
	const char *base_url, *key; /* borrowed */
};

int ask_open(struct ask *a, const char *base_url, const char *key, struct err *err);
/* Errors: -EACCES: the server does not take the key, or it may not do that; -EHOSTUNREACH: not reached; -EPROTO: it
 * refused, or its answer makes no sense.  err names the server and says what it said. */
int ask_graphql(struct ask *a, const char *body, struct graphql_answer *ret, struct err *err);
int ask_stream(struct ask *a, const char *url, const char *body, struct err *err);
void ask_close(struct ask *a);
