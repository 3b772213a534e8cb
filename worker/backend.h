/* What a device must do to train: one `struct backend` per kind (ref, cpu), chosen by name.
 *
 * A backend is handed the whole problem once, in prepare(), and allocates everything there; afterwards the verbs are
 * coarse.  Nothing that changes per step crosses this interface per step: it is a table fixed in begin_epoch(), or a
 * function of the step number.  One plan is driven by one thread at a time.
 *
 * Life: open -> load -> prepare -> state_set -> { begin_epoch -> run... -> evaluate... -> state_get } -> release -> close.
 *
 * To add a backend: a directory with one `const struct backend`, a row in backend.c, a pass of tests/parity. */
#pragma once

#include "model.h"

struct dataset; /* data.h */

enum dtype { DTYPE_F32, DTYPE_F64 };
enum split { SPLIT_TRAIN, SPLIT_TEST };

struct device_spec {
	int threads;	/* OpenMP threads of the training thread; >= 1 */
	bool direct;	/* only exact convolution (no Winograd, no TF32): parity tests */
	const char *id; /* "cpu", "cpu:1", "cuda:0", a GPU's UUID; borrowed until open() is back; NULL: the first */
};

struct device_info {
	char name[128];	  /* "AMD EPYC ..., 2 threads" */
	const char *amp;  /* what mixed precision is: "bf16", "fp16"; NULL: there is none */
	const char *library; /* that computes: "onednn", "cudnn"; NULL: none */
	char version[32];    /* of it */
};

struct recipe { /* everything about training that a plan must know and that never changes in it */
	bool amp;	/* bf16 where the device has it, else fp32 */
	bool nesterov;
	double momentum, weight_decay, label_smoothing;
	bool deterministic; /* the same bits on the same device without knowledge of earlier runs: nothing is timed */
	bool random_crop, random_flip;
	uint64_t seed;	 /* of the augmentation */
	int num_workers; /* loader threads; the result does not depend on it */
};

/* One epoch's tables; borrowed until the next begin_epoch().  Step s of the epoch trains on
 * order[s * batch .. min((s + 1) * batch, n_order)) with learning rate lr. */
struct epoch_tables {
	int epoch;	       /* 0-based; part of the augmentation's counter */
	const uint32_t *order; /* a permutation of the training images */
	size_t n_order;
	double lr;
};

/* Sums over images, accumulated step by step in order, so that run(0,n) and run(0,k)+run(k,n-k) give the same bits. */
struct sums {
	double loss;	  /* sum over images of the loss (with label smoothing in training, without in evaluation) */
	uint64_t correct; /* top-1 */
	uint64_t images;
};

/* torch.amp.GradScaler's state; scale 0: nothing is scaled, or a plan's own beginning. */
struct grad_scaler {
	float scale;
	uint32_t good_steps;	/* since it last changed */
	uint32_t skipped_steps; /* whose gradients were not finite */
};

/* Training state in canonical form: parameters OIHW in net order, SGD momentum likewise, running statistics.  Arrays
 * are of `dtype` (cpu: F32, ref: F64) and owned by the struct. */
struct state {
	enum dtype dtype;
	size_t param_count, buffer_count;
	void *params, *momentum, *buffers; /* momentum: param_count */
	bool has_momentum;		   /* false before the first step: torch's buffer does not exist yet */
	uint64_t batches_tracked;	   /* BN's num_batches_tracked */
	struct grad_scaler scaler;	   /* of fp16 */
};

struct device;
struct plan;

struct backend {
	const char *name; /* "ref", "cpu" */
	int (*open)(struct device **ret, const struct device_spec *spec, struct err *err);
	void (*info)(const struct device *device, struct device_info *ret);
	/* The data set is borrowed and shared by all plans of the device; called once before prepare(). */
	int (*load)(struct device *device, const struct dataset *data, struct err *err);
	int (*prepare)(struct device *device, const struct net *net, const struct recipe *recipe, int batch,
		       struct plan **ret, struct err *err);
	/* dtype, counts and arrays of a state of this plan, zeroed. */
	void (*state_alloc)(const struct plan *plan, struct state *ret);
	/* Copies; into was state_alloc'ed, and holds nothing of use after an error. */
	int (*state_get)(struct plan *plan, struct state *into, struct err *err);
	/* Takes F32 or F64 whatever the plan's own dtype is. */
	int (*state_set)(struct plan *plan, const struct state *from, struct err *err);
	int (*begin_epoch)(struct plan *plan, const struct epoch_tables *tables, struct err *err);
	/* Trains steps [first, first + n) of the epoch; the caller may stop at any step.  += into sums.  A loss that is
	 * not finite is an error: -EDOM, the step named in err. */
	int (*run)(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err);
	/* Batches [first, first + n) of a split, in its own order, with running statistics; moves no training state.
	 * += into sums; a loss that is not finite is no error here. */
	int (*evaluate)(struct plan *plan, enum split split, uint32_t first, uint32_t n, struct sums *sums,
			struct err *err);
	void (*release)(struct plan *plan); /* accepts NULL */
	void (*close)(struct device *device); /* accepts NULL */
};

/* The backend of that name, or NULL ("cpu" is NULL in a build without oneDNN). */
const struct backend *backend_find(const char *name);

void state_fini(struct state *state);
/* Fresh training state: net_init() of seed, no momentum. */
void state_init(struct state *state, const struct net *net, uint64_t seed);
