/* The cpu backend's logits from a checkpoint, in fp32: what tests/worker/test_6_torchvision.py compares with torch.
 *
 *   checkpoint_logits FILE.safetensors MODEL STEM CLASSES N < IMAGES
 *
 * IMAGES: N normalised images (N, 3, 32, 32) as floats.  Prints a line of CLASSES numbers for each. */
#include "made.h"

#include "worker/augment.h"
#include "worker/cpu/plan.h"
#include "worker/safetensors.h"

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "checkpoint_logits: %s\n", err->text);
	exit(1);
}

static void copy_tensor(const struct st_file *file, const char *name, float *into, size_t count)
{
	const struct st_tensor *t = safetensors_find(file, name);
	INVARIANT(t && t->dtype == ST_F32 && t->size_bytes == count * sizeof(float), "no fitting tensor %s", name);
	memcpy(into, t->data, t->size_bytes);
}

static void set_state(struct plan *plan, const struct st_file *file)
{
	struct state state;
	plan_state_alloc(plan, &state);
	float *params = state.params, *buffers = state.buffers;
	for (int i = 0; i < plan->net->n_params; i++) {
		const struct net_param *p = &plan->net->params[i];
		copy_tensor(file, p->name, params + p->offset, p->count);
	}
	for (int i = 0; i < plan->net->n_bns; i++) {
		const struct net_bn *bn = &plan->net->bns[i];
		size_t c = (size_t)bn->channels;
		autofree char *mean = xasprintf("%s.running_mean", bn->name), *var = xasprintf("%s.running_var", bn->name);
		copy_tensor(file, mean, buffers + bn->offset, c);
		copy_tensor(file, var, buffers + bn->offset + c, c);
	}
	plan_state_set(plan, &state, NULL); /* the cpu backend's never fails */
	state_fini(&state);
}

static void print_logits(const struct plan *plan, int n, const float *images)
{
	struct err err = {0};
	struct pass *pass = plan->passes[0];
	autofree int32_t *labels = xcalloc((size_t)n, sizeof(*labels));
	check(pass_infer(pass, images, labels, &err), &err);
	for (int i = 0; i < n; i++)
		for (int k = 0; k < plan->net->classes; k++)
			printf("%.9g%c", (double)pass->head.logits[i * plan->net->classes + k],
			       k + 1 < plan->net->classes ? ' ' : '\n');
}

int main(int argc, char **argv)
{
	struct err err = {0};
	INVARIANT(argc == 6, "usage: checkpoint_logits FILE MODEL STEM CLASSES N < IMAGES");
	enum stem stem = str_eq(argv[3], "imagenet") ? STEM_IMAGENET : STEM_CIFAR;
	int classes = atoi(argv[4]), n = atoi(argv[5]);
	struct net *net = net_new(argv[2], stem, IMAGE_SIZE, classes);
	struct dataset *data = made_dataset((size_t)n, (size_t)n, classes, 1); /* only its size matters */
	struct device device = {.spec = {.threads = 1}, .data = data};
	struct recipe recipe = {0};
	struct plan *plan;
	struct st_file *file;
	check(plan_new(&plan, &device, net, &recipe, n, &err), &err);
	check(safetensors_open(&file, argv[1], &err), &err);
	set_state(plan, file);
	size_t count = (size_t)n * IMAGE_VALUES;
	autofree float *images = xcalloc(count, sizeof(*images));
	INVARIANT(fread(images, sizeof(*images), count, stdin) == count, "too few images");
	print_logits(plan, n, images);
	safetensors_close(file);
	plan_free(plan);
	made_free(data);
	net_free(net);
	return 0;
}
