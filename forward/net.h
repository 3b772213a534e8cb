/* The one gate through which every request of every run goes: a token bucket, a bound on requests in flight, and while the
 * server cannot be reached one probe at a time. */
#pragma once

#include "bucket.h"
#include "http.h"

struct net_options {
	double rate, burst; /* requests a second, at once */
	int in_flight;	    /* at a time */
	double retry_s;	    /* first wait when the server is not reached */
};
struct net;

int net_new(struct net **ret, uv_loop_t *loop, const struct net_options *options, struct err *err);
/* Takes the right to send one request now; false: not before ret_when_s (INFINITY: when another is answered). */
bool net_take(struct net *net, double now_s, double *ret_when_s);
/* Whether it would be given now; the same otherwise. */
bool net_peek(const struct net *net, double now_s, double *ret_when_s);
/* After net_take(). */
struct http_call *net_send(struct net *net, const struct http_request *request, http_done done, void *arg);
size_t net_in_flight(const struct net *net);
/* Whether the server is not reached at the moment, and the last error. */
bool net_is_down(const struct net *net, const char **ret_why);
void net_close(struct net *net);
void net_free(struct net *net); /* accepts NULL */
