#include "activations.h"

#include "parity.h"
#include "tests/unit/cmocka_all.h"

#include "worker/ref/ref.h"

static void *data_of(const struct pass *pass, struct place place)
{
	return (char *)pass->regions[place.region] + place.offset;
}

/* src in `layout` as doubles, row-major.  Caller frees. */
static double *plain_doubles(const struct plan *plan, const struct pass *pass, int tensor, const struct layout *layout,
			     void *src)
{
	struct err err = {0};
	const struct tensor *t = &plan->net->tensors[tensor];
	int dims[] = {pass->n, t->c, t->h, t->w};
	size_t n = (size_t)pass->n * (size_t)(t->c * t->h * t->w);
	autolayout struct layout *plain = layout_plain(CELL_F32, 4, dims);
	autofree float *f = xcalloc(n, sizeof(*f));
	double *d = xcalloc(n, sizeof(*d));
	struct prim *prim;
	if (prim_reorder(plan->dnn, layout, plain, &prim, &err) < 0)
		fail_msg("%s", err.text);
	prim_bind(prim, ARG_SRC, src);
	prim_bind(prim, ARG_DST, f);
	autofree void *scratch = NULL;
	if (prim_layout(prim, ARG_SCRATCH)) {
		scratch = xmalloc(layout_bytes(prim_layout(prim, ARG_SCRATCH)));
		prim_bind(prim, ARG_SCRATCH, scratch);
	}
	assert_int_equal(prim_run(prim, &err), 0);
	prim_free(prim);
	for (size_t i = 0; i < n; i++)
		d[i] = f[i];
	return d;
}

/* The item of the forward program that is this batch norm or addition; they stand in the order of the nodes. */
static const struct item *next_item(const struct pass *pass, int *at, enum item_kind kind)
{
	while (pass->forward.items[*at].kind != kind)
		INVARIANT(++*at < pass->forward.n, "no item of kind %d", (int)kind);
	return &pass->forward.items[(*at)++];
}

static void count_parted(const struct plan *plan, const struct pass *pass, int tensor, const double *cpu,
			 const double *ref, struct relus *relus)
{
	const struct tensor *t = &plan->net->tensors[tensor];
	size_t n = (size_t)pass->n * (size_t)(t->c * t->h * t->w);
	relus->outputs += n;
	for (size_t i = 0; i < n; i++)
		relus->parted += (cpu[i] > 0) != (ref[i] > 0);
}

struct relus give_relus(const struct plan *plan, const struct pass *pass, struct ref_net *ref)
{
	struct relus relus = {0};
	const struct layout **layouts = xcalloc((size_t)plan->net->n_tensors, sizeof(*layouts)); /* borrowed, by tensor */
	int at = 0;
	for (int i = 0; i < plan->nodes.n; i++) {
		const struct node *node = &plan->nodes.list[i];
		if (node->kind == NODE_CONV || node->kind == NODE_MAXPOOL)
			continue;
		bool bn = node->kind == NODE_BN;
		const struct item *item = next_item(pass, &at, bn ? ITEM_BN_FORWARD : ITEM_ADD_RELU);
		layouts[node->out] = bn ? prim_layout(item->prim, ARG_DST) : layouts[node->in];
		if (!node->relu)
			continue;
		void *out = bn ? data_of(pass, item->places[ARG_DST]) : item->dst_data;
		autofree double *values = plain_doubles(plan, pass, node->out, layouts[node->out], out);
		count_parted(plan, pass, node->out, values, ref_activation(ref, node->out), &relus);
		ref_set_activation(ref, node->out, values);
	}
	free(layouts);
	return relus;
}
