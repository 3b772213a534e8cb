/* What one training step costs the GPU, counted from its launch list: graph nodes, bytes that must be moved, device
 * memory.  The limits are budgets: a change that exceeds one must say why.
 *
 * MB/image: every array read and written once per launch that touches it, workspaces aside; a step of separate passes
 * (each ReLU and addition its own) would move 28.5 for resnet18 at batch 128 and 157 for resnet50 at batch 64. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "worker/cuda/plan.h"

struct budget {
	const char *model;
	int size, n;
	enum cell cell;
	int launches;
	double mb_per_image, memory_mb;
};

static const struct budget budgets[] = {
	{"resnet18", 32, 128, CELL_BF16, 145, 22.5, 500},
	{"resnet18", 32, 80, CELL_BF16, 145, 24.0, 400},
	{"resnet18", 32, 128, CELL_F16, 146, 22.5, 500},
	{"resnet18", 32, 128, CELL_F32, 145, 45.0, 900},
	{"resnet50", 32, 64, CELL_BF16, 375, 124, 1300},
	{"resnet50", 224, 128, CELL_BF16, 380, 372, 9000},
	{"resnet20", 32, 128, CELL_BF16, 160, 7, 130},
};

static void test_budget(void **state)
{
	const struct budget *b = *state;
	struct err err;
	struct launch_list list = {0};
	size_t memory, moved = 0;
	struct recipe recipe = {.lr_scale = LR_SCALES_ONE, .augment = AUGMENT_CROP_FLIP};
	struct net *net = net_new(b->model, b->size == 32 ? STEM_CIFAR : STEM_IMAGENET, b->size, 100);
	assert_non_null(net);
	assert_int_equal(cuda_step_list(net, &recipe, b->cell, b->n, &list, &memory, &err), 0);
	for (int i = 0; i < list.n; i++) {
		assert_true(list.items[i].bytes > 0 && list.items[i].label[0]);
		moved += list.items[i].bytes;
	}
	double mb = (double)moved / 1e6 / b->n;
	print_message("# %s %d px, batch %d, %s: %d launches of at most %d, %.1f MB/image of %.1f, %.0f MB of memory of %.0f\n",
		      b->model, b->size, b->n, cell_name(b->cell), list.n, b->launches, mb, b->mb_per_image,
		      (double)memory / 1e6, b->memory_mb);
	assert_true(list.n <= b->launches);
	assert_true(mb <= b->mb_per_image);
	assert_true((double)memory / 1e6 <= b->memory_mb);
	launch_list_fini(&list);
	net_free(net);
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(budgets)];
	for (size_t i = 0; i < ARRAY_LEN(budgets); i++)
		tests[i] = (struct CMUnitTest){.name = budgets[i].model, .test_func = test_budget,
					       .initial_state = (void *)&budgets[i]};
	return cmocka_run_group_tests_name("cuda-launches", tests, NULL, NULL);
}
