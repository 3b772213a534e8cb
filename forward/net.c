/* See net.h. */
#include "net.h"

#include "retry.h"

#include "common/clock.h"
#include "common/log.h"

#include <math.h>

struct net {
	struct http *http;
	struct net_options options;
	struct bucket bucket;
	int misses; /* in a row: not reached */
	double probe_s;
	char why[512];
	struct sent *sent; /* under way */
};

struct sent {
	struct net *net;
	http_done done;
	void *arg;
	struct sent *next, **prev;
};

int net_new(struct net **ret, uv_loop_t *loop, const struct net_options *options, struct err *err)
{
	struct net *net = xcalloc(1, sizeof(*net));
	net->options = *options;
	bucket_init(&net->bucket, options->rate, options->burst, monotonic_s());
	int r = http_new(&net->http, loop, err);
	if (r < 0)
		free(net);
	else
		*ret = net;
	return r;
}

bool net_peek(const struct net *net, double now_s, double *ret_when_s)
{
	size_t limit = net->misses ? 1 : (size_t)net->options.in_flight;
	*ret_when_s = INFINITY;
	if (http_in_flight(net->http) >= limit)
		return false;
	if (net->misses && now_s < net->probe_s) {
		*ret_when_s = net->probe_s;
		return false;
	}
	*ret_when_s = bucket_ready_s(&net->bucket, now_s);
	return *ret_when_s <= now_s;
}

bool net_take(struct net *net, double now_s, double *ret_when_s)
{
	return net_peek(net, now_s, ret_when_s) && bucket_take(&net->bucket, now_s);
}

static void heed(struct net *net, const struct http_response *r)
{
	double now_s = monotonic_s();
	if (r->failure == HTTP_UNREACHED) {
		if (!net->misses++)
			log_warn("the server is not reached: %s; nothing is lost, trying again", r->error);
		snprintf(net->why, sizeof(net->why), "%s", r->error);
		net->probe_s = now_s + retry_wait_s(net->misses, net->options.retry_s, NAN, drand48());
		return;
	}
	if (net->misses)
		log_info("the server is reached again");
	net->misses = 0;
	if (r->failure != HTTP_ANSWERED)
		return;
	if (r->status == 429)
		bucket_refused(&net->bucket);
	else if (r->status < 400)
		bucket_accepted(&net->bucket);
	if (!isnan(r->retry_after_s) &&
	    (r->status == 429 || r->status == 503)) /* it is the server's word to all of us */
		bucket_silence(&net->bucket, r->retry_after_s, now_s);
	bucket_limited(&net->bucket, r->rate_remaining, r->rate_reset_s, now_s);
}

static void forget(struct sent *sent)
{
	*sent->prev = sent->next;
	if (sent->next)
		sent->next->prev = sent->prev;
	free(sent);
}

static void on_done(void *arg, const struct http_response *r)
{
	struct sent sent = *(struct sent *)arg;
	forget(arg);
	heed(sent.net, r);
	sent.done(sent.arg, r);
}

struct http_call *net_send(struct net *net, const struct http_request *request, http_done done, void *arg)
{
	struct sent *sent = xcalloc(1, sizeof(*sent));
	*sent = (struct sent){net, done, arg, net->sent, &net->sent};
	if (net->sent)
		net->sent->prev = &sent->next;
	net->sent = sent;
	return http_send(net->http, request, on_done, sent);
}

size_t net_in_flight(const struct net *net)
{
	return http_in_flight(net->http);
}

bool net_is_down(const struct net *net, const char **ret_why)
{
	*ret_why = net->why;
	return net->misses > 0;
}

void net_close(struct net *net)
{
	http_close(net->http);
	while (net->sent)
		forget(net->sent);
}

void net_free(struct net *net)
{
	if (!net)
		return;
	http_free(net->http);
	free(net);
}
