/* Which parameters an optimizer's step treats alike: kinds, of learning rate group and weight decay, and the runs of
 * parameters of one kind in net order. */
#pragma once

#include "backend.h"

#define PARAM_KINDS (2 * N_GROUPS)

/* 2 * group, + 1 where weights decay. */
int param_kind(const struct net_param *param, const struct recipe *recipe);

/* Coefficients of every kind at step t (from 1) with these values. */
void param_coefs(struct optim_f64 ret[PARAM_KINDS], const struct recipe *recipe, const struct step_values *values, uint64_t t);

struct param_span {
	size_t offset, count; /* elements in net order */
	int kind;
};

/* Cuts all parameters into spans of one kind and at most `longest` elements each.  Caller frees; returns how many. */
size_t param_spans(const struct net *net, const struct recipe *recipe, size_t longest, struct param_span **ret);
