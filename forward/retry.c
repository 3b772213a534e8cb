/* See retry.h. */
#include "retry.h"

#include <math.h>

static enum retry_verdict judge_failure(enum http_failure failure)
{
	switch (failure) {
	case HTTP_UNREACHED:
	case HTTP_BROKEN:
	case HTTP_ANSWERED:
		return RETRY_AGAIN;
	case HTTP_UNTRUSTED:
		return RETRY_PERSON;
	case HTTP_UNUSABLE:
		return RETRY_REFUSED;
	}
	return RETRY_REFUSED;
}

enum retry_verdict retry_judge(enum retry_channel channel, const struct http_response *r, bool graphql_errors,
			       bool permission)
{
	if (r->failure != HTTP_ANSWERED)
		return judge_failure(r->failure);
	if (r->status >= 200 && r->status < 300) {
		if (!graphql_errors)
			return RETRY_DONE;
		return permission ? RETRY_PERSON : RETRY_AGAIN;
	}
	switch (r->status) {
	case 401:
	case 403:
		return channel == RETRY_UPLOAD ? RETRY_REFUSED
					       : RETRY_PERSON; /* a presigned URL has no person behind it */
	case 404:
		return channel == RETRY_GRAPHQL ? RETRY_PERSON : RETRY_REFUSED;
	case 409:
		return channel == RETRY_GRAPHQL ? RETRY_AGAIN : RETRY_REFUSED;
	case 400:
	case 410:
	case 413:
	case 422:
	case 501:
		return RETRY_REFUSED;
	case 408:
	case 429:
		return RETRY_AGAIN;
	}
	if (channel == RETRY_UPLOAD)
		return r->status >= 500 ? RETRY_AGAIN : RETRY_REFUSED;
	return RETRY_AGAIN;
}

double retry_wait_s(int tries, double min_s, double retry_after_s, double uniform)
{
	if (!isnan(retry_after_s))
		return retry_after_s;
	double wait_s = min_s * pow(2, MIN(MAX(tries - 1, 0), 30)) * (1 + uniform / 4);
	return MIN(wait_s, MAX(RETRY_MAX_S, min_s));
}
