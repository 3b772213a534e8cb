/* See dnn.h.  Flag and argument values are taken from oneDNN's header by name: they differ between versions. */
#include "dnn_api.h"

#include <oneapi/dnnl/dnnl_debug.h>

struct dnn {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
	dnnl_primitive_attr_t attr; /* of every primitive: the scratchpad is ours */
};

struct prim {
	dnnl_stream_t stream; /* borrowed */
	dnnl_engine_t engine; /* borrowed */
	dnnl_primitive_desc_t desc;
	dnnl_primitive_t primitive;
	struct layout *layouts[N_PRIM_ARGS];
	dnnl_exec_arg_t args[N_PRIM_ARGS]; /* memory NULL: not bound yet; in the order of enum prim_arg */
	dnnl_exec_arg_t packed[N_PRIM_ARGS]; /* the bound ones */
	int n_packed;
};

static const int arg_ids[N_PRIM_ARGS] = {
	[ARG_SRC] = DNNL_ARG_SRC,
	[ARG_WEIGHTS] = DNNL_ARG_WEIGHTS,
	[ARG_DST] = DNNL_ARG_DST,
	[ARG_DIFF_SRC] = DNNL_ARG_DIFF_SRC,
	[ARG_DIFF_WEIGHTS] = DNNL_ARG_DIFF_WEIGHTS,
	[ARG_DIFF_DST] = DNNL_ARG_DIFF_DST,
	[ARG_MEAN] = DNNL_ARG_MEAN,
	[ARG_VARIANCE] = DNNL_ARG_VARIANCE,
	[ARG_SCALE] = DNNL_ARG_SCALE,
	[ARG_SHIFT] = DNNL_ARG_SHIFT,
	[ARG_DIFF_SCALE] = DNNL_ARG_DIFF_SCALE,
	[ARG_DIFF_SHIFT] = DNNL_ARG_DIFF_SHIFT,
	[ARG_WORKSPACE] = DNNL_ARG_WORKSPACE,
	[ARG_SCRATCH] = DNNL_ARG_SCRATCHPAD,
};

static int dnn_err(struct err *err, dnnl_status_t status, const char *what)
{
	int code = status == dnnl_out_of_memory ? -ENOMEM : status == dnnl_unimplemented ? -ENOTSUP : -EIO;
	return err_set(err, code, "oneDNN: %s: %s", what, dnnl_status2str(status));
}

void dnn_version(char *buf, size_t size)
{
	const dnnl_version_t *v = dnnl_version();
	snprintf(buf, size, "%d.%d.%d", v->major, v->minor, v->patch);
}

bool dnn_has_bf16(void)
{
	unsigned isa = (unsigned)dnnl_get_effective_cpu_isa();
	unsigned bf16 = (unsigned)dnnl_cpu_isa_avx512_core_bf16;
	return (isa & bf16) == bf16; /* the values are sets of features */
}

int dnn_new(struct dnn **ret, struct err *err)
{
	struct dnn *dnn = xcalloc(1, sizeof(*dnn));
	dnnl_status_t status = dnnl_engine_create(&dnn->engine, dnnl_cpu, 0);
	if (status == dnnl_success)
		status = dnnl_stream_create(&dnn->stream, dnn->engine, dnnl_stream_default_flags);
	if (status == dnnl_success)
		status = dnnl_primitive_attr_create(&dnn->attr);
	if (status == dnnl_success)
		status = dnnl_primitive_attr_set_scratchpad_mode(dnn->attr, dnnl_scratchpad_mode_user);
	if (status != dnnl_success) {
		dnn_free(dnn);
		return dnn_err(err, status, "engine");
	}
	*ret = dnn;
	return 0;
}

void dnn_free(struct dnn *dnn)
{
	if (!dnn)
		return;
	if (dnn->attr)
		dnnl_primitive_attr_destroy(dnn->attr);
	if (dnn->stream)
		dnnl_stream_destroy(dnn->stream);
	if (dnn->engine)
		dnnl_engine_destroy(dnn->engine);
	free(dnn);
}

struct layout *layout_plain(enum cell cell, int ndim, const int *dims)
{
	INVARIANT(ndim == 4 || ndim == 1, "layout of %d dimensions", ndim);
	return layout_new(cell, ndim, dims, ndim == 4 ? dnnl_abcd : dnnl_a);
}

/* The primitive of desc (consumed), with the layout of its scratchpad; the maker adds the others. */
static int prim_new(struct dnn *dnn, dnnl_primitive_desc_t desc, struct prim **ret, struct err *err)
{
	struct prim *prim = xcalloc(1, sizeof(*prim));
	prim->stream = dnn->stream;
	prim->engine = dnn->engine;
	prim->desc = desc;
	dnnl_status_t status = dnnl_primitive_create(&prim->primitive, desc);
	if (status != dnnl_success) {
		prim_free(prim);
		return dnn_err(err, status, "primitive");
	}
	prim->layouts[ARG_SCRATCH] = layout_of(desc, dnnl_query_scratchpad_md);
	*ret = prim;
	return 0;
}

static struct desc_base base_of(const struct dnn *dnn, const struct prim *forward)
{
	return (struct desc_base){.engine = dnn->engine, .attr = dnn->attr, .hint = forward ? forward->desc : NULL};
}

/* --- convolution: every layout is oneDNN's to choose --- */

static void conv_describe(const struct dnn_conv *s, enum cell weights_cell, struct conv_desc *ret)
{
	int src[] = {s->n, s->ci, s->hi, s->wi};
	int dst[] = {s->n, s->co, s->ho, s->wo};
	int weights[] = {s->co, s->ci, s->kernel, s->kernel};
	*ret = (struct conv_desc){
		.src = layout_new(s->cell, 4, src, dnnl_format_tag_any),
		.weights = layout_new(weights_cell, 4, weights, dnnl_format_tag_any),
		.dst = layout_new(s->cell, 4, dst, dnnl_format_tag_any),
		.strides = {s->stride, s->stride},
		.pads = {s->pad, s->pad},
		.algorithm = s->direct ? dnnl_convolution_direct : dnnl_convolution_auto,
	};
}

/* One of the three kinds: what makes its descriptor, and the names of its arguments. */
struct conv_kind {
	const char *name;
	dnnl_status_t (*desc)(const struct desc_base *base, const struct conv_desc *conv, dnnl_primitive_desc_t *ret);
	bool weights_f32; /* whatever the cell */
	struct {
		enum prim_arg arg;
		dnnl_query_t query;
	} src, weights, dst;
};

static int prim_conv(struct dnn *dnn, const struct conv_kind *kind, const struct dnn_conv *shape,
		     const struct prim *forward, struct prim **ret, struct err *err)
{
	struct desc_base base = base_of(dnn, forward);
	struct conv_desc conv;
	dnnl_primitive_desc_t desc;
	conv_describe(shape, kind->weights_f32 ? CELL_F32 : shape->cell, &conv);
	dnnl_status_t status = kind->desc(&base, &conv, &desc);
	layout_free(conv.src);
	layout_free(conv.weights);
	layout_free(conv.dst);
	if (status != dnnl_success)
		return dnn_err(err, status, kind->name);
	struct prim *prim;
	int r = prim_new(dnn, desc, &prim, err);
	if (r < 0)
		return r;
	prim->layouts[kind->src.arg] = layout_of(desc, kind->src.query);
	prim->layouts[kind->weights.arg] = layout_of(desc, kind->weights.query);
	prim->layouts[kind->dst.arg] = layout_of(desc, kind->dst.query);
	*ret = prim;
	return 0;
}

int prim_conv_forward(struct dnn *dnn, const struct dnn_conv *shape, struct prim **ret, struct err *err)
{
	static const struct conv_kind kind = {
		"convolution forward", desc_conv_forward, false,
		{ARG_SRC, dnnl_query_src_md}, {ARG_WEIGHTS, dnnl_query_weights_md}, {ARG_DST, dnnl_query_dst_md}};
	return prim_conv(dnn, &kind, shape, NULL, ret, err);
}

int prim_conv_dgrad(struct dnn *dnn, const struct dnn_conv *shape, const struct prim *forward, struct prim **ret,
		    struct err *err)
{
	static const struct conv_kind kind = {
		"convolution backward data", desc_conv_dgrad, false,
		{ARG_DIFF_SRC, dnnl_query_diff_src_md}, {ARG_WEIGHTS, dnnl_query_weights_md},
		{ARG_DIFF_DST, dnnl_query_diff_dst_md}};
	return prim_conv(dnn, &kind, shape, forward, ret, err);
}

int prim_conv_wgrad(struct dnn *dnn, const struct dnn_conv *shape, const struct prim *forward, struct prim **ret,
		    struct err *err)
{
	static const struct conv_kind kind = {
		"convolution backward weights", desc_conv_wgrad, true,
		{ARG_SRC, dnnl_query_src_md}, {ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md},
		{ARG_DIFF_DST, dnnl_query_diff_dst_md}};
	return prim_conv(dnn, &kind, shape, forward, ret, err);
}

/* --- batch norm --- */

static unsigned bn_flags(const struct dnn_bn *shape)
{
	return dnnl_use_scale | dnnl_use_shift | (shape->relu ? dnnl_fuse_norm_relu : 0) |
	       (shape->global_stats ? dnnl_use_global_stats : 0);
}

/* Mean, variance, scale and shift, or the gradients of the latter: f32 (C). */
static void bn_vectors(struct prim *prim, int channels, const enum prim_arg *args, size_t n)
{
	for (size_t i = 0; i < n; i++)
		prim->layouts[args[i]] = layout_plain(CELL_F32, 1, &channels);
}

int prim_bn_forward(struct dnn *dnn, const struct dnn_bn *shape, const struct layout *data, struct prim **ret,
		    struct err *err)
{
	static const enum prim_arg vectors[] = {ARG_MEAN, ARG_VARIANCE, ARG_SCALE, ARG_SHIFT};
	struct desc_base base = base_of(dnn, NULL);
	dnnl_primitive_desc_t desc;
	dnnl_status_t status = desc_bn_forward(
		&base, shape->global_stats ? dnnl_forward_inference : dnnl_forward_training, data, bn_flags(shape),
		&desc);
	if (status != dnnl_success)
		return dnn_err(err, status, "batch norm forward");
	struct prim *prim;
	int r = prim_new(dnn, desc, &prim, err);
	if (r < 0)
		return r;
	prim->layouts[ARG_SRC] = layout_copy(data);
	prim->layouts[ARG_DST] = layout_of(desc, dnnl_query_dst_md);
	bn_vectors(prim, shape->channels, vectors, ARRAY_LEN(vectors));
	if (shape->relu && !shape->global_stats)
		prim->layouts[ARG_WORKSPACE] = layout_of(desc, dnnl_query_workspace_md);
	*ret = prim;
	return 0;
}

int prim_bn_backward(struct dnn *dnn, const struct dnn_bn *shape, const struct layout *data,
		     const struct prim *forward, struct prim **ret, struct err *err)
{
	static const enum prim_arg vectors[] = {ARG_MEAN,	ARG_VARIANCE,	ARG_SCALE,
						ARG_DIFF_SCALE, ARG_DIFF_SHIFT, ARG_SHIFT};
	struct desc_base base = base_of(dnn, forward);
	dnnl_primitive_desc_t desc;
	dnnl_status_t status = desc_bn_backward(&base, data, bn_flags(shape), &desc);
	if (status != dnnl_success)
		return dnn_err(err, status, "batch norm backward");
	struct prim *prim;
	int r = prim_new(dnn, desc, &prim, err);
	if (r < 0)
		return r;
	prim->layouts[ARG_SRC] = layout_copy(data);
	prim->layouts[ARG_DIFF_DST] = layout_copy(data);
	prim->layouts[ARG_DIFF_SRC] = layout_copy(data);
	bn_vectors(prim, shape->channels, vectors, ARRAY_LEN(vectors) - !bn_backward_takes_shift);
	if (shape->relu)
		prim->layouts[ARG_WORKSPACE] = layout_of(desc, dnnl_query_workspace_md);
	*ret = prim;
	return 0;
}

int prim_reorder(struct dnn *dnn, const struct layout *from, const struct layout *to, struct prim **ret,
		 struct err *err)
{
	struct desc_base base = base_of(dnn, NULL);
	dnnl_primitive_desc_t desc;
	dnnl_status_t status = desc_reorder(&base, from, to, &desc);
	if (status != dnnl_success)
		return dnn_err(err, status, "reorder");
	struct prim *prim;
	int r = prim_new(dnn, desc, &prim, err);
	if (r < 0)
		return r;
	prim->layouts[ARG_SRC] = layout_copy(from);
	prim->layouts[ARG_DST] = layout_copy(to);
	*ret = prim;
	return 0;
}

/* --- use --- */

void prim_free(struct prim *prim)
{
	if (!prim)
		return;
	for (int i = 0; i < N_PRIM_ARGS; i++) {
		if (prim->args[i].memory)
			dnnl_memory_destroy(prim->args[i].memory);
		layout_free(prim->layouts[i]);
	}
	if (prim->primitive)
		dnnl_primitive_destroy(prim->primitive);
	dnnl_primitive_desc_destroy(prim->desc);
	free(prim);
}

const struct layout *prim_layout(const struct prim *prim, enum prim_arg arg)
{
	return prim->layouts[arg];
}

const char *prim_name(const struct prim *prim)
{
	const char *name = NULL;
	dnnl_primitive_desc_query(prim->desc, dnnl_query_impl_info_str, 0, (void *)&name);
	return name ? name : "unknown";
}

void prim_bind(struct prim *prim, enum prim_arg arg, void *data)
{
	INVARIANT(prim->layouts[arg], "%s has no argument %d", prim_name(prim), (int)arg);
	dnnl_exec_arg_t *slot = &prim->args[arg];
	if (slot->memory) {
		dnnl_status_t status = dnnl_memory_set_data_handle(slot->memory, data);
		INVARIANT(status == dnnl_success, "oneDNN refuses to move argument %d", (int)arg);
		return;
	}
	dnnl_status_t status = layout_memory(prim->layouts[arg], prim->engine, data, &slot->memory);
	INVARIANT(status == dnnl_success, "oneDNN refuses argument %d", (int)arg);
	slot->arg = arg_ids[arg];
	prim->packed[prim->n_packed++] = *slot;
}

int prim_run(struct prim *prim, struct err *err)
{
	dnnl_status_t status = dnnl_primitive_execute(prim->primitive, prim->stream, prim->n_packed, prim->packed);
	if (status == dnnl_success)
		status = dnnl_stream_wait(prim->stream);
	return status == dnnl_success ? 0 : dnn_err(err, status, prim_name(prim));
}
