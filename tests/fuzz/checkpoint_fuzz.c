/* libFuzzer: any bytes as last.safetensors of a network with one tensor of each kind. */
#include "fuzz.h"

#include "common/json.h"
#include "worker/checkpoint.h"
#include "worker/model.h"
#include "worker/position.h"
#include "worker/safetensors.h"
#include "worker/state.h"

static struct net_param tensors[] = {
	{.name = "fc.weight", .role = ROLE_FC_WEIGHT, .ndim = 2, .shape = {2, 3}, .offset = 0, .count = 6},
	{.name = "fc.bias", .role = ROLE_FC_BIAS, .ndim = 1, .shape = {2}, .offset = 6, .count = 2},
};
static struct net_bn bns[] = {{.name = "bn1", .channels = 2, .offset = 0}};

/* Every byte of what it says is there. */
static void read_tensor(const struct st_tensor *t)
{
	unsigned sum = 0;
	for (size_t i = 0; i < t->size_bytes; i++)
		sum += ((const uint8_t *)t->data)[i];
	__asm__ volatile("" : : "r"(sum));
}

static void read_file(const char *path)
{
	struct st_file *f;
	struct err err;
	if (safetensors_open(&f, path, &err) < 0)
		return;
	const struct st_tensor *t = safetensors_find(f, tensors[0].name);
	if (t)
		read_tensor(t);
	safetensors_metadata(f, "state");
	safetensors_close(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct err err;
	struct state state;
	struct position position;
	struct train_config config;
	const struct net net = {.params = tensors, .n_params = ARRAY_LEN(tensors), .bns = bns, .n_bns = ARRAY_LEN(bns),
				.param_count = 8, .buffer_count = 4};
	autojson json_t *saved = NULL;
	autofree char *path = xasprintf("%s/last.safetensors", fuzz_dir());
	fuzz_write("last.safetensors", bytes, size);
	read_file(path);
	const struct recipe recipe = {.optim.optimizer = OPTIMIZER_SGD};
	state_alloc(&state, &net, &recipe, DTYPE_F64);
	int r = checkpoint_load(fuzz_dir(), &net, &state, &saved, &err);
	INVARIANT(r == 0 || r == -EBADMSG, "a checkpoint is refused with %d: %s", r, err.text);
	config_defaults(&config);
	position_init(&position, &config);
	if (r == 0)
		position_load(&position, saved, 1280, &err);
	state_fini(&state);
	return 0;
}
