#include "parity.h"

#include "worker/augment.h"

#include <math.h>

static void check(int r, const struct err *err)
{
	if (r < 0)
		fail_msg("%s", err->text);
}

void job_open(struct job *job, const struct job_options *options, const struct net *net, const struct dataset *data,
	      const struct recipe *recipe)
{
	struct err err = {0};
	struct device_spec spec = {.threads = options->threads, .direct = options->direct};
	*job = (struct job){.backend = backend_find(options->backend), .batch = options->batch};
	assert_non_null(job->backend);
	check(job->backend->open(&job->device, &spec, &err), &err);
	check(job->backend->load(job->device, data, &err), &err);
	check(job->backend->prepare(job->device, net, recipe, options->batch, &job->plan, &err), &err);
	struct state fresh;
	state_init(&fresh, net, 7);
	check(job->backend->state_set(job->plan, &fresh, &err), &err);
	state_fini(&fresh);
	job->backend->state_alloc(job->plan, &job->state);
	size_t count = data->sets[SPLIT_TRAIN].count;
	job->order = xcalloc(count, sizeof(*job->order));
	epoch_order(job->order, count, 11, 0);
	job->values = made_steps(count, options->lr, options->momentum); /* no batch is smaller than an image */
	job->records = xcalloc(count, sizeof(*job->records));
	job->tables = (struct epoch_tables){
		.epoch = 0, .order = job->order, .n_order = count, .steps = job->values, .records = job->records};
	check(job->backend->begin_epoch(job->plan, &job->tables, &err), &err);
}

void job_run(struct job *job, uint32_t first, uint32_t n, struct sums *sums)
{
	struct err err = {0};
	double loss = sums->loss;
	check(job->backend->run(job->plan, first, n, sums, &err), &err);
	for (uint32_t i = first; i < first + n; i++)
		loss += job->records[i].loss * (double)MIN((size_t)job->batch, job->tables.n_order - i * (size_t)job->batch);
	assert_close("losses of the steps", fabs(loss - sums->loss) / sums->loss, 1e-12);
}

const struct state *job_state(struct job *job)
{
	struct err err = {0};
	check(job->backend->state_get(job->plan, &job->state, &err), &err);
	return &job->state;
}

void job_close(struct job *job)
{
	job->backend->release(job->plan);
	job->backend->close(job->device);
	state_fini(&job->state);
	free(job->order);
	free(job->values);
	free(job->records);
}

static double quotient(double difference, double norm)
{
	return sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
}

double distance(const float *a, const double *b, size_t n)
{
	double difference = 0, norm = 0;
	for (size_t i = 0; i < n; i++) {
		difference += (a[i] - b[i]) * (a[i] - b[i]);
		norm += b[i] * b[i];
	}
	return quotient(difference, norm);
}

double distance_f64(const double *a, const double *b, size_t n)
{
	double difference = 0, norm = 0;
	for (size_t i = 0; i < n; i++) {
		difference += (a[i] - b[i]) * (a[i] - b[i]);
		norm += b[i] * b[i];
	}
	return quotient(difference, norm);
}

void assert_close(const char *what, double d, double limit)
{
	if (!(d <= limit))
		fail_msg("%s: off by %.3g, at most %.3g allowed", what, d, limit);
}

void report(const char *what, const char *how, double d, double limit)
{
	print_message("# | %s | %s | %.1e | %.1e |\n", what, how, d, limit);
}
