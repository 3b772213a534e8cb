/* Devices and single-operation graphs; see conv_plan.h. */
#include "conv_internal.h"

#define JSON_BYTES_MAX 65536

/* --- the device --- */

static int target_finish(struct conv_target **ret, struct desc_build *b, const char *name, struct err *err)
{
	cudnnBackendDescriptor_t device;
	autofree char *what = xasprintf("the device description %s", name);
	int r = desc_finish(b, what, &device, err);
	if (r < 0)
		return r;
	struct conv_target *t = xcalloc(1, sizeof(*t));
	t->cudnn = b->cudnn;
	t->device = device;
	snprintf(t->name, sizeof(t->name), "%s", name);
	*ret = t;
	return 0;
}

int conv_target_new(struct conv_target **ret, const struct cudnn *cudnn, int device, struct err *err)
{
	struct desc_build b;
	int32_t id = device;
	desc_begin(&b, cudnn, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
	desc_set(&b, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &id);
	autofree char *name = xasprintf("of CUDA device %d", device);
	return target_finish(ret, &b, name, err);
}

int conv_target_new_described(struct conv_target **ret, const struct cudnn *cudnn, const char *json, const char *name,
			      struct err *err)
{
	struct desc_build b;
	desc_begin(&b, cudnn, CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR);
	desc_set(&b, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, (int64_t)strlen(json) + 1, json);
	return target_finish(ret, &b, name, err);
}

int conv_target_describe(const struct conv_target *target, char **ret_json, struct err *err)
{
	int64_t size = 0;
	autofree char *json = xcalloc(1, JSON_BYTES_MAX + 1);
	int r = desc_get(target->cudnn, target->device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
			 JSON_BYTES_MAX, &size, json, err);
	if (r == 0)
		*ret_json = steal_ptr(json);
	return r;
}

void conv_target_free(struct conv_target *target)
{
	if (!target)
		return;
	desc_free(target->cudnn, target->device);
	free(target);
}

/* --- the graph --- */

static cudnnDataType_t data_type(enum cell cell)
{
	static const cudnnDataType_t types[] = {
		[CELL_F32] = CUDNN_DATA_FLOAT, [CELL_F16] = CUDNN_DATA_HALF, [CELL_BF16] = CUDNN_DATA_BFLOAT16};
	return types[cell];
}

/* Dimensions are said in the order NCHW (a filter: KCRS); the strides say that the channels lie innermost. */
static int make_tensor(const struct conv_op *op, int64_t uid, const int64_t dims[4], cudnnBackendDescriptor_t *ret,
		       struct err *err)
{
	const int64_t strides[4] = {dims[1] * dims[2] * dims[3], 1, dims[3] * dims[1], dims[1]}, alignment = 16;
	cudnnDataType_t type = data_type(op->shape.cell);
	struct desc_build b;
	desc_begin(&b, op->target->cudnn, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
	desc_set(&b, CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &type);
	desc_set_i64(&b, CUDNN_ATTR_TENSOR_DIMENSIONS, 4, dims);
	desc_set_i64(&b, CUDNN_ATTR_TENSOR_STRIDES, 4, strides);
	desc_set_i64(&b, CUDNN_ATTR_TENSOR_UNIQUE_ID, 1, &uid);
	desc_set_i64(&b, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 1, &alignment);
	return desc_finish(&b, "tensor", ret, err);
}

static int make_tensors(struct conv_op *op, struct err *err)
{
	const struct conv_shape *s = &op->shape;
	const int64_t x[4] = {s->n, s->c, s->h, s->w}, w[4] = {s->k, s->c, s->kernel, s->kernel};
	const int64_t y[4] = {s->n, s->k, conv_out(s->h, s), conv_out(s->w, s)};
	int r = make_tensor(op, UID_X, x, &op->x, err);
	r = r ? r : make_tensor(op, UID_W, w, &op->w, err);
	return r ? r : make_tensor(op, UID_Y, y, &op->y, err);
}

static int make_conv(struct conv_op *op, struct err *err)
{
	const int64_t dims = 2, pad[2] = {op->shape.pad, op->shape.pad}, dilation[2] = {1, 1};
	const int64_t stride[2] = {op->shape.stride, op->shape.stride};
	cudnnDataType_t sums = CUDNN_DATA_FLOAT;
	cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
	struct desc_build b;
	desc_begin(&b, op->target->cudnn, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
	desc_set_i64(&b, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 1, &dims);
	desc_set(&b, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, 1, &sums);
	desc_set(&b, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
	desc_set_i64(&b, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, 2, pad);
	desc_set_i64(&b, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, 2, pad);
	desc_set_i64(&b, CUDNN_ATTR_CONVOLUTION_DILATIONS, 2, dilation);
	desc_set_i64(&b, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, 2, stride);
	return desc_finish(&b, "convolution", &op->conv, err);
}

/* The three passes have descriptors and attributes of their own for the same five things. */
static const struct {
	cudnnBackendDescriptorType_t type;
	cudnnBackendAttributeName_t x, w, y, conv, alpha, beta;
} operations[] = {
	[CONV_FPROP] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
			CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
	[CONV_DGRAD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
	[CONV_WGRAD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
			CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
};

static int make_operation(struct conv_op *op, struct err *err)
{
	const double one = 1, zero = 0;
	__typeof__(&operations[0]) kind = &operations[op->shape.pass];
	struct desc_build b;
	desc_begin(&b, op->target->cudnn, kind->type);
	desc_set_desc(&b, kind->x, op->x);
	desc_set_desc(&b, kind->w, op->w);
	desc_set_desc(&b, kind->y, op->y);
	desc_set_desc(&b, kind->conv, op->conv);
	desc_set(&b, kind->alpha, CUDNN_TYPE_DOUBLE, 1, &one);
	desc_set(&b, kind->beta, CUDNN_TYPE_DOUBLE, 1, &zero);
	return desc_finish(&b, "operation", &op->operation, err);
}

static int make_graph(struct conv_op *op, struct err *err)
{
	struct desc_build b;
	desc_begin(&b, op->target->cudnn, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
	desc_set_desc(&b, CUDNN_ATTR_OPERATIONGRAPH_OPS, op->operation);
	return desc_finish(&b, "graph", &op->graph, err);
}

int conv_op_new(struct conv_op **ret, const struct conv_target *target, const struct conv_shape *shape, struct err *err)
{
	struct conv_op *op = xcalloc(1, sizeof(*op));
	char text[CONV_TEXT_MAX];
	op->target = target;
	op->shape = *shape;
	int r = make_tensors(op, err);
	r = r ? r : make_conv(op, err);
	r = r ? r : make_operation(op, err);
	r = r ? r : make_graph(op, err);
	if (r < 0) {
		conv_op_free(op);
		return err_prefix(err, r, "%s", conv_text(shape, text));
	}
	*ret = op;
	return 0;
}

void conv_op_free(struct conv_op *op)
{
	if (!op)
		return;
	const struct cudnn *c = op->target->cudnn;
	desc_free(c, op->graph);
	desc_free(c, op->operation);
	desc_free(c, op->conv);
	desc_free(c, op->y);
	desc_free(c, op->w);
	desc_free(c, op->x);
	free(op);
}

const struct conv_shape *conv_op_shape(const struct conv_op *op)
{
	return &op->shape;
}
