/* The cpu backend's logits from a file of weights, in fp32: what tests/worker/test_6_torchvision.py compares with torch.
 *
 *   checkpoint_logits FILE MODEL STEM CLASSES N < IMAGES
 *
 * IMAGES: N normalised images (N, 3, 32, 32) as floats.  Prints a line of CLASSES numbers for each. */
#include "made.h"

#include "worker/augment.h"
#include "worker/cpu/plan.h"
#include "worker/pretrained.h"

static void check(int r, const struct err *err)
{
	if (r >= 0)
		return;
	fprintf(stderr, "checkpoint_logits: %s\n", err->text);
	exit(1);
}

static void set_state(struct plan *plan, const struct weights *file, const char *model)
{
	struct err err = {0};
	struct state state;
	struct weights_fit fit;
	check(weights_fit(file, plan->net, model, &fit, &err), &err);
	plan_state_alloc(plan, &state);
	weights_take(file, plan->net, &fit, &state);
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
	struct weights *file;
	check(plan_new(&plan, &device, net, &recipe, n, &err), &err);
	check(weights_open(&file, argv[1], &err), &err);
	set_state(plan, file, argv[2]);
	size_t count = (size_t)n * IMAGE_VALUES;
	autofree float *images = xcalloc(count, sizeof(*images));
	INVARIANT(fread(images, sizeof(*images), count, stdin) == count, "too few images");
	print_logits(plan, n, images);
	weights_close(file);
	plan_free(plan);
	made_free(data);
	net_free(net);
	return 0;
}
