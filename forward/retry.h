/* What follows from an answer, and when to ask again.  Pure.  The matrix is that of W&B's own client, with one difference:
 * what a person can mend (a key, a right, a project) stops a sweep until it is mended and refuses no run. */
#pragma once

#include "http.h"

enum retry_channel {
	RETRY_GRAPHQL, /* also UpsertBucket: with a run id of our own it may be repeated */
	RETRY_STREAM,  /* file_stream */
	RETRY_UPLOAD,  /* PUT to a presigned URL */
};
enum retry_verdict {
	RETRY_DONE,
	RETRY_AGAIN,   /* later: not reached, broken off, 5xx, 408, 429, an answer that makes no sense */
	RETRY_PERSON,  /* 401, 403; of GraphQL 404 too; a certificate that is another's */
	RETRY_REFUSED, /* 400, 409, 410, 413, 422, 501, ...: it would be refused again */
};

/* graphql_errors: the answer is one of GraphQL that holds errors; permission: one of them says so. */
enum retry_verdict retry_judge(enum retry_channel channel, const struct http_response *r, bool graphql_errors,
			       bool permission);

/* Seconds to wait after the tries-th failure in a row (1, 2, ...): min_s * 2^(tries-1) * (1 + U/4), at most 60 (or min_s);
 * what the server asked for (NAN: nothing) counts instead.  uniform: U, in [0, 1). */
#define RETRY_MAX_S 60.0
double retry_wait_s(int tries, double min_s, double retry_after_s, double uniform);
