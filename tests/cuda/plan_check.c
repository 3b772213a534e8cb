/* plan_check DEVICES TABLE [--write]: has every convolution of the networks, on every GPU described in DEVICES, a
 * deterministic cuDNN plan that uses the tensor cores and keeps within the workspace?  Needs cuDNN, no GPU.
 *
 * TABLE is what the check found when it was last looked at: the engine of each and the MiB of its workspace.  With the
 * same cuDNN version it must be found again; --write writes it.  77: cuDNN is not installed. */
#include "common/fs.h"
#include "worker/cuda/conv_plan.h"

#define EXIT_SKIP 77

static const struct {
	const char *net;
	enum stem stem;
	int size, batches[4]; /* the batch, and the smaller last ones of 50,000 training and 10,000 test images */
} runs[] = {
	{"resnet18", STEM_CIFAR, 32, {128, 80, 16}},
	{"resnet50", STEM_CIFAR, 32, {64, 16}},
	{"resnet18", STEM_IMAGENET, 224, {128, 80, 16}},
	{"resnet50", STEM_IMAGENET, 224, {64, 16}},
};

static const struct {
	const char *device;
	enum cell cells[2];
	int n_cells;
} devices[] = {
	{"t4", {CELL_F16}, 1}, /* has no bf16 */
	{"a100", {CELL_F16, CELL_BF16}, 2},
	{"rtx4090", {CELL_F16, CELL_BF16}, 2},
	{"h200", {CELL_F16, CELL_BF16}, 2},
	{"b200", {CELL_F16, CELL_BF16}, 2},
};

struct check {
	const struct cudnn *cudnn;
	struct conv_shape *shapes; /* each once; their cell does not count */
	size_t n_shapes;
	char **cells;	 /* [shape]: " 62/0.1" of each column */
	char *header;	 /* names of the columns */
	int bad;
};

/* --- what is checked --- */

static bool is_known(const struct check *check, const struct conv_shape *shape)
{
	for (size_t i = 0; i < check->n_shapes; i++)
		if (conv_shape_eq(&check->shapes[i], shape))
			return true;
	return false;
}

static void add_net(struct check *check, const char *name, enum stem stem, int size, int batch)
{
	size_t n;
	struct net *net = net_new(name, stem, size, 100);
	autofree struct conv_shape *shapes = conv_shapes_of_net(net, CELL_F16, batch, &n);
	for (size_t i = 0; i < n; i++)
		if (!is_known(check, &shapes[i])) {
			check->shapes = xrealloc_array(check->shapes, check->n_shapes + 1, sizeof(*shapes));
			check->shapes[check->n_shapes++] = shapes[i];
		}
	net_free(net);
}

static void collect_shapes(struct check *check)
{
	for (size_t i = 0; i < ARRAY_LEN(runs); i++)
		for (int b = 0; runs[i].batches[b]; b++)
			add_net(check, runs[i].net, runs[i].stem, runs[i].size, runs[i].batches[b]);
	check->cells = xcalloc(check->n_shapes, sizeof(*check->cells));
	for (size_t i = 0; i < check->n_shapes; i++)
		check->cells[i] = xstrdup("");
	check->header = xstrdup("");
}

static void append(char **text, const char *more)
{
	char *longer = xasprintf("%s%s", *text, more);
	free(*text);
	*text = longer;
}

/* --- the check --- */

/* The plan that a run without timing takes, and the same plan again from what would be remembered of it. */
static int check_plan(const struct conv_op *op, struct conv_plan **ret, struct err *err)
{
	const struct conv_limits limits = {CONV_WORKSPACE_BYTES, true, true};
	struct conv_plan *again;
	int r = conv_plans_find(op, &limits, 1, ret, err);
	if (r < 0)
		return r;
	r = conv_plan_new(&again, op, &(*ret)->choice, &limits, err);
	if (r == 0) {
		bool same = again->choice.workspace == (*ret)->choice.workspace && again->tensor_cores == (*ret)->tensor_cores;
		conv_plan_free(again);
		r = same ? 0 : err_set(err, -EINVAL, "its choice makes another plan");
	}
	if (r == 0 && (!(*ret)->tensor_cores || !(*ret)->deterministic))
		r = err_set(err, -EINVAL, "engine %lld has no tensor cores or is not deterministic",
			    (long long)(*ret)->choice.engine);
	if (r < 0)
		conv_plan_free(*ret);
	return r;
}

static int check_shape(const struct conv_target *target, const struct conv_shape *shape, char cell[32], struct err *err)
{
	struct conv_op *op;
	struct conv_plan *plan;
	int r = conv_op_new(&op, target, shape, err);
	if (r < 0)
		return r;
	r = check_plan(op, &plan, err);
	if (r == 0) {
		snprintf(cell, 32, " %lld/%.1f", (long long)plan->choice.engine, (double)plan->choice.workspace / (1 << 20));
		conv_plan_free(plan);
	}
	conv_op_free(op);
	return r;
}

static void check_column(struct check *check, const struct conv_target *target, const char *device, enum cell cell)
{
	char text[CONV_TEXT_MAX], found[32];
	struct err err;
	autofree char *name = xasprintf(" %s:%s", device, cell_name(cell));
	append(&check->header, name);
	for (size_t i = 0; i < check->n_shapes; i++) {
		struct conv_shape shape = check->shapes[i];
		shape.cell = cell;
		if (check_shape(target, &shape, found, &err) < 0) {
			printf("not ok: %s on %s: %s\n", conv_text(&shape, text), device, err.text);
			snprintf(found, sizeof(found), " none");
			check->bad++;
		}
		append(&check->cells[i], found);
	}
}

static int check_device(struct check *check, const char *dir, size_t device, struct err *err)
{
	autofree char *path = xasprintf("%s/%s.json", dir, devices[device].device), *json = NULL;
	struct conv_target *target;
	int r = fs_read_file(path, 65536, &json, NULL, err);
	r = r ? r : conv_target_new_described(&target, check->cudnn, json, devices[device].device, err);
	for (int c = 0; r == 0 && c < devices[device].n_cells; c++)
		check_column(check, target, devices[device].device, devices[device].cells[c]);
	if (r == 0)
		conv_target_free(target);
	return r;
}

/* --- the table --- */

static char *make_table(const struct check *check)
{
	char version[16], *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	INVARIANT(f, "open_memstream");
	fprintf(f, "cuDNN %s: engine/MiB of workspace\nconvolution%s\n", cudnn_version_text(check->cudnn->version, version),
		check->header);
	for (size_t i = 0; i < check->n_shapes; i++) {
		const struct conv_shape *s = &check->shapes[i];
		fprintf(f, "%s n%d c%d %dx%d k%d %dx%d/%d:%s\n", conv_pass_name(s->pass), s->n, s->c, s->h, s->w, s->k,
			s->kernel, s->kernel, s->stride, check->cells[i]);
	}
	INVARIANT(fclose(f) == 0, "out of memory");
	return text;
}

/* Prints the lines that differ.  Both are of one version. */
static int compare(char *expected, char *found)
{
	char *rest_e, *rest_f, *e = strtok_r(expected, "\n", &rest_e), *f = strtok_r(found, "\n", &rest_f);
	int different = 0;
	for (; e || f; e = e ? strtok_r(NULL, "\n", &rest_e) : NULL, f = f ? strtok_r(NULL, "\n", &rest_f) : NULL)
		if (!e || !f || !str_eq(e, f)) {
			printf("not ok: expected %s\n        found    %s\n", e ? e : "the end", f ? f : "the end");
			different++;
		}
	return different;
}

static bool same_version(const char *a, const char *b)
{
	size_t n = strcspn(a, "\n");
	return n == strcspn(b, "\n") && strncmp(a, b, n) == 0;
}

static int check_table(const char *path, bool write, char *found, struct err *err)
{
	autofree char *expected = NULL;
	if (write)
		return fs_write_file(path, found, strlen(found), 0644, err);
	int r = fs_read_file(path, 1 << 20, &expected, NULL, err);
	if (r < 0)
		return r;
	if (!same_version(expected, found)) {
		printf("the table is of another cuDNN and was not compared: %.*s\n", (int)strcspn(expected, "\n"), expected);
		return 0;
	}
	r = compare(expected, found);
	return r ? err_set(err, -EINVAL, "%d lines differ from %s (--write writes it)", r, path) : 0;
}

int main(int argc, char **argv)
{
	struct check check = {0};
	struct err err;
	if (argc < 3)
		return 2;
	int r = cudnn_open(&check.cudnn, &err);
	if (r == -ENOENT) {
		printf("not run: %s\n", err.text);
		return EXIT_SKIP;
	}
	collect_shapes(&check);
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(devices); i++)
		r = check_device(&check, argv[1], i, &err);
	autofree char *table = make_table(&check);
	fputs(table, stdout);
	r = r ? r : check_table(argv[2], argc > 3, table, &err);
	if (r < 0)
		printf("not ok: %s\n", err.text);
	printf("%zu convolutions, %d without a plan\n", check.n_shapes, check.bad);
	for (size_t i = 0; i < check.n_shapes; i++)
		free(check.cells[i]);
	free(check.cells);
	free(check.shapes);
	free(check.header);
	return r < 0 || check.bad ? 1 : 0;
}
