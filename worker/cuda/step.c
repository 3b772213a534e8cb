#include "step.h"

#include "step_builder.h"

uint32_t tensor_rows(const struct builder *b, int t)
{
	const struct tensor *tensor = &b->net->tensors[t];
	return (uint32_t)(b->n * tensor->h * tensor->w);
}

uint32_t tensor_channels(const struct builder *b, int t)
{
	return (uint32_t)channels_padded(b->net->tensors[t].c);
}

size_t tensor_bytes(const struct builder *b, int t)
{
	return (size_t)tensor_rows(b, t) * tensor_channels(b, t) * cell_size(b->memory->cell);
}

void *work_take(struct builder *b, size_t bytes)
{
	void *p = (char *)b->memory->work + b->work_used;
	b->work_used += (bytes + 255) / 256 * 256;
	return p;
}

void *slot_take(struct builder *b)
{
	for (int i = 0; i < MAX_GRAD_SLOTS; i++) {
		if (b->busy[i])
			continue;
		if (i == b->n_slots)
			b->slots[b->n_slots++] = work_take(b, b->slot_bytes);
		b->busy[i] = true;
		return b->slots[i];
	}
	BUG("a network needs more than %d gradients at once", MAX_GRAD_SLOTS);
}

void slot_return(struct builder *b, const void *p)
{
	for (int i = 0; i < b->n_slots; i++)
		if (b->slots[i] == p)
			b->busy[i] = false;
}

struct launch *kernel_add(struct builder *b, enum kernel_id id, size_t bytes, const char *owner, const char *what)
{
	return launch_kernel(b->list, id, b->memory->cell, bytes, "%s%s%s", owner, *owner ? " " : "", what);
}

void kernel_done(struct builder *b, const struct launch *launch)
{
	size_t partials, tickets;
	kernel_scratch(launch->kernel.id, &launch->kernel.args, &partials, &tickets);
	b->sizes->partials = MAX(b->sizes->partials, partials);
	b->sizes->tickets = MAX(b->sizes->tickets, tickets);
}

void conv_add(struct builder *b, const struct op *op, enum conv_pass pass, void *x, void *w, void *y)
{
	char name[LAUNCH_LABEL];
	struct conv_shape shape = conv_shape_of(b->net, op, pass, b->memory->cell, b->n);
	launch_conv(b->list, &shape, x, w, y, "%.60s %s", op_name(b, op, name), conv_pass_name(pass));
}

const char *op_name(const struct builder *b, const struct op *op, char *buf)
{
	const char *param = b->net->params[op->param].name, *dot = strrchr(param, '.');
	snprintf(buf, LAUNCH_LABEL, "%.*s", (int)(dot - param), param);
	return buf;
}

const struct bn_vectors *bn_of(const struct builder *b, const struct op *bn)
{
	return &b->memory->bns[bn->bn];
}

static void builder_init(struct builder *b, struct launch_list *list, const struct step_problem *problem,
			 const struct memory *memory, int n, struct memory_sizes *sizes)
{
	size_t tensors = (size_t)problem->net->n_tensors;
	*b = (struct builder){
		.problem = problem,
		.net = problem->net,
		.memory = memory,
		.sizes = sizes,
		.list = list,
		.n = n,
		.values = xcalloc(tensors, sizeof(*b->values)),
		.windows = xcalloc(tensors, sizeof(*b->windows)),
		.grads = xcalloc(tensors, sizeof(*b->grads)),
	};
	for (int t = 1; t < problem->net->n_tensors; t++)
		b->slot_bytes = MAX(b->slot_bytes, tensor_bytes(b, t));
}

static void builder_fini(struct builder *b)
{
	b->sizes->work = MAX(b->sizes->work, b->work_used);
	free(b->values);
	free(b->windows);
	free(b->grads);
}

static void build_begin(struct builder *b, bool train)
{
	struct launch *begin = kernel_add(b, KERNEL_STEP_BEGIN, sizeof(struct step_state), "", "step_begin");
	const struct recipe *recipe = b->problem->recipe;
	struct step_begin_args *args = &begin->kernel.args.step_begin;
	*args = (struct step_begin_args){
		.state = b->memory->state,
		.values = train ? b->memory->values : NULL,
		.optim = recipe->optim,
		.coefs = b->memory->coefs,
	};
	for (int i = 0; i < OPTIM_SEGMENTS; i++)
		args->segments[i] = (struct optim_segment){.lr_scale = recipe->lr_scale[i % N_GROUPS],
							   .decays = i < N_GROUPS || !recipe->spare_bn_bias};
	kernel_done(b, begin);
}

static void build_optimizer(struct builder *b)
{
	const struct memory *m = b->memory;
	const struct recipe *recipe = b->problem->recipe;
	size_t weights = m->map->weights, others = m->map->others, cell = cell_size(m->cell);
	bool scaled = m->cell == CELL_F16;
	if (scaled) {
		struct launch *check = kernel_add(b, KERNEL_GRAD_CHECK, weights * cell + others * 4, "", "grad_check");
		check->kernel.args.grad_check = (struct grad_check_args){
			.state = m->state,
			.weight_grads = m->weight_grads,
			.other_grads = m->other_grads,
			.weights = (uint32_t)weights,
			.others = (uint32_t)others,
		};
		kernel_done(b, check);
	}
	if (recipe->clip_norm > 0) {
		struct launch *norm = kernel_add(b, KERNEL_GRAD_NORM, weights * cell + others * 4, "", "grad_norm");
		norm->kernel.args.grad_norm = (struct grad_norm_args){
			.state = m->state,
			.weight_grads = m->weight_grads,
			.other_grads = m->other_grads,
			.weights = (uint32_t)weights,
			.others = (uint32_t)others,
			.max_norm = (float)recipe->clip_norm,
			.results = m->results,
			.partials = m->partials,
			.tickets = m->tickets,
		};
		kernel_done(b, norm);
	}
	size_t moved = 8 * (1 + (size_t)optim_slots(recipe->optim.optimizer)); /* bytes of a parameter and its slots */
	size_t bytes = weights * (moved + cell + (m->cell == CELL_F32 ? 0 : cell)) + others * (moved + 4);
	struct launch *optimizer = kernel_add(b, KERNEL_OPTIMIZER, bytes, "", "optimizer");
	struct optimizer_args *args = &optimizer->kernel.args.optimizer;
	*args = (struct optimizer_args){
		.state = m->state,
		.params = m->params,
		.slots = {m->slots[0], m->slots[1]},
		.weight_grads = m->weight_grads,
		.other_grads = m->other_grads,
		.copy = m->cell == CELL_F32 ? NULL : m->copies,
		.weights = (uint32_t)weights,
		.others = (uint32_t)others,
		.coefs = m->coefs,
		.optimizer = recipe->optim.optimizer,
		.growth_interval = scaled ? SCALER_INTERVAL : 0,
		.tickets = m->tickets,
	};
	for (int i = 0; i < OPTIM_SEGMENTS; i++)
		args->ends[i] = (uint32_t)m->map->ends[i / N_GROUPS][i % N_GROUPS];
	kernel_done(b, optimizer);
}

static void build_ema(struct builder *b)
{
	const struct memory *m = b->memory;
	size_t params = param_map_size(m->map), running = m->map->buffers;
	if (!m->ema_params)
		return;
	struct launch *ema = kernel_add(b, KERNEL_EMA, 12 * (params + running), "", "ema");
	ema->kernel.args.ema = (struct ema_args){
		.state = m->state,
		.params = m->params,
		.running = m->running,
		.ema_params = m->ema_params,
		.ema_running = m->ema_running,
		.param_count = (uint32_t)params,
		.running_count = (uint32_t)running,
		.keep = b->problem->recipe->ema_decay,
	};
	kernel_done(b, ema);
}

void step_build_train(struct launch_list *list, const struct step_problem *problem, const struct memory *memory, int n,
		      struct memory_sizes *sizes)
{
	struct builder b;
	builder_init(&b, list, problem, memory, n, sizes);
	b.train = true;
	struct batch_source source = problem->source[SPLIT_TRAIN];
	source.order = memory->order;
	source.settings = problem->recipe->augment;
	source.settings.size = problem->net->tensors[0].h;
	source.draws = true;
	build_begin(&b, true);
	step_build_forward(&b, &source);
	step_build_backward(&b);
	build_optimizer(&b);
	build_ema(&b);
	builder_fini(&b);
}

void step_build_eval(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
		     enum split split, bool mirror, int n, struct memory_sizes *sizes)
{
	struct builder b;
	builder_init(&b, list, problem, memory, n, sizes);
	struct batch_source source = problem->source[split];
	build_begin(&b, false);
	if (mirror)
		b.log_p = work_take(&b, (size_t)n * channels_padded(problem->net->classes) * sizeof(*b.log_p));
	size_t used = b.work_used;
	step_build_forward(&b, &source);
	if (mirror) {
		b.work_used = used;
		b.mirrored = true;
		source.mirrored = 1;
		step_build_forward(&b, &source);
	}
	builder_fini(&b);
}

void step_build_running(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
			struct memory_sizes *sizes)
{
	struct builder b = {.problem = problem, .net = problem->net, .memory = memory, .sizes = sizes, .list = list};
	struct launch *running = kernel_add(&b, KERNEL_BN_RUNNING, 0, "", "bn_running");
	running->bytes = 3 * memory->map->buffers * sizeof(float);
	running->kernel.args.bn_running = (struct bn_running_args){
		.layers = memory->layers,
		.count = (uint32_t)problem->net->n_bns,
		.eps = (float)BN_EPS,
	};
	kernel_done(&b, running);
}

static void build_exchange(struct builder *b, float *x, float *y, size_t count, const char *what)
{
	struct launch *exchange = kernel_add(b, KERNEL_EXCHANGE, 16 * count, "exchange", what);
	exchange->kernel.args.exchange = (struct exchange_args){x, y, (uint32_t)count};
	kernel_done(b, exchange);
}

void step_build_exchange(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
			 struct memory_sizes *sizes)
{
	struct builder b = {.problem = problem, .net = problem->net, .memory = memory, .sizes = sizes, .list = list};
	if (!memory->ema_params)
		return;
	build_exchange(&b, memory->params, memory->ema_params, param_map_size(memory->map), "parameters");
	build_exchange(&b, memory->running, memory->ema_running, memory->map->buffers, "statistics");
	step_build_copies(list, problem, memory, sizes);
}

void step_build_copies(struct launch_list *list, const struct step_problem *problem, const struct memory *memory,
		       struct memory_sizes *sizes)
{
	struct builder b = {.problem = problem, .net = problem->net, .memory = memory, .sizes = sizes, .list = list};
	size_t weights = memory->map->weights;
	if (memory->cell == CELL_F32)
		return;
	struct launch *cast = kernel_add(&b, KERNEL_CAST, weights * (4 + cell_size(memory->cell)), "", "cast");
	cast->kernel.args.cast = (struct cast_args){memory->params, memory->copies, (uint32_t)weights};
	kernel_done(&b, cast);
}
