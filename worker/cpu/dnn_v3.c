/* oneDNN 3.x: see dnn_api.h. */
#include "dnn_api.h"

#include "worker/model.h"

const bool bn_backward_takes_shift = false;

struct layout {
	dnnl_memory_desc_t md;
};

static struct layout *layout_wrap(dnnl_memory_desc_t md) /* consumed */
{
	struct layout *layout = xmalloc(sizeof(*layout));
	layout->md = md;
	return layout;
}

static struct layout *layout_clone(const_dnnl_memory_desc_t md)
{
	dnnl_memory_desc_t copy;
	INVARIANT(dnnl_memory_desc_clone(&copy, md) == dnnl_success, "oneDNN refuses to copy a memory descriptor");
	return layout_wrap(copy);
}

struct layout *layout_new(enum cell cell, int ndim, const int *dims, dnnl_format_tag_t tag)
{
	dnnl_memory_desc_t md;
	dnnl_dims_t d = {0};
	for (int i = 0; i < ndim; i++)
		d[i] = dims[i];
	dnnl_status_t status =
		dnnl_memory_desc_create_with_tag(&md, ndim, d, cell == CELL_F32 ? dnnl_f32 : dnnl_bf16, tag);
	INVARIANT(status == dnnl_success, "oneDNN refuses a shape of %d dimensions", ndim);
	return layout_wrap(md);
}

struct layout *layout_of(const_dnnl_primitive_desc_t desc, dnnl_query_t argument)
{
	const_dnnl_memory_desc_t md = dnnl_primitive_desc_query_md(desc, argument, 0);
	return md && dnnl_memory_desc_get_size(md) > 0 ? layout_clone(md) : NULL;
}

struct layout *layout_copy(const struct layout *layout)
{
	return layout_clone(layout->md);
}

bool layout_equal(const struct layout *a, const struct layout *b)
{
	return dnnl_memory_desc_equal(a->md, b->md);
}

size_t layout_bytes(const struct layout *layout)
{
	return dnnl_memory_desc_get_size(layout->md);
}

void layout_free(struct layout *layout)
{
	if (layout)
		dnnl_memory_desc_destroy(layout->md);
	free(layout);
}

dnnl_status_t layout_memory(const struct layout *layout, dnnl_engine_t engine, void *data, dnnl_memory_t *ret)
{
	return dnnl_memory_create(ret, layout->md, engine, data);
}

dnnl_status_t desc_conv_forward(const struct desc_base *base, const struct conv_desc *c, dnnl_primitive_desc_t *ret)
{
	return dnnl_convolution_forward_primitive_desc_create(ret, base->engine, dnnl_forward_training, c->algorithm,
							      c->src->md, c->weights->md, NULL, c->dst->md, c->strides,
							      c->dilates, c->pads, c->pads, base->attr);
}

dnnl_status_t desc_conv_dgrad(const struct desc_base *base, const struct conv_desc *c, dnnl_primitive_desc_t *ret)
{
	return dnnl_convolution_backward_data_primitive_desc_create(ret, base->engine, c->algorithm, c->src->md,
								    c->weights->md, c->dst->md, c->strides, c->dilates,
								    c->pads, c->pads, base->hint, base->attr);
}

dnnl_status_t desc_conv_wgrad(const struct desc_base *base, const struct conv_desc *c, dnnl_primitive_desc_t *ret)
{
	return dnnl_convolution_backward_weights_primitive_desc_create(
		ret, base->engine, c->algorithm, c->src->md, c->weights->md, NULL, c->dst->md, c->strides, c->dilates,
		c->pads, c->pads, base->hint, base->attr);
}

dnnl_status_t desc_bn_forward(const struct desc_base *base, dnnl_prop_kind_t prop, const struct layout *data,
			      unsigned flags, dnnl_primitive_desc_t *ret)
{
	return dnnl_batch_normalization_forward_primitive_desc_create(ret, base->engine, prop, data->md, data->md,
								      (float)BN_EPS, flags, base->attr);
}

dnnl_status_t desc_bn_backward(const struct desc_base *base, const struct layout *data, unsigned flags,
			       dnnl_primitive_desc_t *ret)
{
	return dnnl_batch_normalization_backward_primitive_desc_create(ret, base->engine, dnnl_backward, data->md,
								       data->md, data->md, (float)BN_EPS, flags,
								       base->hint, base->attr);
}

dnnl_status_t desc_reorder(const struct desc_base *base, const struct layout *from, const struct layout *to,
			   dnnl_primitive_desc_t *ret)
{
	return dnnl_reorder_primitive_desc_create(ret, from->md, base->engine, to->md, base->engine, base->attr);
}
