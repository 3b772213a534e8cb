/* What a verb is about; see target.h. */
#include "ctl/target.h"
#include "ctl/screen.h"

#include <ctype.h>

int selection_init(struct selection *sel, struct reader *r, struct err *err)
{
	*sel = (struct selection){0};
	return reader_sweeps(r, &sel->sweeps, &sel->n_sweeps, err);
}

void selection_fini(struct selection *sel)
{
	sweep_rows_free(sel->sweeps, sel->n_sweeps);
	job_rows_free(sel->jobs, sel->n_jobs);
	*sel = (struct selection){0};
}

bool target_is_jobs(const char *word)
{
	return isdigit((unsigned char)word[0]) && word[strspn(word, "0123456789,-")] == 0;
}

static bool is_sweep_id(const char *word)
{
	return word[0] == 's' && isdigit((unsigned char)word[1]) && word[1 + strspn(word + 1, "0123456789")] == 0;
}

static const struct sweep_row *find_sweep(const struct selection *sel, const char *word)
{
	if (is_sweep_id(word))
		return sweep_row_find(sel->sweeps, sel->n_sweeps, strtoll(word + 1, NULL, 10));
	for (size_t i = sel->n_sweeps; i-- > 0;)
		if (str_eq(sel->sweeps[i].name, word))
			return &sel->sweeps[i];
	return NULL;
}

static void say_no_sweep(struct selection *sel, const char *word)
{
	const char **names = xcalloc(sel->n_sweeps + 1, sizeof(*names));

	for (size_t i = 0; i < sel->n_sweeps; i++)
		names[i] = sel->sweeps[i].name;
	const char *near = nearest_name(word, names, sel->n_sweeps);
	free(names);
	const struct sweep_row *newest = sel->n_sweeps ? &sel->sweeps[sel->n_sweeps - 1] : NULL;
	autofree char *name = text_clean(near ? near : newest ? newest->name : "");
	autofree char *asked = text_clean(word);
	sel->missing = true;
	if (near)
		fprintf(stderr, "error: no sweep \"%s\"; did you mean \"%s\"?\n", asked, name);
	else if (newest)
		fprintf(stderr, "error: no sweep \"%s\"; the newest is s%lld %s\n", asked, (long long)newest->id, name);
	else
		fprintf(stderr, "error: no sweep \"%s\"; there are none yet\n", asked);
}

static int say_no_jobs(struct selection *sel, struct reader *r, int64_t first, int64_t last, struct err *err)
{
	int64_t newest;
	int e = reader_newest_job(r, &newest, err);

	if (e < 0)
		return e;
	sel->missing = true;
	fprintf(stderr, first == last ? "error: no job %lld" : "error: not all of jobs %lld-%lld exist",
		(long long)first, (long long)last);
	fprintf(stderr, newest ? "; the newest is %lld\n" : "; there are none yet\n", (long long)newest);
	return 0;
}

static bool has_job(const struct selection *sel, int64_t id)
{
	for (size_t i = 0; i < sel->n_jobs; i++)
		if (sel->jobs[i].id == id)
			return true;
	return false;
}

/* Takes over the jobs that are not there yet; frees the rest. */
static void merge(struct selection *sel, struct job_row *jobs, size_t n)
{
	sel->jobs = xrealloc_array(sel->jobs, sel->n_jobs + n + 1, sizeof(sel->jobs[0]));
	for (size_t i = 0; i < n; i++) {
		if (has_job(sel, jobs[i].id))
			job_row_fini(&jobs[i]);
		else
			sel->jobs[sel->n_jobs++] = jobs[i];
	}
	free(jobs);
}

static int add_sweep(struct selection *sel, struct reader *r, int64_t sweep, struct err *err)
{
	struct job_row *jobs = NULL;
	size_t n = 0;
	int e = reader_jobs(r, sweep, &jobs, &n, err);

	if (e < 0) {
		job_rows_free(jobs, n);
		return e;
	}
	if (sel->n_jobs == 0) { /* the usual case needs no search for duplicates */
		free(sel->jobs);
		sel->jobs = jobs;
		sel->n_jobs = n;
	} else {
		merge(sel, jobs, n);
	}
	return 0;
}

static int add_range(struct selection *sel, struct reader *r, int64_t first, int64_t last, struct err *err)
{
	autofree int64_t *ids = NULL;
	size_t n = 0;
	int e = reader_job_ids(r, first, last, &ids, &n, err);

	for (size_t i = 0; e >= 0 && i < n; i++) {
		struct job_row *job = xcalloc(1, sizeof(*job));
		e = reader_job(r, ids[i], job, err);
		if (e > 0)
			merge(sel, job, 1);
		else
			free(job);
	}
	if (e >= 0 && (int64_t)n != last - first + 1)
		e = say_no_jobs(sel, r, first, last, err);
	return e < 0 ? e : 0;
}

static int add_jobs(struct selection *sel, struct reader *r, const char *word, struct err *err)
{
	for (const char *at = word;; at++) {
		char *end;
		int64_t first = strtoll(at, &end, 10), last = first;
		if (end == at)
			break;
		if (*end == '-') {
			at = end + 1;
			last = strtoll(at, &end, 10);
			if (end == at || last < first)
				break;
		}
		if (first < 0 || (*end && *end != ','))
			break;
		int e = add_range(sel, r, first, last, err);
		if (e < 0 || !*end)
			return e;
		at = end;
	}
	fprintf(stderr, "error: \"%s\" names no jobs; expected 5, 5-8 or 1,3\n", word);
	sel->missing = true;
	return 0;
}

int selection_add(struct selection *sel, struct reader *r, const char *word, struct err *err)
{
	if (target_is_jobs(word))
		return add_jobs(sel, r, word, err);
	const struct sweep_row *sweep = find_sweep(sel, word);
	if (sweep)
		return add_sweep(sel, r, sweep->id, err);
	say_no_sweep(sel, word);
	return 0;
}

/* Keeps the jobs of sweeps that have something left to run, if there are any; else those of the newest sweep. */
static int add_unfinished(struct selection *sel, struct reader *r, struct err *err)
{
	struct selection all = {0};
	int64_t last = 0;
	int e = reader_jobs(r, 0, &all.jobs, &all.n_jobs, err);

	for (size_t i = 0; e >= 0 && i < all.n_jobs; i++) {
		const struct job_row *job = &all.jobs[i];
		if ((job->state == JOB_RUNNING || job->state == JOB_QUEUED) && job->sweep != last) {
			last = job->sweep;
			e = add_sweep(sel, r, last, err);
		}
	}
	job_rows_free(all.jobs, all.n_jobs);
	return e;
}

int selection_add_all(struct selection *sel, struct reader *r, char **words, size_t n, bool unfinished, struct err *err)
{
	int e = 0;

	for (size_t i = 0; e >= 0 && i < n; i++)
		e = selection_add(sel, r, words[i], err);
	if (e < 0 || n > 0)
		return e;
	if (unfinished && (e = add_unfinished(sel, r, err)) < 0)
		return e;
	if (sel->n_jobs == 0 && sel->n_sweeps > 0)
		e = add_sweep(sel, r, sel->sweeps[sel->n_sweeps - 1].id, err);
	return e;
}

const struct sweep_row *selection_sweep(const struct selection *sel, const struct job_row *job)
{
	return sweep_row_find(sel->sweeps, sel->n_sweeps, job->sweep);
}

static void add_column(json_t *columns, const char *name)
{
	size_t i;
	json_t *have;

	json_array_foreach(columns, i, have) if (str_eq(json_string_value(have), name)) return;
	json_array_append_new(columns, json_string(name));
}

json_t *selection_columns(const struct selection *sel, bool always_basic)
{
	static const char *const basic[] = {"model", "lr", "scheduler"};
	json_t *columns = json_array(), *swept = json_object();
	int64_t last = 0;

	for (size_t i = 0; i < sel->n_jobs; i++) {
		const struct sweep_row *sweep = selection_sweep(sel, &sel->jobs[i]);
		size_t k;
		json_t *name;
		if (!sweep || sweep->id == last)
			continue;
		last = sweep->id;
		json_array_foreach(sweep->swept, k, name) json_object_set(swept, json_string_value(name), json_true());
	}
	/* The report's order: model, lr, then what else varies, then the scheduler. */
	const char *name;
	json_t *value;
	for (size_t i = 0; i < 2; i++)
		if (always_basic || json_object_get(swept, basic[i]))
			add_column(columns, basic[i]);
	json_object_foreach(swept, name, value) if (!str_eq(name, "scheduler")) add_column(columns, name);
	if (always_basic || json_object_get(swept, "scheduler"))
		add_column(columns, "scheduler");
	json_decref(swept);
	return columns;
}
