/* See descriptor.h. */
#include "descriptor.h"

static void note(struct desc_build *b, cudnnStatus_t status, const char *step)
{
	if (b->status != CUDNN_STATUS_SUCCESS || status == CUDNN_STATUS_SUCCESS)
		return;
	b->status = status;
	b->failed = step;
}

void desc_begin(struct desc_build *b, const struct cudnn *cudnn, cudnnBackendDescriptorType_t type)
{
	*b = (struct desc_build){.cudnn = cudnn, .status = CUDNN_STATUS_SUCCESS};
	note(b, cudnn->cudnnBackendCreateDescriptor(type, &b->desc), "create");
}

void desc_set(struct desc_build *b, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
	      const void *values)
{
	if (b->status == CUDNN_STATUS_SUCCESS)
		note(b, b->cudnn->cudnnBackendSetAttribute(b->desc, name, type, count, values), "set an attribute");
}

int desc_finish(struct desc_build *b, const char *what, cudnnBackendDescriptor_t *ret, struct err *err)
{
	if (b->status == CUDNN_STATUS_SUCCESS)
		note(b, b->cudnn->cudnnBackendFinalize(b->desc), "finalize");
	if (b->status == CUDNN_STATUS_SUCCESS) {
		*ret = b->desc;
		return 0;
	}
	int r = cudnn_err(b->cudnn, err, b->status, "%s: %s", what, b->failed);
	desc_free(b->cudnn, b->desc);
	return r;
}

void desc_free(const struct cudnn *cudnn, cudnnBackendDescriptor_t desc)
{
	if (desc)
		cudnn->cudnnBackendDestroyDescriptor(desc);
}

int desc_get(const struct cudnn *c, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
	     cudnnBackendAttributeType_t type, int64_t max, int64_t *ret_count, void *ret, struct err *err)
{
	int64_t count = 0;
	cudnnStatus_t status = c->cudnnBackendGetAttribute(d, name, type, max, &count, ret);
	if (status != CUDNN_STATUS_SUCCESS)
		return cudnn_err(c, err, status, "reading attribute %d of a descriptor", (int)name);
	*ret_count = count;
	return 0;
}
