/* The losses of the first training steps, one by one, on a GPU, the CPU or the host: from the same weights and batches
 * they must be the same wherever they are computed.
 *
 *   trajectory --device cuda:0 --steps 50 --batch 64 --amp none --export DIR
 *
 * Prints one line of JSON: {"device": .., "loss": [..]}.  With --export, DIR (which exists) gets what another program
 * needs to train the same: start.safetensors (torchvision's names), images.u8 (steps, batch, 3, 32, 32), labels.u8
 * (steps, batch), and recipe.json.  No augmentation; images of --data's CIFAR-100, or made ones. */
#include "subject.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"
#include "tests/parity/made.h"
#include "worker/augment.h"
#include "worker/safetensors.h"

#include <argp.h>
#include <fcntl.h>
#include <unistd.h>

#define SEED	     7
#define LR	     0.01 /* small: see part_torch.py */
#define MOMENTUM     0.9
#define WEIGHT_DECAY 5e-4
#define CLASSES	     100

struct options {
	const char *device, *model, *amp, *data_dir, *export_dir;
	int batch, steps;
};

static const struct argp_option argp_options[] = {
	{"device", 'd', "ID", 0, "cuda:N, a UUID, cpu or host (cuda:0)", 0},
	{"model", 'm', "NAME", 0, "network of params.def (resnet18)", 0},
	{"amp", 'a', "TYPE", 0, "bf16, fp16 or none (none)", 0},
	{"batch", 'b', "N", 0, "images of a step (64)", 0},
	{"steps", 's', "N", 0, "steps (50)", 0},
	{"data", 'D', "DIR", 0, "CIFAR-100 is there (default: made images)", 0},
	{"export", 'x', "DIR", 0, "write weights and batches there", 0},
	{0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	switch (key) {
	case 'd':
		o->device = arg;
		return 0;
	case 'm':
		o->model = arg;
		return 0;
	case 'a':
		o->amp = arg;
		return 0;
	case 'b':
		o->batch = atoi(arg);
		return 0;
	case 's':
		o->steps = atoi(arg);
		return 0;
	case 'D':
		o->data_dir = arg;
		return 0;
	case 'x':
		o->export_dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->batch < 1 || o->steps < 1)
			argp_error(state, "--batch and --steps: expected whole numbers from 1");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void die(int r, const struct err *err)
{
	if (r == 0)
		return;
	fprintf(stderr, "error: %s\n", err->text);
	exit(1);
}

struct job {
	struct options o;
	struct net *net;
	struct dataset *data;
	struct state fresh;
	uint32_t *order;
	size_t images;
};

/* --- export --- */

static int out_open(const char *dir, const char *name)
{
	autofree char *path = xasprintf("%s/%s", dir, name);
	struct err err;
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		die(-errno, (err_sys(&err, -errno, "cannot write %s", path), &err));
	return fd;
}

static void add_tensor(struct st_tensor *t, const char *name, const char *suffix, const float *data, size_t count)
{
	snprintf(t->name, sizeof(t->name), "%s%s", name, suffix);
	t->dtype = ST_F32;
	t->ndim = 1;
	t->shape[0] = (int64_t)count;
	t->data = data;
	t->size_bytes = count * sizeof(*data);
}

static void export_weights(const struct job *j)
{
	struct err err;
	const struct net *net = j->net;
	size_t n = 0;
	autofree struct st_tensor *tensors = xcalloc((size_t)(net->n_params + 2 * net->n_bns), sizeof(*tensors));
	for (int i = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		struct st_tensor *t = &tensors[n++];
		add_tensor(t, p->name, "", (const float *)j->fresh.params + p->offset, p->count);
		t->ndim = p->ndim;
		for (int d = 0; d < p->ndim; d++)
			t->shape[d] = p->shape[d];
	}
	for (int i = 0; i < net->n_bns; i++) {
		const struct net_bn *bn = &net->bns[i];
		const float *mean = (const float *)j->fresh.buffers + bn->offset;
		add_tensor(&tensors[n++], bn->name, ".running_mean", mean, (size_t)bn->channels);
		add_tensor(&tensors[n++], bn->name, ".running_var", mean + bn->channels, (size_t)bn->channels);
	}
	autojson json_t *metadata = json_pack("{s:s}", "format", "pt");
	autoclose int fd = out_open(j->o.export_dir, "start.safetensors");
	die(safetensors_write(fd, tensors, n, metadata, &err), &err);
}

static void put(int fd, const void *data, size_t bytes)
{
	struct err err;
	int r = fs_write_all(fd, data, bytes);
	if (r < 0)
		die(r, (err_sys(&err, r, "cannot write to --export"), &err));
}

static void export_batches(const struct job *j)
{
	const struct image_set *set = &j->data->sets[SPLIT_TRAIN];
	uint8_t image[IMAGE_VALUES];
	autoclose int images = out_open(j->o.export_dir, "images.u8"), labels = out_open(j->o.export_dir, "labels.u8");
	for (size_t i = 0; i < j->images; i++) {
		uint32_t sample = j->order[i];
		image_bytes(image, set, sample);
		put(images, image, sizeof(image));
		put(labels, &set->labels[sample * set->label_pitch], 1);
	}
}

static void export_recipe(const struct job *j)
{
	const float *m = j->data->mean, *s = j->data->std;
	autojson json_t *recipe = json_pack("{s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:[f,f,f], s:[f,f,f]}", "model", j->o.model,
					    "classes", CLASSES, "batch", j->o.batch, "steps", j->o.steps, "lr", LR, "momentum",
					    MOMENTUM, "weight_decay", WEIGHT_DECAY, "mean", (double)m[0], (double)m[1],
					    (double)m[2], "std", (double)s[0], (double)s[1], (double)s[2]);
	autofree char *text = json_pretty(recipe);
	autoclose int fd = out_open(j->o.export_dir, "recipe.json");
	put(fd, text, strlen(text));
}

/* --- training --- */

static void train(const struct job *j)
{
	struct err err;
	char name[192];
	const struct backend *backend;
	struct device *device;
	struct plan *plan;
	struct recipe recipe = {.amp = !str_eq(j->o.amp, "none"), .optim.weight_decay = WEIGHT_DECAY, .lr_scale = LR_SCALES_ONE, .seed = SEED,
				.deterministic = true};
	json_t *losses = json_array();
	die(subject_open(&backend, &device, j->o.device, j->o.amp, true, &err), &err);
	die(backend->load(device, j->data, &err), &err);
	die(backend->prepare(device, j->net, &recipe, j->o.batch, &plan, &err), &err);
	die(backend->state_set(plan, &j->fresh, &err), &err);
	autofree struct step_values *values = made_steps((size_t)j->o.steps, LR, MOMENTUM);
	const struct epoch_tables tables = {.order = j->order, .n_order = j->images, .steps = values};
	die(backend->begin_epoch(plan, &tables, &err), &err);
	for (int i = 0; i < j->o.steps; i++) {
		struct sums sums = {0};
		die(backend->run(plan, (uint32_t)i, 1, &sums, &err), &err);
		json_array_append_new(losses, json_real(sums.loss / (double)sums.images));
	}
	autojson json_t *result = json_pack("{s:s, s:s, s:s, s:o}", "device", subject_describe(backend, device, name), "model",
					    j->o.model, "amp", j->o.amp, "loss", losses);
	autofree char *line = json_line(result);
	puts(line);
	backend->release(plan);
	backend->close(device);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {argp_options, parse, 0, "Losses of the first steps.", 0, 0, 0};
	struct err err;
	struct job j = {.o = {.device = "cuda:0", .model = "resnet18", .amp = "none", .batch = 64, .steps = 50}};
	argp_parse(&argp, argc, argv, 0, NULL, &j.o);
	j.images = (size_t)j.o.batch * (size_t)j.o.steps;
	j.net = net_new(j.o.model, STEM_CIFAR, 32, CLASSES);
	if (!j.net)
		die(-EINVAL, (err_set(&err, -EINVAL, "there is no network \"%s\"", j.o.model), &err));
	if (j.o.data_dir)
		die(dataset_open(&j.data, "cifar100", j.o.data_dir, j.images, 0, &err), &err);
	else
		j.data = made_dataset(j.images, 16, CLASSES, 3);
	state_init(&j.fresh, j.net, SEED);
	j.order = xcalloc(j.images, sizeof(*j.order));
	epoch_order(j.order, j.images, SEED, 0);
	if (j.o.export_dir) {
		export_weights(&j);
		export_batches(&j);
		export_recipe(&j);
	}
	train(&j);
	free(j.order);
	state_fini(&j.fresh);
	j.o.data_dir ? dataset_free(j.data) : made_free(j.data);
	net_free(j.net);
	return 0;
}
