#include "host_conv.h"

#include "worker/ref/ref_ops.h"

#include <string.h>

static struct conv_shape shape_of(const struct host_conv *s)
{
	return (struct conv_shape){.n = s->n, .ic = s->c, .ih = s->h, .iw = s->w, .oc = s->k, .oh = s->oh, .ow = s->ow,
				   .kernel = s->kernel, .stride = s->stride, .pad = s->pad};
}

void host_conv_fprop(const struct host_conv *s, const double *x, const double *w, double *y)
{
	struct conv_shape shape = shape_of(s);
	ref_conv_fwd(&shape, x, w, y);
}

void host_conv_dgrad(const struct host_conv *s, double *x, const double *w, const double *y)
{
	struct conv_shape shape = shape_of(s);
	memset(x, 0, sizeof(*x) * (size_t)s->n * (size_t)s->c * (size_t)s->h * (size_t)s->w);
	ref_conv_dgrad(&shape, y, w, x);
}

void host_conv_wgrad(const struct host_conv *s, const double *x, double *w, const double *y)
{
	struct conv_shape shape = shape_of(s);
	ref_conv_wgrad(&shape, x, y, w);
}
