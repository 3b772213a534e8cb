/* Starting weights from a file: the state dict of a torchvision network, or of one of ours, mapped to a net by its
 * names.
 *
 * The classifier is taken where it has as many classes, and stays as it was initialised where it has not, or where the
 * file has none.  num_batches_tracked may be missing (torch wrote none before 0.4.1).  Nothing else may be missing, or
 * be there too; what a checkpoint holds beside the model (optimizer.*, ema.*) is passed over. */
#pragma once

#include "backend.h"
#include "train.h"
#include "weights.h"

struct weights_fit {
	size_t taken; /* tensors, num_batches_tracked not counted */
	bool fresh_classifier;
	int64_t file_classes; /* 0: the file has no classifier */
	uint64_t batches_tracked;
};

/* Whether the file has the weights of net.  -EINVAL naming the tensors that are missing, unexpected, or of another
 * shape or type, and the stem or model that it would fit; model: what net is called. */
int weights_fit(const struct weights *w, const struct net *net, const char *model, struct weights_fit *ret,
		struct err *err);
/* Copies what fits, as weights_fit() said, into a state of net; the rest of it stays. */
void weights_take(const struct weights *w, const struct net *net, const struct weights_fit *fit, struct state *into);
/* Every model and stem whose net the file fits: [{"model", "stem", "classes"}].  classes: null where the file has no
 * classifier.  New reference. */
json_t *weights_models(const struct weights *w);

/* Fills a fresh state (state_init()) with the weights that the job's configuration names, and writes a line to its log.
 * ret_started: for the event `started`: {"file", "format", "sha256", "tensors", "classifier": "taken" or "fresh",
 * "file_classes"}, new reference.  -EINVAL: they do not fit; -ENODATA: they are not there, damaged or unreadable. */
int pretrained_load(const struct train_job *job, const struct net *net, struct state *state, json_t **ret_started,
		    struct err *err);
/* Of a recipe: what the learning rate of each group of parameters is multiplied by. */
void pretrained_lr_scales(const struct train_config *cfg, double ret[N_GROUPS]);
