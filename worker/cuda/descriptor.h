/* cuDNN's backend descriptors without their ceremony: create, set attributes, finalize, each checked.
 *
 * A build is a run of steps of which the first failure counts: the later ones do nothing, and desc_finish() reports it. */
#pragma once

#include "cudnn.h"

struct desc_build {
	const struct cudnn *cudnn;
	cudnnBackendDescriptor_t desc;
	cudnnStatus_t status;
	const char *failed; /* the step */
};

void desc_begin(struct desc_build *b, const struct cudnn *cudnn, cudnnBackendDescriptorType_t type);
void desc_set(struct desc_build *b, cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, int64_t count,
	      const void *values);
static inline void desc_set_desc(struct desc_build *b, cudnnBackendAttributeName_t name, cudnnBackendDescriptor_t d)
{
	desc_set(b, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &d);
}
static inline void desc_set_i64(struct desc_build *b, cudnnBackendAttributeName_t name, int64_t count,
				const int64_t *values)
{
	desc_set(b, name, CUDNN_TYPE_INT64, count, values);
}
/* Finalizes; on failure destroys and says "what: step: status". */
int desc_finish(struct desc_build *b, const char *what, cudnnBackendDescriptor_t *ret, struct err *err);
void desc_free(const struct cudnn *cudnn, cudnnBackendDescriptor_t desc); /* accepts NULL */

/* Reads: one value, and how many there are.  -EIO with a sentence. */
int desc_get(const struct cudnn *c, cudnnBackendDescriptor_t d, cudnnBackendAttributeName_t name,
	     cudnnBackendAttributeType_t type, int64_t max, int64_t *ret_count, void *ret, struct err *err);
