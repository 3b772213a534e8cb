/* See bucket.h. */
#include "bucket.h"

#include <math.h>

#define RECOVERY 1.05

void bucket_init(struct bucket *b, double rate, double burst, double now_s)
{
	*b = (struct bucket){.rate = rate, .top_rate = rate, .burst = burst, .tokens = burst, .filled_s = now_s};
}

static void fill(struct bucket *b, double now_s)
{
	if (now_s > b->filled_s)
		b->tokens = MIN(b->burst, b->tokens + (now_s - b->filled_s) * b->rate);
	b->filled_s = MAX(b->filled_s, now_s);
}

bool bucket_take(struct bucket *b, double now_s)
{
	fill(b, now_s);
	if (now_s < b->silent_until_s || b->tokens < 1)
		return false;
	b->tokens -= 1;
	return true;
}

double bucket_ready_s(const struct bucket *b, double now_s)
{
	double missing = MAX(1 - b->tokens, 0);
	return MAX(b->silent_until_s, MAX(now_s, b->filled_s + missing / b->rate));
}

void bucket_refused(struct bucket *b)
{
	b->rate = MAX(b->rate / 2, MIN(BUCKET_RATE_MIN, b->top_rate));
	b->tokens = MIN(b->tokens, 1);
}

void bucket_silence(struct bucket *b, double seconds, double now_s)
{
	b->silent_until_s = MAX(b->silent_until_s, now_s + seconds);
}

void bucket_accepted(struct bucket *b)
{
	b->rate = MIN(b->rate * RECOVERY, b->top_rate);
}

void bucket_limited(struct bucket *b, double remaining, double reset_s, double now_s)
{
	if (isnan(remaining) || isnan(reset_s))
		return;
	if (remaining < 1) {
		bucket_silence(b, reset_s, now_s);
		return;
	}
	if (reset_s > 0)
		b->rate = MIN(b->top_rate, MAX(remaining / reset_s, BUCKET_RATE_MIN));
}
