#include "param_spans.h"

static bool is_bn_or_bias(enum param_role role)
{
	switch (role) {
	case ROLE_BN_WEIGHT:
	case ROLE_BN_BIAS:
	case ROLE_FC_BIAS:
		return true;
	case ROLE_CONV:
	case ROLE_FC_WEIGHT:
		break;
	}
	return false;
}

int param_kind(const struct net_param *param, const struct recipe *recipe)
{
	return 2 * param->group + !(recipe->spare_bn_bias && is_bn_or_bias(param->role));
}

void param_coefs(struct optim_f64 ret[PARAM_KINDS], const struct recipe *recipe, const struct step_values *values, uint64_t t)
{
	for (int kind = 0; kind < PARAM_KINDS; kind++)
		ret[kind] = optim_coefs(&recipe->optim, values, t, recipe->lr_scale[kind / 2], kind % 2);
}

size_t param_spans(const struct net *net, const struct recipe *recipe, size_t longest, struct param_span **ret)
{
	size_t n = 0;
	struct param_span *spans = xcalloc((size_t)net->n_params + net->param_count / longest + 1, sizeof(*spans));
	for (int i = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		int kind = param_kind(p, recipe);
		for (size_t left = p->count; left > 0;) {
			bool more = n > 0 && spans[n - 1].kind == kind && spans[n - 1].count < longest;
			if (!more)
				spans[n++] = (struct param_span){.offset = p->offset + (p->count - left), .kind = kind};
			struct param_span *span = &spans[n - 1];
			size_t taken = MIN(left, longest - span->count);
			span->count += taken;
			left -= taken;
		}
	}
	*ret = spans;
	return n;
}
