/* A build that cannot use GPUs; see probe.h. */
#include "probe.h"

int cuda_probe(json_t *into, struct err *err)
{
	json_object_set_new(into, "built", json_false());
	json_object_set_new(into, "driver", json_null());
	json_object_set_new(into, "cudnn", json_null());
	return err_set(err, -ENOTSUP, "this build trains on the CPU only");
}
