/* One token bucket for all requests of all runs: at most `rate` a second on average, `burst` at once.  The server's word
 * changes the rate: RateLimit headers set it, 429 halves it, and it recovers slowly.  Pure: seconds are passed in. */
#pragma once

#include "common/base.h"

struct bucket {
	double rate, top_rate, burst; /* top_rate: as configured */
	double tokens, filled_s;
	double silent_until_s; /* the server asked for silence */
};

#define BUCKET_RATE_MIN 0.1

void bucket_init(struct bucket *b, double rate, double burst, double now_s);
/* Takes a token; false: none is there before bucket_ready_s(). */
bool bucket_take(struct bucket *b, double now_s);
double bucket_ready_s(const struct bucket *b, double now_s);
/* 429: half the rate. */
void bucket_refused(struct bucket *b);
/* Retry-After: nothing at all for so long. */
void bucket_silence(struct bucket *b, double seconds, double now_s);
/* An answer without complaint: a little faster again. */
void bucket_accepted(struct bucket *b);
/* RateLimit-Remaining (a thousandth of the budget is left as 1), RateLimit-Reset (seconds until it is whole): what remains
 * is spread over that time; with nothing left there is silence until then.  NAN: not said. */
void bucket_limited(struct bucket *b, double remaining, double reset_s, double now_s);
