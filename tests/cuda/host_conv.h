/* ref's convolutions (worker/ref/ref_ops.h, whose struct conv_shape is another than the cuda worker's). */
#pragma once

struct host_conv {
	int n, c, h, w;	   /* x: (n, c, h, w) */
	int k, oh, ow;	   /* y: (n, k, oh, ow) */
	int kernel, stride, pad; /* w: (k, c, kernel, kernel) */
};

void host_conv_fprop(const struct host_conv *s, const double *x, const double *w, double *y);
void host_conv_dgrad(const struct host_conv *s, double *x, const double *w, const double *y); /* = */
void host_conv_wgrad(const struct host_conv *s, const double *x, double *w, const double *y); /* = */
