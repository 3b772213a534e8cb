/* See pretrained.h. */
#include "pretrained.h"

#include "joblog.h"
#include "state.h"

#include "common/json.h"
#include "common/weights_path.h"

#define SHOWN 3 /* names in a message; the rest is counted */

/* Names, the first few of them spelt out. */
struct names {
	size_t n;
	char text[512];
};

static void add_name(struct names *names, const char *name)
{
	size_t used = strlen(names->text);
	if (names->n++ < SHOWN)
		snprintf(names->text + used, sizeof(names->text) - used, "%s%s", used ? ", " : "", name);
	else if (names->n == SHOWN + 1)
		snprintf(names->text + used, sizeof(names->text) - used, ", ...");
}

/* A file beside a net. */
struct comparison {
	const struct weights *w;
	const struct net *net;
	struct names missing, unexpected, different;
	struct weights_fit fit;
};

static bool is_float(enum st_dtype dtype)
{
	return dtype == ST_F32 || dtype == ST_F64 || dtype == ST_F16 || dtype == ST_BF16;
}

static bool same_shape(const struct weight *w, int ndim, const int64_t *shape)
{
	return w->ndim == ndim && memcmp(w->shape, shape, (size_t)ndim * sizeof(*shape)) == 0;
}

static void compare_tensor(struct comparison *c, const char *name, int ndim, const int64_t *shape)
{
	const struct weight *w = weights_find(c->w, name);
	if (!w) {
		add_name(&c->missing, name);
	} else if (!is_float(w->dtype) || !same_shape(w, ndim, shape)) {
		char theirs[100], ours[100], text[ST_MAX_NAME + 256];
		snprintf(text, sizeof(text), "%s (%s %s in the file, %s here)", name, st_dtype_name(w->dtype),
			 weight_shape(w->ndim, w->shape, theirs, sizeof(theirs)),
			 weight_shape(ndim, shape, ours, sizeof(ours)));
		add_name(&c->different, text);
	} else {
		c->fit.taken++;
	}
}

static void param_shape(const struct net_param *p, int64_t ret[4])
{
	for (int d = 0; d < p->ndim; d++)
		ret[d] = p->shape[d];
}

static bool is_classifier(const struct net_param *p)
{
	return p->role == ROLE_FC_WEIGHT || p->role == ROLE_FC_BIAS;
}

/* Of as many classes as the net's, of another number, or none. */
static void look_at_classifier(struct comparison *c)
{
	const struct weight *weight = weights_find(c->w, "fc.weight"), *bias = weights_find(c->w, "fc.bias");
	const struct net_param *ours = &c->net->params[c->net->n_params - 2];
	if (!weight && !bias) {
		c->fit.fresh_classifier = true;
	} else if (weight && weight->ndim == 2 && weight->shape[0] > 0) {
		c->fit.file_classes = weight->shape[0];
		c->fit.fresh_classifier = bias && bias->ndim == 1 && bias->shape[0] == weight->shape[0] &&
					  weight->shape[1] == ours->shape[1] && weight->shape[0] != ours->shape[0];
	}
}

/* A name that belongs to no tensor of the net, and to nothing that may be there. */
static bool is_unexpected(const struct comparison *c, const char *name)
{
	static const char *const beside[] = {"optimizer.", "ema."};
	static const char *const leaves[] = {"running_mean", "running_var", "num_batches_tracked"};
	for (size_t i = 0; i < ARRAY_LEN(beside); i++)
		if (strncmp(name, beside[i], strlen(beside[i])) == 0)
			return false;
	for (int i = 0; i < c->net->n_params; i++)
		if (str_eq(name, c->net->params[i].name))
			return false;
	for (int i = 0; i < c->net->n_bns; i++) {
		size_t n = strlen(c->net->bns[i].name);
		if (strncmp(name, c->net->bns[i].name, n) != 0 || name[n] != '.')
			continue;
		for (size_t l = 0; l < ARRAY_LEN(leaves); l++)
			if (str_eq(name + n + 1, leaves[l]))
				return false;
	}
	return true;
}

static void take_counter(struct comparison *c)
{
	uint64_t v;
	const struct weight *w = weights_find(c->w, "bn1.num_batches_tracked");
	if (!w || w->dtype != ST_I64 || w->count != 1)
		return;
	v = 0;
	for (int i = 8; i-- > 0;)
		v = v << 8 | w->data[i];
	c->fit.batches_tracked = v <= INT64_MAX ? v : 0;
}

static void compare(struct comparison *c)
{
	int64_t shape[4];
	look_at_classifier(c);
	for (int i = 0; i < c->net->n_params; i++) {
		const struct net_param *p = &c->net->params[i];
		param_shape(p, shape);
		if (!is_classifier(p) || !c->fit.fresh_classifier)
			compare_tensor(c, p->name, p->ndim, shape);
	}
	for (int i = 0; i < c->net->n_bns; i++) {
		char name[sizeof(c->net->bns[i].name) + 16];
		snprintf(name, sizeof(name), "%s.running_mean", c->net->bns[i].name);
		compare_tensor(c, name, 1, (int64_t[]){c->net->bns[i].channels});
		snprintf(name, sizeof(name), "%s.running_var", c->net->bns[i].name);
		compare_tensor(c, name, 1, (int64_t[]){c->net->bns[i].channels});
	}
	for (size_t i = 0; i < weights_count(c->w); i++)
		if (is_unexpected(c, weights_at(c->w, i)->name))
			add_name(&c->unexpected, weights_at(c->w, i)->name);
	take_counter(c);
}

static bool fits(const struct comparison *c)
{
	return !c->missing.n && !c->unexpected.n && !c->different.n;
}

/* --- which networks it fits --- */

json_t *weights_models(const struct weights *w)
{
	char model[32], stem[32];
	const struct param *models = param_find("model"), *stems = param_find("stem");
	const struct weight *fc = weights_find(w, "fc.weight");
	int classes = fc && fc->ndim == 2 && fc->shape[0] > 0 && fc->shape[0] <= 1000000 ? (int)fc->shape[0] : 1;
	json_t *list = json_array();
	for (int m = 0; param_choice(models, m, model, sizeof(model)); m++)
		for (int s = 0; param_choice(stems, s, stem, sizeof(stem)); s++) {
			struct net *net = net_new(model, (enum stem)s, 32, classes);
			struct comparison c = {.w = w, .net = net};
			compare(&c);
			if (fits(&c))
				json_array_append_new(list,
						      json_pack("{s:s, s:s, s:o}", "model", model, "stem", stem,
								"classes", fc ? json_integer(classes) : json_null()));
			net_free(net);
		}
	return list;
}

/* What to write to use the file; "" where it is none of ours. */
static char *advice(const struct weights *w)
{
	autojson json_t *models = weights_models(w);
	const json_t *first = json_array_get(models, 0);
	if (!first)
		return xstrdup("");
	return xasprintf("\n  do this:  model %s with stem %s, which it fits",
			 json_string_value(json_object_get(first, "model")),
			 json_string_value(json_object_get(first, "stem")));
}

int weights_fit(const struct weights *w, const struct net *net, const char *model, struct weights_fit *ret,
		struct err *err)
{
	struct comparison c = {.w = w, .net = net};
	compare(&c);
	if (fits(&c)) {
		*ret = c.fit;
		return 0;
	}
	const struct {
		const struct names *names;
		const char *what;
	} lists[] = {
		{&c.missing, "missing"}, {&c.unexpected, "unexpected"}, {&c.different, "of another shape or type"}};
	autofree char *text = xstrdup(""), *what_to_do = advice(w);
	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		if (!lists[i].names->n)
			continue;
		char *longer = xasprintf("%s%s%zu %s: %s", text, *text ? "; " : "", lists[i].names->n, lists[i].what,
					 lists[i].names->text);
		free(text);
		text = longer;
	}
	return err_set(err, -EINVAL,
		       "tensors do not fit %s with stem %s: %s\n  expected: the state dict of torchvision's network%s",
		       model, net->stem == STEM_CIFAR ? "cifar" : "imagenet", text, what_to_do);
}

/* --- taking them --- */

static void take(const struct weights *w, const char *name, struct state *state, void *to, size_t offset, size_t count)
{
	size_t size = state->dtype == DTYPE_F32 ? sizeof(float) : sizeof(double);
	autofree float *values = xcalloc(count, sizeof(*values));
	weight_floats(weights_find(w, name), values);
	values_copy((char *)to + offset * size, state->dtype, values, DTYPE_F32, count);
}

void weights_take(const struct weights *w, const struct net *net, const struct weights_fit *fit, struct state *into)
{
	for (int i = 0; i < net->n_params; i++) {
		const struct net_param *p = &net->params[i];
		if (!is_classifier(p) || !fit->fresh_classifier)
			take(w, p->name, into, into->params, p->offset, p->count);
	}
	for (int i = 0; i < net->n_bns; i++) {
		const struct net_bn *bn = &net->bns[i];
		size_t channels = (size_t)bn->channels;
		char name[sizeof(bn->name) + 16];
		snprintf(name, sizeof(name), "%s.running_mean", bn->name);
		take(w, name, into, into->buffers, bn->offset, channels);
		snprintf(name, sizeof(name), "%s.running_var", bn->name);
		take(w, name, into, into->buffers, bn->offset + channels, channels);
	}
	into->batches_tracked = fit->batches_tracked;
}

static json_t *describe(const struct weights *w, const char *path, const struct weights_fit *fit)
{
	char sha256[65];
	weights_sha256(w, sha256);
	return json_pack("{s:s, s:s, s:s, s:I, s:s, s:o}", "file", path, "format", weights_format(w), "sha256", sha256,
			 "tensors", (json_int_t)fit->taken, "classifier", fit->fresh_classifier ? "fresh" : "taken",
			 "file_classes", fit->file_classes ? json_integer((json_int_t)fit->file_classes) : json_null());
}

static void log_line(const struct train_job *job, const struct net *net, const json_t *details,
		     const struct weights_fit *fit)
{
	char classes[64] = "no classifier";
	if (fit->file_classes)
		snprintf(classes, sizeof(classes), "%lld classes", (long long)fit->file_classes);
	job_log(job->job_dir, "starts from %s (%s, sha256 %.8s): %zu tensors; %s",
		json_string_value(json_object_get(details, "file")),
		json_string_value(json_object_get(details, "format")),
		json_string_value(json_object_get(details, "sha256")), fit->taken,
		fit->fresh_classifier ? "its classifier is replaced by a fresh one" : "its classifier too");
	if (fit->fresh_classifier)
		job_log(job->job_dir, "fresh classifier of %d classes, drawn from seed %d: the file has %s",
			net->classes, job->config.seed, classes);
}

static int load_file(const struct weights *w, const char *path, const struct train_job *job, const struct net *net,
		     struct state *state, json_t **ret_started, struct err *err)
{
	struct weights_fit fit;
	int r = weights_fit(w, net, config_choice(&job->config, "model"), &fit, err);
	if (r < 0)
		return err_prefix(err, r, "%s", path);
	weights_take(w, net, &fit, state);
	json_t *details = describe(w, path, &fit);
	r = weights_check(w, err);
	if (r < 0) {
		json_decref(details);
		return r;
	}
	log_line(job, net, details, &fit);
	*ret_started = details;
	return 0;
}

int pretrained_load(const struct train_job *job, const struct net *net, struct state *state, json_t **ret_started,
		    struct err *err)
{
	struct weights *w;
	const struct train_config *cfg = &job->config;
	autofree char *usual = xasprintf("%s-v1", config_choice(cfg, "model")), *path = NULL;
	int r = weights_path(*cfg->weights ? cfg->weights : usual, job->data_dir, &path, err);
	r = r ? r : weights_open(&w, path, err);
	if (r < 0)
		return -ENODATA;
	r = load_file(w, path, job, net, state, ret_started, err);
	weights_close(w);
	return r;
}

void pretrained_lr_scales(const struct train_config *cfg, double ret[N_GROUPS])
{
	static const double scales[][N_GROUPS] = {LR_SCALES_ONE, {.25, .5, 1}}; /* in the order of lr_groups' choices */
	memcpy(ret, scales[cfg->lr_groups], sizeof(scales[0]));
}
