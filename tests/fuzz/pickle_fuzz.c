/* libFuzzer: any bytes as a pickle. */
#include "fuzz.h"

#include "worker/pickle.h"

static const char *const names[] = {"collections OrderedDict", "torch._utils _rebuild_tensor_v2", "torch FloatStorage",
				    "torch.nn.parameter Parameter", NULL};

/* What it refers to is there. */
static size_t weigh(const struct pickle_node *node)
{
	switch (node->kind) {
	case PICKLE_TUPLE:
	case PICKLE_LIST:
	case PICKLE_DICT:
		for (size_t i = 0; i < node->list.n; i++)
			INVARIANT(node->list.items[i]->kind <= PICKLE_PERSISTENT, "no node");
		return node->list.n;
	case PICKLE_STRING:
	case PICKLE_BIG: {
		unsigned sum = 0;
		for (size_t i = 0; i < node->text.size; i++)
			sum += (unsigned char)node->text.bytes[i];
		return sum;
	}
	case PICKLE_CALL:
		INVARIANT(node->call.args->kind == PICKLE_TUPLE, "a call without arguments");
		return strlen(node->call.fn);
	case PICKLE_PERSISTENT:
		return (size_t)node->call.args->kind;
	case PICKLE_GLOBAL:
		return strlen(node->name);
	case PICKLE_NONE:
	case PICKLE_BOOL:
	case PICKLE_INT:
	case PICKLE_FLOAT:
		return 1;
	}
	BUG("kind of node");
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct err err = {.text = ""};
	struct pickle *p;
	size_t used, sum = 0;
	int r = pickle_read(&p, bytes, size, names, &used, &err);
	if (r < 0) {
		INVARIANT(r == -EBADMSG && err.text[0], "refused with %d", r);
		return 0;
	}
	INVARIANT(used <= size, "it read behind its end");
	const struct pickle_node *node;
	for (size_t i = 0; (node = pickle_node_at(p, i)); i++)
		sum += weigh(node);
	__asm__ volatile("" : : "r"(sum));
	pickle_get(pickle_root(p), "state_dict");
	pickle_free(p);
	return 0;
}
