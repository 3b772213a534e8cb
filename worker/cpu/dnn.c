/* oneDNN 2.x.  Flag and argument values are taken from its header by name: they differ between versions. */
#include "dnn.h"

#include "worker/model.h"

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_debug.h>

#if DNNL_VERSION_MAJOR != 2
#error "worker/cpu/dnn.c speaks the C interface of oneDNN 2.x"
#endif

struct dnn {
	dnnl_engine_t engine;
	dnnl_stream_t stream;
};

struct layout {
	dnnl_memory_desc_t md;
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
	if (dnn->stream)
		dnnl_stream_destroy(dnn->stream);
	if (dnn->engine)
		dnnl_engine_destroy(dnn->engine);
	free(dnn);
}

static dnnl_memory_desc_t describe(enum cell cell, int ndim, const int *dims, dnnl_format_tag_t tag)
{
	dnnl_memory_desc_t md;
	dnnl_dims_t d = {0};
	for (int i = 0; i < ndim; i++)
		d[i] = dims[i];
	dnnl_status_t status =
		dnnl_memory_desc_init_by_tag(&md, ndim, d, cell == CELL_F32 ? dnnl_f32 : dnnl_bf16, tag);
	INVARIANT(status == dnnl_success, "oneDNN refuses a shape of %d dimensions", ndim);
	return md;
}

static struct layout *layout_new(const dnnl_memory_desc_t *md)
{
	struct layout *layout = xmalloc(sizeof(*layout));
	layout->md = *md;
	return layout;
}

struct layout *layout_plain(enum cell cell, int ndim, const int *dims)
{
	INVARIANT(ndim == 4 || ndim == 1, "layout of %d dimensions", ndim);
	dnnl_memory_desc_t md = describe(cell, ndim, dims, ndim == 4 ? dnnl_abcd : dnnl_a);
	return layout_new(&md);
}

struct layout *layout_copy(const struct layout *layout)
{
	return layout_new(&layout->md);
}

bool layout_equal(const struct layout *a, const struct layout *b)
{
	return dnnl_memory_desc_equal(&a->md, &b->md);
}

size_t layout_bytes(const struct layout *layout)
{
	return dnnl_memory_desc_get_size(&layout->md);
}

void layout_free(struct layout *layout)
{
	free(layout);
}

/* The primitive of desc (consumed), with the layouts of workspace and scratchpad; the maker adds the others. */
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
	const dnnl_memory_desc_t *scratch = dnnl_primitive_desc_query_md(desc, dnnl_query_scratchpad_md, 0);
	if (scratch && dnnl_memory_desc_get_size(scratch) > 0)
		prim->layouts[ARG_SCRATCH] = layout_new(scratch);
	*ret = prim;
	return 0;
}

/* The layout oneDNN chose for an argument. */
static void take_layout(struct prim *prim, enum prim_arg arg, dnnl_query_t query)
{
	const dnnl_memory_desc_t *md = dnnl_primitive_desc_query_md(prim->desc, query, 0);
	INVARIANT(md, "oneDNN names no layout for argument %d", (int)arg);
	if (dnnl_memory_desc_get_size(md) > 0)
		prim->layouts[arg] = layout_new(md);
}

static int make(struct dnn *dnn, const_dnnl_op_desc_t op, dnnl_primitive_desc_t hint, const char *what,
		struct prim **ret, struct err *err)
{
	dnnl_primitive_attr_t attr;
	dnnl_status_t status = dnnl_primitive_attr_create(&attr);
	if (status != dnnl_success)
		return dnn_err(err, status, "attributes");
	dnnl_primitive_desc_t desc = NULL;
	status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_primitive_desc_create(&desc, op, attr, dnn->engine, hint);
	dnnl_primitive_attr_destroy(attr);
	if (status != dnnl_success)
		return dnn_err(err, status, what);
	return prim_new(dnn, desc, ret, err);
}

/* A convolution's descriptors with free layouts. */
struct conv_desc {
	dnnl_memory_desc_t src, weights, diff_weights, dst;
	dnnl_dims_t strides, pads;
	dnnl_alg_kind_t algorithm;
};

static struct conv_desc conv_describe(const struct dnn_conv *s)
{
	int src[] = {s->n, s->ci, s->hi, s->wi};
	int dst[] = {s->n, s->co, s->ho, s->wo};
	int weights[] = {s->co, s->ci, s->kernel, s->kernel};
	return (struct conv_desc){
		.src = describe(s->cell, 4, src, dnnl_format_tag_any),
		.weights = describe(s->cell, 4, weights, dnnl_format_tag_any),
		.diff_weights = describe(CELL_F32, 4, weights, dnnl_format_tag_any),
		.dst = describe(s->cell, 4, dst, dnnl_format_tag_any),
		.strides = {s->stride, s->stride},
		.pads = {s->pad, s->pad},
		.algorithm = s->direct ? dnnl_convolution_direct : dnnl_convolution_auto,
	};
}

int prim_conv_forward(struct dnn *dnn, const struct dnn_conv *shape, struct prim **ret, struct err *err)
{
	struct conv_desc d = conv_describe(shape);
	dnnl_convolution_desc_t op;
	dnnl_status_t status = dnnl_convolution_forward_desc_init(&op, dnnl_forward_training, d.algorithm, &d.src,
								  &d.weights, NULL, &d.dst, d.strides, d.pads, d.pads);
	if (status != dnnl_success)
		return dnn_err(err, status, "convolution forward");
	struct prim *prim;
	int r = make(dnn, &op, NULL, "convolution forward", &prim, err);
	if (r < 0)
		return r;
	take_layout(prim, ARG_SRC, dnnl_query_src_md);
	take_layout(prim, ARG_WEIGHTS, dnnl_query_weights_md);
	take_layout(prim, ARG_DST, dnnl_query_dst_md);
	*ret = prim;
	return 0;
}

int prim_conv_dgrad(struct dnn *dnn, const struct dnn_conv *shape, const struct prim *forward, struct prim **ret,
		    struct err *err)
{
	struct conv_desc d = conv_describe(shape);
	dnnl_convolution_desc_t op;
	dnnl_status_t status = dnnl_convolution_backward_data_desc_init(&op, d.algorithm, &d.src, &d.weights, &d.dst,
									d.strides, d.pads, d.pads);
	if (status != dnnl_success)
		return dnn_err(err, status, "convolution backward data");
	struct prim *prim;
	int r = make(dnn, &op, forward->desc, "convolution backward data", &prim, err);
	if (r < 0)
		return r;
	take_layout(prim, ARG_DIFF_SRC, dnnl_query_diff_src_md);
	take_layout(prim, ARG_WEIGHTS, dnnl_query_weights_md);
	take_layout(prim, ARG_DIFF_DST, dnnl_query_diff_dst_md);
	*ret = prim;
	return 0;
}

int prim_conv_wgrad(struct dnn *dnn, const struct dnn_conv *shape, const struct prim *forward, struct prim **ret,
		    struct err *err)
{
	struct conv_desc d = conv_describe(shape);
	dnnl_convolution_desc_t op;
	dnnl_status_t status = dnnl_convolution_backward_weights_desc_init(
		&op, d.algorithm, &d.src, &d.diff_weights, NULL, &d.dst, d.strides, d.pads, d.pads);
	if (status != dnnl_success)
		return dnn_err(err, status, "convolution backward weights");
	struct prim *prim;
	int r = make(dnn, &op, forward->desc, "convolution backward weights", &prim, err);
	if (r < 0)
		return r;
	take_layout(prim, ARG_SRC, dnnl_query_src_md);
	take_layout(prim, ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md);
	take_layout(prim, ARG_DIFF_DST, dnnl_query_diff_dst_md);
	*ret = prim;
	return 0;
}

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
	dnnl_batch_normalization_desc_t op;
	dnnl_status_t status = dnnl_batch_normalization_forward_desc_init(
		&op, shape->global_stats ? dnnl_forward_inference : dnnl_forward_training, &data->md, (float)BN_EPS,
		bn_flags(shape));
	if (status != dnnl_success)
		return dnn_err(err, status, "batch norm forward");
	struct prim *prim;
	int r = make(dnn, &op, NULL, "batch norm forward", &prim, err);
	if (r < 0)
		return r;
	prim->layouts[ARG_SRC] = layout_copy(data);
	take_layout(prim, ARG_DST, dnnl_query_dst_md);
	bn_vectors(prim, shape->channels, vectors, ARRAY_LEN(vectors));
	if (shape->relu && !shape->global_stats)
		take_layout(prim, ARG_WORKSPACE, dnnl_query_workspace_md);
	*ret = prim;
	return 0;
}

int prim_bn_backward(struct dnn *dnn, const struct dnn_bn *shape, const struct layout *data,
		     const struct prim *forward, struct prim **ret, struct err *err)
{
	static const enum prim_arg vectors[] = {ARG_MEAN,  ARG_VARIANCE,   ARG_SCALE,
						ARG_SHIFT, ARG_DIFF_SCALE, ARG_DIFF_SHIFT};
	dnnl_batch_normalization_desc_t op;
	dnnl_status_t status = dnnl_batch_normalization_backward_desc_init(&op, dnnl_backward, &data->md, &data->md,
									   (float)BN_EPS, bn_flags(shape));
	if (status != dnnl_success)
		return dnn_err(err, status, "batch norm backward");
	struct prim *prim;
	int r = make(dnn, &op, forward->desc, "batch norm backward", &prim, err);
	if (r < 0)
		return r;
	prim->layouts[ARG_SRC] = layout_copy(data);
	prim->layouts[ARG_DIFF_DST] = layout_copy(data);
	prim->layouts[ARG_DIFF_SRC] = layout_copy(data);
	bn_vectors(prim, shape->channels, vectors, ARRAY_LEN(vectors));
	if (shape->relu)
		take_layout(prim, ARG_WORKSPACE, dnnl_query_workspace_md);
	*ret = prim;
	return 0;
}

int prim_reorder(struct dnn *dnn, const struct layout *from, const struct layout *to, struct prim **ret,
		 struct err *err)
{
	dnnl_primitive_attr_t attr;
	dnnl_status_t status = dnnl_primitive_attr_create(&attr);
	if (status != dnnl_success)
		return dnn_err(err, status, "attributes");
	dnnl_primitive_desc_t desc = NULL;
	status = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
	if (status == dnnl_success)
		status = dnnl_reorder_primitive_desc_create(&desc, &from->md, dnn->engine, &to->md, dnn->engine, attr);
	dnnl_primitive_attr_destroy(attr);
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
	dnnl_status_t status = dnnl_memory_create(&slot->memory, &prim->layouts[arg]->md, prim->engine, data);
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
