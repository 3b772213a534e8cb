/* See checkpoint.h. */
#include "checkpoint.h"

#include "safetensors.h"
#include "state.h"

#include "common/clock.h"
#include "common/fs.h"
#include "common/json.h"

#include <math.h>
#include <pthread.h>
#include <unistd.h>

static const char *const file_names[] = {
	[CHECKPOINT_LAST] = "last.safetensors",
	[CHECKPOINT_BEST] = "best.safetensors",
	[CHECKPOINT_FINAL] = "final.safetensors",
	[CHECKPOINT_BEST_EMA] = "best-ema.safetensors",
	[CHECKPOINT_FINAL_EMA] = "final-ema.safetensors",
};

struct checkpointer {
	char *job_dir;
	const struct net *net;
	const struct backend *backend;
	struct plan *plan;
	struct event_log *events;
	struct state snapshot; /* the writer's while busy */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool busy, quit;
	enum checkpoint_kind kind; /* of the write under way */
	json_t *state;
	int result; /* of the last write, until somebody is told */
	struct err err;
};

static size_t element_size(enum dtype dtype)
{
	return dtype == DTYPE_F32 ? 4 : 8;
}

static const void *element(const void *base, enum dtype dtype, size_t i)
{
	return (const char *)base + i * element_size(dtype);
}

static void add_tensor(struct st_tensor *t, enum dtype dtype, const void *data, size_t count)
{
	t->dtype = dtype == DTYPE_F32 ? ST_F32 : ST_F64;
	t->data = data;
	t->size_bytes = count * element_size(dtype);
}

/* A parameter, or with a prefix what is kept of it. */
static void param_tensor(struct st_tensor *t, const char *prefix, const struct net_param *p, enum dtype dtype,
			 const void *base)
{
	snprintf(t->name, sizeof(t->name), "%s%s", prefix, p->name);
	t->ndim = p->ndim;
	for (int d = 0; d < p->ndim; d++)
		t->shape[d] = p->shape[d];
	add_tensor(t, dtype, element(base, dtype, p->offset), p->count);
}

static void bn_tensor(struct st_tensor *t, const char *prefix, const struct net_bn *bn, bool variance, enum dtype dtype,
		      const void *base)
{
	size_t channels = (size_t)bn->channels;
	snprintf(t->name, sizeof(t->name), "%s%s.running_%s", prefix, bn->name, variance ? "var" : "mean");
	t->ndim = 1;
	t->shape[0] = bn->channels;
	add_tensor(t, dtype, element(base, dtype, bn->offset + (variance ? channels : 0)), channels);
}

static void counter_tensor(struct st_tensor *t, const struct net_bn *bn, const int64_t *counter)
{
	*t = (struct st_tensor){.dtype = ST_I64, .data = counter, .size_bytes = sizeof(*counter), .ndim = 0};
	snprintf(t->name, sizeof(t->name), "%s.num_batches_tracked", bn->name);
}

/* What precedes a parameter's name. */
static const char *const slot_prefixes[][N_SLOTS] = {
	[OPTIMIZER_SGD] = {"optimizer.momentum."},
	[OPTIMIZER_ADAM] = {"optimizer.exp_avg.", "optimizer.exp_avg_sq."},
	[OPTIMIZER_ADAMW] = {"optimizer.exp_avg.", "optimizer.exp_avg_sq."},
};
#define EMA_PREFIX "ema."

/* The state dict of the weights or of their average, or the weights' with what a resume needs beside it.  Counters come
 * first: they need 8-byte alignment. */
enum contents { CONTENTS_WEIGHTS, CONTENTS_EMA, CONTENTS_ALL };

/* Parameters and running statistics of the weights or their average; returns how many. */
static size_t list_model(struct st_tensor *t, const struct net *net, const char *prefix, enum dtype dtype, const void *params,
			 const void *buffers)
{
	size_t n = 0;
	for (int i = 0; i < net->n_params; i++)
		param_tensor(&t[n++], prefix, &net->params[i], dtype, params);
	for (int i = 0; i < net->n_bns; i++) {
		bn_tensor(&t[n++], prefix, &net->bns[i], false, dtype, buffers);
		bn_tensor(&t[n++], prefix, &net->bns[i], true, dtype, buffers);
	}
	return n;
}

static struct st_tensor *list_tensors(const struct net *net, const struct state *s, enum contents contents,
				      const int64_t *batches, size_t *ret_n)
{
	bool all = contents == CONTENTS_ALL, ema = contents == CONTENTS_EMA;
	size_t n = 0;
	struct st_tensor *t = xcalloc((size_t)(5 * net->n_bns + (2 + N_SLOTS) * net->n_params), sizeof(*t));
	for (int i = 0; i < net->n_bns; i++)
		counter_tensor(&t[n++], &net->bns[i], batches);
	n += list_model(t + n, net, "", s->dtype, ema ? s->ema_params : s->params, ema ? s->ema_buffers : s->buffers);
	all = all && s->steps > 0; /* before the first step there is nothing else */
	for (int slot = 0; all && slot < N_SLOTS; slot++)
		for (int i = 0; s->slots[slot] && i < net->n_params; i++)
			param_tensor(&t[n++], slot_prefixes[s->optimizer][slot], &net->params[i], s->dtype, s->slots[slot]);
	if (all && s->ema_params)
		n += list_model(t + n, net, EMA_PREFIX, s->dtype, s->ema_params, s->ema_buffers);
	*ret_n = n;
	return t;
}

static int write_tensors(struct checkpointer *c, int fd, struct err *err)
{
	const struct state *s = &c->snapshot;
	int64_t batches = (int64_t)s->batches_tracked;
	size_t n;
	bool ema = c->kind == CHECKPOINT_BEST_EMA || c->kind == CHECKPOINT_FINAL_EMA;
	enum contents contents = ema ? CONTENTS_EMA : c->kind == CHECKPOINT_LAST ? CONTENTS_ALL : CONTENTS_WEIGHTS;
	autofree struct st_tensor *tensors = list_tensors(c->net, s, contents, &batches, &n);
	autofree char *text = json_line(c->state);
	autojson json_t *metadata = json_pack("{s:s, s:s}", "format", "pt", "state", text);
	return safetensors_write(fd, tensors, n, metadata, err);
}

static int write_file(struct checkpointer *c, struct err *err)
{
	int fd;
	autofree char *path = xasprintf("%s/%s", c->job_dir, file_names[c->kind]);
	int r = fs_temp_open(path, 0640, &fd, err);
	if (r < 0)
		return r;
	r = write_tensors(c, fd, err);
	if (r == 0)
		r = event_log_sync(c->events, err);
	if (r == 0 && event_log_ended(c->events))
		r = err_set(err, -ECANCELED, "the attempt has ended");
	if (r < 0) {
		fs_temp_abandon(path, fd);
		return err_prefix(err, r, "%s", path);
	}
	return fs_temp_commit(path, fd, err);
}

static int write_checkpoint(struct checkpointer *c, struct err *err)
{
	double start = monotonic_s();
	int r = write_file(c, err);
	if (r < 0 || c->kind != CHECKPOINT_LAST)
		return r;
	return event_emit(c->events, "checkpoint",
			  json_pack("{s:I, s:I, s:f}", "epoch", (json_int_t)json_int_or(c->state, "epoch", 0), "step",
				    (json_int_t)json_int_or(c->state, "step", 0), "seconds", monotonic_s() - start),
			  err);
}

static void *writer_main(void *arg)
{
	struct checkpointer *c = arg;
	pthread_mutex_lock(&c->lock);
	for (;;) {
		while (!c->busy && !c->quit)
			pthread_cond_wait(&c->changed, &c->lock);
		if (!c->busy)
			break;
		pthread_mutex_unlock(&c->lock);
		struct err err;
		int r = write_checkpoint(c, &err);
		json_decref(c->state);
		pthread_mutex_lock(&c->lock);
		if (r < 0) {
			c->result = r;
			c->err = err;
		}
		c->busy = false;
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

int checkpointer_new(struct checkpointer **ret, const char *job_dir, const struct net *net,
		     const struct backend *backend, struct plan *plan, struct event_log *events, struct err *err)
{
	struct checkpointer *c = xcalloc(1, sizeof(*c));
	*c = (struct checkpointer){.job_dir = xstrdup(job_dir), .net = net, .backend = backend, .plan = plan, .events = events};
	backend->state_alloc(plan, &c->snapshot);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->changed, NULL);
	int r = -pthread_create(&c->thread, NULL, writer_main, c);
	if (r < 0) {
		state_fini(&c->snapshot);
		free(c->job_dir);
		free(c);
		return err_sys(err, r, "cannot start the checkpoint thread");
	}
	*ret = c;
	return 0;
}

static void save_scaler(json_t *state, const struct grad_scaler *scaler)
{
	if (scaler->scale > 0)
		json_object_set_new(state, "scaler", json_pack("{s:f, s:I, s:I}", "scale", (double)scaler->scale,
							       "growth_tracker", (json_int_t)scaler->good_steps, "skipped",
							       (json_int_t)scaler->skipped_steps));
}

/* None, or one that is no scaler's: the plan's own beginning. */
static void load_scaler(const json_t *state, struct grad_scaler *ret)
{
	const json_t *saved = json_object_get(state, "scaler");
	double scale = 0;
	int64_t good = 0, skipped = 0;
	*ret = (struct grad_scaler){0};
	if (!saved || json_get_num(saved, "scale", &scale, NULL) < 0 || json_get_int(saved, "growth_tracker", &good, NULL) < 0 ||
	    json_get_int(saved, "skipped", &skipped, NULL) < 0)
		return;
	if (scale > 0 && isfinite(scale) && good >= 0 && good <= INT32_MAX && skipped >= 0 && skipped <= UINT32_MAX)
		*ret = (struct grad_scaler){(float)scale, (uint32_t)good, (uint32_t)skipped};
}

void checkpointer_use(struct checkpointer *c, struct plan *plan)
{
	c->plan = plan;
}

/* Waits for the writer and takes its error. */
static int wait_idle_locked(struct checkpointer *c, struct err *err)
{
	while (c->busy)
		pthread_cond_wait(&c->changed, &c->lock);
	int r = c->result;
	if (r < 0 && err)
		*err = c->err;
	c->result = 0;
	return r;
}

int checkpointer_flush(struct checkpointer *c, struct err *err)
{
	pthread_mutex_lock(&c->lock);
	int r = wait_idle_locked(c, err);
	pthread_mutex_unlock(&c->lock);
	return r;
}

void checkpointer_write(struct checkpointer *c, enum checkpoint_kind kind, json_t *state)
{
	INVARIANT(!c->busy, "a checkpoint is being written");
	int r = c->backend->state_get(c->plan, &c->snapshot, &c->err);
	if (r < 0) { /* nothing to write; checkpointer_flush() says so */
		c->result = r;
		json_decref(state);
		return;
	}
	json_object_set_new(state, "optimizer_steps", json_integer((json_int_t)c->snapshot.steps));
	save_scaler(state, &c->snapshot.scaler);
	pthread_mutex_lock(&c->lock);
	c->kind = kind;
	c->state = state;
	c->busy = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
}

void checkpointer_free(struct checkpointer *c)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	c->quit = true;
	pthread_cond_broadcast(&c->changed);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
	state_fini(&c->snapshot);
	free(c->job_dir);
	free(c);
}

/* Copies each of the wanted tensors from the file to the place that list_tensors() gave it in the state. */
static int read_tensors(const struct st_file *f, const struct st_tensor *wanted, size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		const struct st_tensor *w = &wanted[i], *t = safetensors_find(f, w->name);
		if (!t)
			return err_set(err, -EBADMSG, "tensor %s is missing", w->name);
		if (t->ndim != w->ndim || memcmp(t->shape, w->shape, sizeof(t->shape)) != 0)
			return err_set(err, -EBADMSG, "tensor %s has another shape than this network's", w->name);
		if (t->dtype == ST_I64 || w->dtype == ST_I64) {
			if (t->dtype != w->dtype)
				return err_set(err, -EBADMSG, "tensor %s has another type", w->name);
			memcpy((void *)w->data, t->data, t->size_bytes);
			continue;
		}
		enum dtype to = w->dtype == ST_F32 ? DTYPE_F32 : DTYPE_F64;
		values_copy((void *)w->data, to, t->data, t->dtype == ST_F32 ? DTYPE_F32 : DTYPE_F64,
			    w->size_bytes / element_size(to));
	}
	return 0;
}

static int load_file(const struct st_file *f, const struct net *net, struct state *into, json_t **ret_state,
		     struct err *err)
{
	size_t n;
	int64_t batches = 0;
	const char *text = safetensors_metadata(f, "state");
	autojson json_t *state = text ? json_parse(text, strlen(text), err) : NULL;
	if (!json_is_object(state))
		return err_set(err, -EBADMSG, "no training state in its metadata");
	into->steps = (uint64_t)MAX(json_int_or(state, "optimizer_steps", 0), 0);
	load_scaler(state, &into->scaler);
	autofree struct st_tensor *wanted = list_tensors(net, into, CONTENTS_ALL, &batches, &n);
	int r = read_tensors(f, wanted, n, err);
	if (r < 0)
		return r;
	into->batches_tracked = (uint64_t)batches;
	*ret_state = steal_ptr(state);
	return 0;
}

int checkpoint_load(const char *job_dir, const struct net *net, struct state *into, json_t **ret_state,
		    struct err *err)
{
	struct st_file *f;
	autofree char *path = xasprintf("%s/%s", job_dir, file_names[CHECKPOINT_LAST]);
	if (!fs_exists(path))
		return err_set(err, -ENOENT, "no checkpoint %s", path);
	int r = safetensors_open(&f, path, err);
	if (r < 0)
		return r;
	r = load_file(f, net, into, ret_state, err);
	safetensors_close(f);
	return r < 0 ? err_prefix(err, r, "%s", path) : 0;
}

void checkpoint_remove_last(const char *job_dir)
{
	autofree char *path = xasprintf("%s/%s", job_dir, file_names[CHECKPOINT_LAST]);
	unlink(path);
}
