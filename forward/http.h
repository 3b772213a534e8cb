/* HTTP over libcurl in a libuv loop: many requests at a time, nothing waits.  TLS is always verified ($SSL_CERT_FILE or
 * $REQUESTS_CA_BUNDLE names another list of authorities), proxies are those of the environment, redirects are not
 * followed.  The only file beside fetch.c that includes curl.h. */
#pragma once

#include "common/base.h"

#include <uv.h>

struct http;
struct http_call;

struct http_request {
	const char *method; /* "GET", "POST", "PUT" */
	const char *url;
	const char *key;	   /* Basic auth "api:KEY"; NULL: none */
	const char *const *headers; /* "Name: value", NULL last; may be NULL */
	const char *body;	   /* copied; NULL: none */
	size_t size;
	int timeout_ms; /* of the whole request; 0: none, but one that stands still for a minute ends */
};

enum http_failure {
	HTTP_ANSWERED,	/* status is there */
	HTTP_UNREACHED, /* no connection: nothing was sent */
	HTTP_BROKEN,	/* broken off, too slow: the request may have been applied */
	HTTP_UNTRUSTED, /* the certificate is not that server's */
	HTTP_UNUSABLE,	/* a URL that is none, an answer that is too long */
};

#define HTTP_ANSWER_MAX (1024 * 1024)

struct http_response { /* borrowed by http_done */
	enum http_failure failure;
	int status;
	const char *body; /* NUL-terminated */
	size_t size;
	double retry_after_s;		       /* seconds from now, from either form of Retry-After; NAN: not there */
	double rate_remaining, rate_reset_s; /* RateLimit-Remaining, RateLimit-Reset; NAN: not there */
	char error[512];		       /* of a failure, for people; never holds a key or a query */
};
typedef void (*http_done)(void *arg, const struct http_response *response);

int http_new(struct http **ret, uv_loop_t *loop, struct err *err);
/* done is called once, later, from the loop; not after http_close(). */
struct http_call *http_send(struct http *http, const struct http_request *request, http_done done, void *arg);
size_t http_in_flight(const struct http *http);
/* Ends what is under way without a word, closes the handles. */
void http_close(struct http *http);
void http_free(struct http *http); /* after the loop has run the close callbacks; accepts NULL */

/* What every transfer of this program sets on a CURL handle (passed as void *, so that curl.h stays where it is): who we
 * are, TLS, only http and https, no signals. */
void http_defaults(void *curl);
