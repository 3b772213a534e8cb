/* A network in double with its activations, gradients and training state, driven step by step on inputs of the
 * caller's choice: what the ref backend is made of, and what other backends' whole-network tests compare with. */
#pragma once

#include "worker/backend.h"
#include "worker/optim.h"

extern const struct backend backend_ref;

struct ref_net;

struct ref_net *ref_net_new(const struct net *net, int max_batch); /* net is borrowed */

/* Arenas in net order, for reading and writing: params, grads, slots (param_count), buffers (buffer_count). */
double *ref_params(struct ref_net *r);
double *ref_grads(struct ref_net *r);
double *ref_slot(struct ref_net *r, int slot);
double *ref_buffers(struct ref_net *r);

/* x: (n, 3, size, size); returns the logits (n, classes), borrowed until the next call.  train: batch statistics, and
 * the running ones move; else the running ones. */
const double *ref_forward(struct ref_net *r, int n, const double *x, bool train);
/* Loss of the last ref_forward(): adds loss and correct of each image, in order, to sums (+=). */
void ref_loss(struct ref_net *r, const struct targets *targets, struct sums *sums);
/* After ref_forward(train) and ref_loss(): gradients (=) of the mean loss with respect to every parameter. */
void ref_backward(struct ref_net *r);
/* The optimizer's step t (from 1) with the gradients there are.  Returns their norm where they are clipped, else 0. */
double ref_update(struct ref_net *r, const struct recipe *recipe, const struct step_values *values, uint64_t t);

/* Activation (n, c, h, w) of a tensor id, of the last pass: to find where two backends part. */
const double *ref_activation(const struct ref_net *r, int tensor);
/* Puts values (n, c, h, w) in place of an activation of the last pass: then ref_backward() passes ReLUs and takes maxima
 * where another backend's forward pass did, and what is left between their gradients is rounding alone. */
void ref_set_activation(struct ref_net *r, int tensor, const double *values);

size_t ref_bytes(const struct ref_net *r); /* of its arenas and activations */

void ref_net_free(struct ref_net *r); /* accepts NULL */
