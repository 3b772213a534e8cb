/* NVIDIA's management library, libnvidia-ml.so.1, opened at run time: which GPUs there are and how they are.  It starts no
 * CUDA context and takes no GPU memory.  Its interface is declared here, so that a build without NVIDIA's headers finds
 * GPUs too. */
#pragma once

#include "common/base.h"

struct nvml;

/* -ENOENT: it is not installed: there is no NVIDIA driver.  -ENODEV: it is, but the driver does not answer (not loaded, or
 * of another version than the library after an update: reboot). */
int nvml_open(struct nvml **ret, struct err *err);
void nvml_close(struct nvml *nvml); /* accepts NULL */
const char *nvml_driver_version(const struct nvml *nvml); /* "580.159.03"; "" when unknown; borrowed */

#define NVML_UNKNOWN (-1)

struct nvml_gpu {
	int index;	   /* of the GPU, in the order of the bus */
	int instance;	   /* of a MIG instance on it; NVML_UNKNOWN: the whole GPU */
	char uuid[96];	   /* "GPU-..." or "MIG-..."; "" when it cannot be asked */
	char name[128];	   /* "NVIDIA H200" */
	int sm;		   /* compute capability: 90; NVML_UNKNOWN */
	bool mig;	   /* it is cut into instances: only those can be used */
	char problem[256]; /* why it cannot be used, a sentence; "" */
};

/* All GPUs and, behind a GPU that is cut, its MIG instances.  A GPU that cannot be asked is listed with its problem: lost
 * from the bus, in need of a reset, with uncorrectable memory errors since the driver was started, locked by permissions.
 * Caller frees. */
int nvml_gpus(const struct nvml *nvml, struct nvml_gpu **ret, size_t *ret_count, struct err *err);

struct nvml_reading { /* NVML_UNKNOWN: this GPU does not tell */
	int64_t memory_bytes, memory_used_bytes;
	int utilization_percent;     /* of time in which a kernel ran */
	int power_mw, temperature_c;
	int sm_clock_mhz, memory_clock_mhz;
	int64_t ecc_corrected, ecc_uncorrected; /* since the driver was started */
	int64_t energy_mj;	     /* likewise; since Volta */
};
/* -ENODEV: the GPU is lost or must be reset; -ENOENT: there is none of that UUID; -EIO: it cannot be asked now. */
int nvml_read(const struct nvml *nvml, const char *uuid, struct nvml_reading *ret, struct err *err);

/* What the driver writes to the kernel's log as "Xid N" of a GPU while somebody watches. */
struct nvml_watch;
/* NULL: this GPU (a MIG instance, an old one) tells nothing. */
struct nvml_watch *nvml_watch_new(const struct nvml *nvml, const char *uuid);
void nvml_watch_free(struct nvml_watch *watch); /* accepts NULL; before nvml_close() */
/* The next Xid there has been, or 0; does not wait. */
int nvml_watch_next(struct nvml_watch *watch);
/* What NVIDIA's catalogue calls it: "the GPU has fallen off the bus"; "" for a rare one. */
const char *nvml_xid_text(int xid);
