/* What many jobs come to; see survey.h. */
#include "ctl/survey.h"

static int add_page(struct survey *s, struct reader *r, const struct job_page *page, double stands_for, struct err *err)
{
	size_t first = s->n_jobs;
	int e = reader_page(r, page, &s->jobs, &s->n_jobs, err);

	s->stand_for = xrealloc_array(s->stand_for, s->n_jobs + 1, sizeof(s->stand_for[0]));
	for (size_t i = first; i < s->n_jobs; i++)
		s->stand_for[i] = stands_for;
	return e;
}

/* 0..1, as if by chance, always the same for i. */
static double jump(size_t i)
{
	double x = (double)(i + 1) * 0.6180339887498949; /* golden section: no step repeats */

	return x - (double)(int64_t)x;
}

/* `wanted` of the `n` jobs of a part in one state, one from each stretch of job numbers. */
static int sample_state(struct survey *s, struct reader *r, struct job_part part, int state, size_t n, size_t wanted,
			struct err *err)
{
	struct job_page page = {.of = part, .state = state};

	if (n <= wanted)
		return add_page(s, r, &page, 1, err);
	int e = reader_span_of(r, &part, state, err);
	double stretch = (double)(part.last - part.first + 1) / (double)wanted;
	size_t had = s->n_jobs;
	page.limit = 1;
	for (size_t i = 0; e >= 0 && i < wanted; i++) {
		int64_t after = part.first - 1 + (int64_t)(((double)i + jump(i)) * stretch);
		page.after = MAX(page.after, after);
		size_t before = s->n_jobs;
		e = add_page(s, r, &page, 1, err);
		if (s->n_jobs == before)
			break;
		page.after = s->jobs[before].id;
	}
	for (size_t i = had; i < s->n_jobs; i++)
		s->stand_for[i] = (double)n / (double)(s->n_jobs - had);
	return e;
}

/* counts: of the part. */
static int sample_part(struct survey *s, struct reader *r, const struct job_part *part, const size_t counts[N_JOB_STATES],
		       struct err *err)
{
	int e = 0;

	for (int state = 0; e >= 0 && state < N_JOB_STATES; state++) {
		size_t share = (size_t)((double)SURVEY_SAMPLE * (double)counts[state] / (double)MAX(s->counts[state], (size_t)1));
		size_t wanted = state == JOB_RUNNING ? counts[state] : MAX(share, (size_t)1);
		if (counts[state])
			e = sample_state(s, r, *part, state, counts[state], wanted, err);
	}
	return e;
}

int survey_take(struct survey *ret, struct reader *r, const struct job_part *parts, size_t n_parts, struct err *err)
{
	autofree size_t (*counts)[N_JOB_STATES] = xcalloc(n_parts + 1, sizeof(*counts));
	struct survey s = {0};
	int e = 0;

	for (size_t i = 0; e >= 0 && i < n_parts; i++) {
		e = reader_count(r, &parts[i], counts[i], err);
		for (int state = 0; state < N_JOB_STATES; state++) {
			s.counts[state] += counts[i][state];
			s.n += counts[i][state];
		}
	}
	for (size_t i = 0; e >= 0 && i < n_parts; i++) {
		const struct job_page all = {.of = parts[i], .state = JOB_ANY};
		e = s.n <= SURVEY_ALL ? add_page(&s, r, &all, 1, err) : sample_part(&s, r, &parts[i], counts[i], err);
		if (e >= 0)
			e = reader_seconds(r, &parts[i], &s.seconds, err);
	}
	if (e < 0) {
		survey_fini(&s);
		return e;
	}
	*ret = s;
	return 0;
}

void survey_fini(struct survey *s)
{
	job_rows_free(s->jobs, s->n_jobs);
	free(s->stand_for);
	*s = (struct survey){0};
}

void survey_estimate(const struct survey *s, const double *underway, struct estimate *ret)
{
	estimate_init(ret, s->jobs, s->n_jobs, underway, s->stand_for);
	ret->done_seconds = s->seconds;
	memcpy(ret->counts, s->counts, sizeof(s->counts));
}
