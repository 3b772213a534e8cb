/* The part of oneDNN's C interface that changed from 2.x to 3.x: memory descriptors (a struct by value; an opaque
 * pointer) and the making of primitive descriptors (by way of operation descriptors; in one call).  dnn_v2.c or
 * dnn_v3.c, chosen in meson by the version of the header that is found; only dnn.c calls it.
 *
 * Every function but the first two returns oneDNN's status and fills *ret only on success. */
#pragma once

#include "dnn.h"

#include <oneapi/dnnl/dnnl.h>

/* tag: dnnl_format_tag_any leaves the order to the primitive.  The other verbs of struct layout are in dnn.h. */
struct layout *layout_new(enum cell cell, int ndim, const int *dims, dnnl_format_tag_t tag);
/* What desc says of an argument; NULL: it has none of that name, or one without contents. */
struct layout *layout_of(const_dnnl_primitive_desc_t desc, dnnl_query_t argument);
dnnl_status_t layout_memory(const struct layout *layout, dnnl_engine_t engine, void *data, dnnl_memory_t *ret);

/* What the primitive descriptors of one call are made with, borrowed. */
struct desc_base {
	dnnl_engine_t engine;
	dnnl_primitive_attr_t attr;
	dnnl_primitive_desc_t hint; /* the forward one; NULL where this is it */
};

struct conv_desc {
	struct layout *src, *weights, *dst; /* or the gradients of them */
	dnnl_dims_t strides, dilates, pads;
	dnnl_alg_kind_t algorithm;
};

dnnl_status_t desc_conv_forward(const struct desc_base *base, const struct conv_desc *conv, dnnl_primitive_desc_t *ret);
dnnl_status_t desc_conv_dgrad(const struct desc_base *base, const struct conv_desc *conv, dnnl_primitive_desc_t *ret);
dnnl_status_t desc_conv_wgrad(const struct desc_base *base, const struct conv_desc *conv, dnnl_primitive_desc_t *ret);
/* data: of source, destination and their gradients. */
dnnl_status_t desc_bn_forward(const struct desc_base *base, dnnl_prop_kind_t prop, const struct layout *data,
			      unsigned flags, dnnl_primitive_desc_t *ret);
dnnl_status_t desc_bn_backward(const struct desc_base *base, const struct layout *data, unsigned flags,
			       dnnl_primitive_desc_t *ret);
/* Whether the shift is an argument of the backward one: a missing one and one too many are both errors. */
extern const bool bn_backward_takes_shift;
dnnl_status_t desc_reorder(const struct desc_base *base, const struct layout *from, const struct layout *to,
			   dnnl_primitive_desc_t *ret);
