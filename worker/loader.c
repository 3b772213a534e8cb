/* See loader.h.
 *
 * Batch b of a pass lives in ring buffer b % ring.  A thread claims the next unclaimed batch (`claimed`) once its
 * buffer is free, that is once batch b - ring was released; fills it without the lock; marks it ready.  All counters
 * and flags are under one mutex; a buffer's contents belong to its claimer until ready, then to the training thread.
 * loader_stop() sets `claimed` to the end, so that nobody claims more, and waits until nobody fills. */
#include "loader.h"

#include "augment.h"

#include <pthread.h>

struct buffer {
	struct batch batch;
	float *images;
	int32_t *labels, *partners;
	bool ready;
};

struct pass { /* constant while a thread may fill */
	enum split split;
	bool train;
	const struct epoch_tables *tables; /* train only */
	size_t n_images;
	uint32_t n_batches;
};

struct filler { /* what one thread fills with */
	struct loader *loader;
	struct augmenter augmenter;
	float *kept; /* room for an image, to mix */
};

struct loader {
	const struct dataset *data;
	uint64_t seed;
	size_t batch, values; /* images of a batch, floats of an image */
	int size;	      /* of an image's sides */
	uint32_t ring;
	struct buffer *buffers;
	struct pass pass;
	pthread_mutex_t lock;
	pthread_cond_t can_fill, is_ready; /* is_ready: a batch is ready, or nobody fills any more */
	struct filler *fillers; /* one a thread; without threads the training thread's */
	int n_fillers;
	pthread_t *threads;
	int n_threads;
	bool quit;
	int filling;	      /* batches being filled */
	uint32_t claimed;     /* next batch to fill */
	uint32_t delivered;   /* next batch loader_next() returns */
	uint32_t released;    /* batches the training thread has given back: below it buffers are free */
};

/* --- filling --- */

/* Image i of the buffer: its pixels and its label. */
static void fill_sample(struct filler *f, struct buffer *buffer, size_t i, size_t place)
{
	const struct loader *l = f->loader;
	const struct pass *pass = &l->pass;
	const struct image_set *set = &l->data->sets[pass->split];
	float *image = buffer->images + i * l->values;
	size_t index = pass->train ? pass->tables->order[place] : place;
	struct sample_key key = {l->seed, (uint32_t)index, pass->train ? (uint32_t)pass->tables->epoch : 0};
	augment_sample(&f->augmenter, image, set, index, pass->train ? &key : NULL);
	buffer->labels[i] = image_label(set, index);
}

static void mix(struct filler *f, struct buffer *buffer, const struct mix *mix)
{
	int n = buffer->batch.n;
	mix_images(buffer->images, n, f->loader->size, mix, f->kept);
	for (int i = 0; i < n; i++)
		buffer->partners[i] = buffer->labels[i > 0 ? i - 1 : n - 1];
	buffer->batch.partners = buffer->partners;
	buffer->batch.share = (double)mix->lambda;
}

static void fill(struct filler *f, struct buffer *buffer, uint32_t step)
{
	const struct loader *l = f->loader;
	const struct mix *mixes = l->pass.train ? l->pass.tables->mixes : NULL;
	size_t first = step * l->batch, n = MIN(l->batch, l->pass.n_images - first);
	for (size_t i = 0; i < n; i++)
		fill_sample(f, buffer, i, first + i);
	buffer->batch = (struct batch){.images = buffer->images, .labels = buffer->labels, .share = 1, .n = (int)n,
				       .step = step};
	if (mixes && mixes[step].kind != MIX_NONE)
		mix(f, buffer, &mixes[step]);
}

static bool may_claim(const struct loader *l)
{
	return l->claimed < l->pass.n_batches && l->claimed - l->released < l->ring;
}

static void *fill_thread(void *arg)
{
	struct filler *filler = arg;
	struct loader *l = filler->loader;
	pthread_mutex_lock(&l->lock);
	for (;;) {
		while (!l->quit && !may_claim(l))
			pthread_cond_wait(&l->can_fill, &l->lock);
		if (l->quit)
			break;
		uint32_t step = l->claimed++;
		struct buffer *buffer = &l->buffers[step % l->ring];
		l->filling++;
		pthread_mutex_unlock(&l->lock);
		fill(filler, buffer, step);
		pthread_mutex_lock(&l->lock);
		buffer->ready = true;
		l->filling--;
		pthread_cond_signal(&l->is_ready);
	}
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

/* --- life --- */

static int start_threads(struct loader *l, int n, struct err *err)
{
	l->threads = xcalloc((size_t)n, sizeof(*l->threads));
	for (; l->n_threads < n; l->n_threads++) {
		int r = pthread_create(&l->threads[l->n_threads], NULL, fill_thread, &l->fillers[l->n_threads]);
		if (r != 0)
			return err_sys(err, -r, "cannot start loader thread %d of %d; a smaller num_workers needs fewer",
				       l->n_threads + 1, n);
	}
	return 0;
}

static void buffers_init(struct loader *l)
{
	l->buffers = xcalloc(l->ring, sizeof(*l->buffers));
	for (uint32_t i = 0; i < l->ring; i++) {
		l->buffers[i].images = xcalloc(l->batch * l->values, sizeof(float));
		l->buffers[i].labels = xcalloc(l->batch, sizeof(int32_t));
		l->buffers[i].partners = xcalloc(l->batch, sizeof(int32_t));
	}
}

static void fillers_init(struct loader *l, const struct augment_settings *settings)
{
	l->fillers = xcalloc((size_t)l->n_fillers, sizeof(*l->fillers));
	for (int i = 0; i < l->n_fillers; i++) {
		l->fillers[i].loader = l;
		l->fillers[i].kept = xcalloc(l->values, sizeof(float));
		augmenter_init(&l->fillers[i].augmenter, settings, l->data->mean, l->data->std);
	}
}

int loader_new(struct loader **ret, const struct dataset *data, const struct recipe *recipe, int batch, int ring,
	       struct err *err)
{
	int workers = recipe->num_workers;
	INVARIANT(batch >= 1 && workers >= 0 && ring >= 1, "loader of batch %d, %d workers, ring %d", batch, workers, ring);
	struct loader *l = xcalloc(1, sizeof(*l));
	l->data = data;
	l->seed = recipe->seed;
	l->batch = (size_t)batch;
	l->size = recipe->augment.size;
	l->values = augment_values(l->size);
	l->ring = workers > 0 ? (uint32_t)ring : 1;
	l->n_fillers = MAX(workers, 1);
	buffers_init(l);
	fillers_init(l, &recipe->augment);
	pthread_mutex_init(&l->lock, NULL);
	pthread_cond_init(&l->can_fill, NULL);
	pthread_cond_init(&l->is_ready, NULL);
	int r = start_threads(l, workers, err);
	if (r < 0)
		loader_free(l);
	else
		*ret = l;
	return r;
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	pthread_mutex_lock(&l->lock);
	l->quit = true;
	pthread_cond_broadcast(&l->can_fill);
	pthread_mutex_unlock(&l->lock);
	for (int i = 0; i < l->n_threads; i++)
		pthread_join(l->threads[i], NULL);
	pthread_mutex_destroy(&l->lock);
	pthread_cond_destroy(&l->can_fill);
	pthread_cond_destroy(&l->is_ready);
	for (uint32_t i = 0; i < l->ring; i++) {
		free(l->buffers[i].images);
		free(l->buffers[i].labels);
		free(l->buffers[i].partners);
	}
	for (int i = 0; i < l->n_fillers; i++) {
		augmenter_fini(&l->fillers[i].augmenter);
		free(l->fillers[i].kept);
	}
	free(l->fillers);
	free(l->buffers);
	free(l->threads);
	free(l);
}

/* --- passes --- */

void loader_stop(struct loader *l)
{
	pthread_mutex_lock(&l->lock);
	l->claimed = l->pass.n_batches;
	while (l->filling > 0)
		pthread_cond_wait(&l->is_ready, &l->lock);
	l->pass = (struct pass){0};
	l->claimed = l->delivered = l->released = 0;
	for (uint32_t i = 0; i < l->ring; i++)
		l->buffers[i].ready = false;
	pthread_mutex_unlock(&l->lock);
}

static void start(struct loader *l, struct pass pass, uint32_t first)
{
	loader_stop(l);
	pthread_mutex_lock(&l->lock);
	pass.n_batches = (uint32_t)((pass.n_images + l->batch - 1) / l->batch);
	l->pass = pass;
	l->claimed = l->delivered = l->released = MIN(first, pass.n_batches);
	pthread_cond_broadcast(&l->can_fill);
	pthread_mutex_unlock(&l->lock);
}

void loader_start_train(struct loader *l, const struct epoch_tables *tables, uint32_t first)
{
	struct pass pass = {.split = SPLIT_TRAIN, .train = true, .tables = tables, .n_images = tables->n_order};
	start(l, pass, first);
}

void loader_start_eval(struct loader *l, enum split split, uint32_t first)
{
	start(l, (struct pass){.split = split, .n_images = l->data->sets[split].count}, first);
}

bool loader_at_train(const struct loader *l, uint32_t step)
{
	return l->pass.train && l->delivered == step;
}

bool loader_at_eval(const struct loader *l, enum split split, uint32_t step)
{
	return !l->pass.train && l->pass.n_images > 0 && l->pass.split == split && l->delivered == step;
}

static void wait_ready(struct loader *l, struct buffer *buffer)
{
	pthread_mutex_lock(&l->lock);
	while (!buffer->ready)
		pthread_cond_wait(&l->is_ready, &l->lock);
	pthread_mutex_unlock(&l->lock);
}

const struct batch *loader_next(struct loader *l)
{
	INVARIANT(l->released == l->delivered, "a batch is borrowed already");
	if (l->delivered >= l->pass.n_batches)
		return NULL;
	struct buffer *buffer = &l->buffers[l->delivered % l->ring];
	if (l->n_threads > 0)
		wait_ready(l, buffer);
	else
		fill(&l->fillers[0], buffer, l->delivered);
	l->delivered++;
	return &buffer->batch;
}

void loader_release_batch(struct loader *l, const struct batch *batch)
{
	pthread_mutex_lock(&l->lock);
	INVARIANT(batch->step == l->released && l->released + 1 == l->delivered, "batch %u is not borrowed",
		  batch->step);
	l->buffers[l->released % l->ring].ready = false;
	l->released++;
	pthread_cond_signal(&l->can_fill);
	pthread_mutex_unlock(&l->lock);
}
