/* Plans and calls; see conv_plan.h. */
#include "conv_internal.h"

#define CONFIGS_MAX 64 /* more than mode A has been seen to give (40) */
#define NOTES_MAX   16

/* --- what cuDNN says about a configuration --- */

static int read_knob(struct conv_choice *choice, const struct cudnn *c, cudnnBackendDescriptor_t knob, struct err *err)
{
	cudnnBackendKnobType_t type = CUDNN_KNOB_TYPE_COUNTS;
	int64_t value = 0, count;
	int r = desc_get(c, knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &count, &type, err);
	r = r ? r : desc_get(c, knob, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, 1, &count, &value, err);
	if (r < 0)
		return r;
	choice->knobs[choice->n_knobs].type = type;
	choice->knobs[choice->n_knobs++].value = value;
	return 0;
}

static void free_descs(const struct cudnn *c, cudnnBackendDescriptor_t *descs, int64_t n)
{
	for (int64_t i = 0; i < n; i++)
		desc_free(c, descs[i]);
}

static int create_descs(const struct cudnn *c, cudnnBackendDescriptorType_t type, int64_t n,
			cudnnBackendDescriptor_t *ret, struct err *err)
{
	for (int64_t i = 0; i < n; i++) {
		cudnnStatus_t status = c->cudnnBackendCreateDescriptor(type, &ret[i]);
		if (status != CUDNN_STATUS_SUCCESS) {
			free_descs(c, ret, i);
			return cudnn_err(c, err, status, "a descriptor to read into");
		}
	}
	return 0;
}

/* An attribute that is an array of at most max descriptors: the caller makes them, cuDNN fills them.  How many; the caller
 * frees. */
static int read_descs(const struct cudnn *c, cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name,
		      cudnnBackendDescriptorType_t type, int64_t max, cudnnBackendDescriptor_t *ret, struct err *err)
{
	int64_t n = 0;
	int r = create_descs(c, type, max, ret, err);
	if (r < 0)
		return r;
	r = desc_get(c, from, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, max, &n, ret, err);
	n = r < 0 ? 0 : MIN(n, max);
	free_descs(c, ret + n, max - n);
	return r < 0 ? r : (int)n;
}

static int read_knobs(struct conv_choice *choice, const struct cudnn *c, cudnnBackendDescriptor_t config, struct err *err)
{
	cudnnBackendDescriptor_t knobs[CONV_KNOBS_MAX];
	int n = read_descs(c, config, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR,
			   CONV_KNOBS_MAX, knobs, err);
	int r = n < 0 ? n : 0;
	for (int i = 0; r == 0 && i < n; i++)
		r = read_knob(choice, c, knobs[i], err);
	free_descs(c, knobs, n);
	return r;
}

/* False also where the question cannot be answered. */
static bool has_note(const struct cudnn *c, cudnnBackendDescriptor_t engine, cudnnBackendAttributeName_t name,
		     cudnnBackendAttributeType_t type, int note)
{
	int32_t notes[NOTES_MAX]; /* both kinds of note are C enums */
	int64_t n = 0;
	_Static_assert(sizeof(cudnnBackendNumericalNote_t) == sizeof(int32_t), "notes are ints");
	if (desc_get(c, engine, name, type, NOTES_MAX, &n, notes, NULL) < 0)
		return false;
	for (int64_t i = 0; i < n; i++)
		if (notes[i] == note)
			return true;
	return false;
}

static bool is_numerical(const struct cudnn *c, cudnnBackendDescriptor_t engine, cudnnBackendNumericalNote_t note)
{
	return has_note(c, engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, (int)note);
}

/* Why a plan is not wanted, or NULL. */
static const char *refusal(const struct conv_plan *plan, const struct conv_limits *limits)
{
	if (plan->choice.workspace > (int64_t)limits->workspace_bytes)
		return "it wants more workspace than is allowed";
	if (limits->deterministic && !plan->deterministic)
		return "it is not deterministic";
	if (!limits->tensor_cores && plan->tensor_cores)
		return "it uses tensor cores, which round fp32";
	return NULL;
}

/* --- one plan --- */

static const struct cudnn *cudnn_of(const struct conv_plan *plan)
{
	return plan->op->target->cudnn;
}

static int describe_engine(struct conv_plan *plan, struct err *err)
{
	const struct cudnn *c = cudnn_of(plan);
	cudnnBackendDescriptor_t engine = NULL;
	int64_t count;
	int n = read_descs(c, plan->config, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR, 1, &engine, err);
	int r = n < 0 ? n : 0;
	r = r ? r : desc_get(c, engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &plan->choice.engine,
			     err);
	if (r == 0 && has_note(c, engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE,
			       CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION))
		r = err_set(err, -ENOTSUP, "engine %lld is compiled at run time", (long long)plan->choice.engine);
	plan->tensor_cores = is_numerical(c, engine, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
	plan->deterministic = !is_numerical(c, engine, CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC);
	desc_free(c, engine);
	return r;
}

static int finalize_plan(struct conv_plan *plan, struct err *err)
{
	const struct cudnn *c = cudnn_of(plan);
	int64_t count;
	struct desc_build b;
	desc_begin(&b, c, CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
	desc_set_desc(&b, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, plan->config);
	int r = desc_finish(&b, "plan", &plan->plan, err);
	return r ? r : desc_get(c, plan->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count,
				&plan->choice.workspace, err);
}

/* Takes config over, also on failure.  The plan is described, not finalized. */
static int plan_begin(struct conv_plan **ret, const struct conv_op *op, cudnnBackendDescriptor_t config, struct err *err)
{
	struct conv_plan *plan = xcalloc(1, sizeof(*plan));
	plan->op = op;
	plan->config = config;
	int r = describe_engine(plan, err);
	if (r < 0) {
		conv_plan_free(plan);
		return r;
	}
	*ret = plan;
	return 0;
}

/* -ENOTSUP: not for this device, or outside the limits. */
static int plan_finish(struct conv_plan *plan, const struct conv_limits *limits, struct err *err)
{
	const char *why = refusal(plan, limits); /* before the work of finalizing it */
	int r = why ? 0 : read_knobs(&plan->choice, cudnn_of(plan), plan->config, err);
	r = r || why ? r : finalize_plan(plan, err);
	if (r < 0)
		return r;
	why = why ? why : refusal(plan, limits);
	return why ? err_set(err, -ENOTSUP, "engine %lld: %s", (long long)plan->choice.engine, why) : 0;
}

void conv_plan_free(struct conv_plan *plan)
{
	if (!plan)
		return;
	desc_free(cudnn_of(plan), plan->plan);
	desc_free(cudnn_of(plan), plan->config);
	free(plan);
}

void conv_plans_free(struct conv_plan **plans, int n)
{
	for (int i = 0; i < n; i++)
		conv_plan_free(plans[i]);
}

/* --- by the heuristics --- */

static int ask_heuristics(const struct conv_op *op, cudnnBackendHeurMode_t mode, cudnnBackendDescriptor_t *ret_configs,
			  struct err *err)
{
	const struct cudnn *c = op->target->cudnn;
	cudnnBackendDescriptor_t heuristics;
	struct desc_build b;
	desc_begin(&b, c, CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
	desc_set_desc(&b, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, op->graph);
	desc_set(&b, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
	desc_set_desc(&b, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, op->target->device);
	int r = desc_finish(&b, "heuristics", &heuristics, err);
	if (r < 0)
		return r;
	int64_t n = 0;
	r = desc_get(c, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 0, &n, NULL, err);
	r = r ? r : read_descs(c, heuristics, CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
			       MIN(n, CONFIGS_MAX), ret_configs, err);
	desc_free(c, heuristics);
	return r;
}

static bool same_choice(const struct conv_choice *a, const struct conv_choice *b)
{
	if (a->engine != b->engine || a->n_knobs != b->n_knobs)
		return false;
	for (int i = 0; i < a->n_knobs; i++)
		if (a->knobs[i].type != b->knobs[i].type || a->knobs[i].value != b->knobs[i].value)
			return false;
	return true;
}

/* Plans that are described; those that were taken moved to the caller's array. */
struct plan_list {
	struct conv_plan *plans[2 * CONFIGS_MAX], **taken;
	int n, n_taken, max;
};

static void list_mode(struct plan_list *list, const struct conv_op *op, cudnnBackendHeurMode_t mode, struct err *err)
{
	cudnnBackendDescriptor_t configs[CONFIGS_MAX];
	int n = ask_heuristics(op, mode, configs, err);
	for (int i = 0; i < n; i++)
		if (plan_begin(&list->plans[list->n], op, configs[i], err) == 0)
			list->n++;
}

/* FALLBACK proposes some that mode A has. */
static bool is_taken(const struct plan_list *list, const struct conv_plan *plan)
{
	for (int i = 0; i < list->n_taken; i++)
		if (same_choice(&list->taken[i]->choice, &plan->choice))
			return true;
	return false;
}

/* Takes those with (or without) tensor cores that can be finalized. */
static void take(struct plan_list *list, bool tensor_cores, const struct conv_limits *limits, struct err *err)
{
	for (int i = 0; i < list->n && list->n_taken < list->max; i++) {
		struct conv_plan *plan = list->plans[i];
		if (!plan || plan->tensor_cores != tensor_cores)
			continue;
		list->plans[i] = NULL;
		if (plan_finish(plan, limits, err) == 0 && !is_taken(list, plan))
			list->taken[list->n_taken++] = plan;
		else
			conv_plan_free(plan);
	}
}

int conv_plans_find(const struct conv_op *op, const struct conv_limits *limits, int max, struct conv_plan **ret,
		    struct err *err)
{
	char text[CONV_TEXT_MAX];
	struct err last = {"the heuristics name no engine"};
	struct plan_list list = {.taken = ret, .max = max};
	list_mode(&list, op, CUDNN_HEUR_MODE_A, &last);
	take(&list, true, limits, &last);
	if (list.n_taken < max)
		list_mode(&list, op, CUDNN_HEUR_MODE_FALLBACK, &last);
	take(&list, true, limits, &last);
	take(&list, false, limits, &last);
	conv_plans_free(list.plans, list.n);
	if (list.n_taken > 0)
		return list.n_taken;
	return err_set(err, -ENOTSUP, "cuDNN has no plan for %s on %s (last: %s)", conv_text(&op->shape, text),
		       op->target->name, last.text);
}

/* --- by an earlier choice --- */

static int make_knob(const struct cudnn *c, int64_t type, int64_t value, cudnnBackendDescriptor_t *ret, struct err *err)
{
	cudnnBackendKnobType_t knob = (cudnnBackendKnobType_t)type;
	struct desc_build b;
	desc_begin(&b, c, CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR);
	desc_set(&b, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &knob);
	desc_set_i64(&b, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 1, &value);
	return desc_finish(&b, "knob", ret, err);
}

static int make_config(const struct conv_op *op, const struct conv_choice *choice, cudnnBackendDescriptor_t engine,
		       cudnnBackendDescriptor_t *ret, struct err *err)
{
	const struct cudnn *c = op->target->cudnn;
	cudnnBackendDescriptor_t knobs[CONV_KNOBS_MAX] = {0};
	int r = 0;
	for (int i = 0; r == 0 && i < choice->n_knobs; i++)
		r = make_knob(c, choice->knobs[i].type, choice->knobs[i].value, &knobs[i], err);
	if (r == 0) {
		struct desc_build b;
		desc_begin(&b, c, CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
		desc_set_desc(&b, CUDNN_ATTR_ENGINECFG_ENGINE, engine);
		if (choice->n_knobs)
			desc_set(&b, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, choice->n_knobs, knobs);
		r = desc_finish(&b, "engine configuration", ret, err);
	}
	free_descs(c, knobs, choice->n_knobs);
	return r;
}

int conv_plan_new(struct conv_plan **ret, const struct conv_op *op, const struct conv_choice *choice,
		  const struct conv_limits *limits, struct err *err)
{
	const struct cudnn *c = op->target->cudnn;
	cudnnBackendDescriptor_t engine, config;
	struct desc_build b;
	desc_begin(&b, c, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
	desc_set_desc(&b, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, op->graph);
	desc_set_i64(&b, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, 1, &choice->engine);
	desc_set_desc(&b, CUDNN_ATTR_ENGINE_DEVICEPROP, op->target->device);
	int r = desc_finish(&b, "engine", &engine, err);
	if (r == 0) {
		r = make_config(op, choice, engine, &config, err);
		desc_free(c, engine);
	}
	struct conv_plan *plan = NULL;
	r = r ? r : plan_begin(&plan, op, config, err);
	r = r ? r : plan_finish(plan, limits, err);
	if (r == 0) {
		plan->choice.ms = choice->ms;
		*ret = plan;
		return 0;
	}
	conv_plan_free(plan);
	char text[CONV_TEXT_MAX];
	return err_prefix(err, -ENOTSUP, "%s: engine %lld, as chosen earlier, is not to be had", conv_text(&op->shape, text),
			  (long long)choice->engine);
}

/* --- calls --- */

struct conv_call {
	const struct conv_plan *plan;
	cudnnBackendDescriptor_t pack;
};

int conv_call_new(struct conv_call **ret, const struct conv_plan *plan, void *x, void *w, void *y, void *workspace,
		  struct err *err)
{
	const int64_t ids[3] = {UID_X, UID_W, UID_Y};
	void *pointers[3] = {x, w, y};
	cudnnBackendDescriptor_t pack;
	struct desc_build b;
	desc_begin(&b, cudnn_of(plan), CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
	desc_set_i64(&b, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, 3, ids);
	desc_set(&b, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, 3, pointers);
	desc_set(&b, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
	int r = desc_finish(&b, "variant pack", &pack, err);
	if (r < 0)
		return r;
	struct conv_call *call = xcalloc(1, sizeof(*call));
	call->plan = plan;
	call->pack = pack;
	*ret = call;
	return 0;
}

void conv_call_free(struct conv_call *call)
{
	if (!call)
		return;
	desc_free(cudnn_of(call->plan), call->pack);
	free(call);
}

int conv_call_run(const struct conv_call *call, cudnnHandle_t handle, struct err *err)
{
	const struct cudnn *c = cudnn_of(call->plan);
	cudnnStatus_t status = c->cudnnBackendExecute(handle, call->plan->plan, call->pack);
	if (status == CUDNN_STATUS_SUCCESS)
		return 0;
	char text[CONV_TEXT_MAX];
	return cudnn_err(c, err, status, "%s, engine %lld", conv_text(&call->plan->op->shape, text),
			 (long long)call->plan->choice.engine);
}
