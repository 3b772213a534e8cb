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

#include "mix.h"
#include "model.h"
#include "optim.h"
#include "scaler.h"

#include <jansson.h>

struct dataset; /* data.h */

enum dtype { DTYPE_F32, DTYPE_F64 };
enum split { SPLIT_TRAIN, SPLIT_TEST, SPLIT_VAL }; /* SPLIT_VAL: held out of the training images; may be empty */
#define N_SPLITS 3

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
	char uuid[96];	     /* of a GPU, as NVML says it; "" */
};

struct recipe { /* everything about training that a plan must know and that never changes in it */
	bool amp;	    /* bf16 where the device has it, else fp32 */
	bool deterministic; /* the same bits on the same device without knowledge of earlier runs: nothing is timed */
	struct optim_settings optim;
	bool spare_bn_bias; /* no weight decay on the weights and biases of batch norms and the classifier's bias */
	double lr_scale[N_GROUPS]; /* learning rate of a group of parameters = the step's times this */
	double clip_norm; /* gradients are scaled down to this norm of all of them together; 0: never */
	double ema_decay; /* after each step that was made ema = decay * ema + (1 - decay) * state, the first copies; 0: none */
	double label_smoothing;
	bool mirror; /* evaluate() may be asked for eval_options.mirror */
	struct augment_settings augment; /* prepare() sets its size to the net's */
	uint64_t seed;	 /* of the augmentation */
	int num_workers; /* loader threads; the result does not depend on it */
};

#define LR_SCALES_ONE {1, 1, 1} /* of a recipe without groups */

struct step_record { /* what a training step came to */
	double loss;	  /* mean over its images, as sums.loss */
	double grad_norm; /* of all gradients together, before it was clipped; of use where recipe.clip_norm > 0 */
};

/* One epoch's tables; borrowed until the next begin_epoch().  Step s of the epoch trains on
 * order[s * batch .. min((s + 1) * batch, n_order)) with steps[s] and mixes[s]. */
struct epoch_tables {
	int epoch;	       /* 0-based; part of the augmentation's counter */
	const uint32_t *order; /* a permutation of the training images */
	size_t n_order;
	const struct step_values *steps;
	const struct mix *mixes; /* NULL: none */
	struct step_record *records; /* (steps), or NULL: run() writes (=) those of the steps it makes */
};

/* Sums over images, accumulated step by step in order, so that run(0,n) and run(0,k)+run(k,n-k) give the same bits. */
struct sums {
	double loss;	  /* sum over images of the loss (with label smoothing in training, without in evaluation) */
	double correct;	  /* top-1; a mixed image counts by its labels' shares */
	uint64_t images;
	uint64_t skipped; /* training steps that changed no weight: gradients beyond fp16 */
	uint64_t correct5; /* of evaluation: the label is among the five largest logits */
};

struct memory_use { /* bytes; 0, 0: not known */
	size_t used;  /* by a plan: parameters, activations, scratch */
	size_t total; /* that it could have on its device now */
};

/* What evaluate() tests, and how. */
struct eval_options {
	bool ema; /* the average of the weights instead of the weights (recipe.ema_decay > 0) */
	struct sums *mirror; /* NULL, or += of the mean of an image's and its mirror image's softmax (recipe.mirror) */
	int32_t *predicted;  /* NULL, or: of each image of the batches, by its place in the split, the class (without mirror) */
};

/* Training state in canonical form: parameters OIHW in net order, what the optimizer keeps of each likewise, running
 * statistics.  Arrays are of `dtype` (cpu: F32, ref: F64) and owned by the struct. */
struct state {
	enum dtype dtype;
	size_t param_count, buffer_count;
	void *params, *buffers;
	enum optimizer optimizer;
	void *slots[N_SLOTS]; /* of the optimizer (optim.h): param_count each; NULL: none.  All zero while steps is 0 */
	void *ema_params, *ema_buffers; /* the average; NULL: none.  Of use once steps is above 0 */
	uint64_t steps;		   /* that the optimizer made: of fp16 some are left out */
	uint64_t batches_tracked;  /* BN's num_batches_tracked */
	struct grad_scaler scaler; /* of fp16 */
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
	/* Takes F32 or F64 whatever the plan's own dtype is.  Slots and average are only looked at where steps is above 0;
	 * then those of the plan must be there. */
	int (*state_set)(struct plan *plan, const struct state *from, struct err *err);
	int (*begin_epoch)(struct plan *plan, const struct epoch_tables *tables, struct err *err);
	/* Trains steps [first, first + n) of the epoch; the caller may stop at any step.  += into sums.  A loss that is
	 * not finite is an error: -EDOM, the step named in err. */
	int (*run)(struct plan *plan, uint32_t first, uint32_t n, struct sums *sums, struct err *err);
	/* Batches [first, first + n) of a split, in its own order, with running statistics; moves no training state.
	 * += into sums; a loss that is not finite is no error here. */
	int (*evaluate)(struct plan *plan, enum split split, const struct eval_options *options, uint32_t first, uint32_t n,
			struct sums *sums, struct err *err);
	/* What a run records of its plan: {"device_bytes": memory of the device that is this plan's own, "seconds":
	 * that preparing its kernels took, "convolutions": {convolution: the plan it uses}}.  New reference.  A backend
	 * that chooses nothing has no such verb. */
	json_t *(*describe)(const struct plan *plan);
	void (*memory)(const struct plan *plan, struct memory_use *ret);
	void (*release)(struct plan *plan); /* accepts NULL */
	void (*close)(struct device *device); /* accepts NULL */
};

/* The backend of that name, or NULL ("cpu" is NULL in a build without oneDNN). */
const struct backend *backend_find(const char *name);

void state_fini(struct state *state);
/* Fresh training state: net_init() of seed, no step made, no slots. */
void state_init(struct state *state, const struct net *net, uint64_t seed);
