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
	free(sel->parts);
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

static void add_part(struct selection *sel, struct job_part part)
{
	sel->parts = xrealloc_array(sel->parts, sel->n_parts + 1, sizeof(sel->parts[0]));
	sel->parts[sel->n_parts++] = part;
}

static int64_t end_of(const struct job_part *part)
{
	return part->last ? part->last : INT64_MAX;
}

/* Adds what the first k parts do not have of it yet.  Parts of one sweep are intervals of job numbers. */
static int add_rest(struct selection *sel, struct reader *r, struct job_part part, size_t k, struct err *err)
{
	for (size_t i = 0; i < k; i++) {
		const struct job_part have = sel->parts[i];
		int64_t end = end_of(&part), have_end = end_of(&have);
		if (have.sweep != part.sweep || have_end < part.first || end < have.first)
			continue;
		struct job_part below = {part.sweep, part.first, have.first - 1}, above = {part.sweep, have_end + 1, end};
		int e = have.first > part.first ? reader_tighten(r, &below, err) : 0;
		if (e > 0)
			e = add_rest(sel, r, below, k, err);
		if (e >= 0 && have_end < end && (e = reader_tighten(r, &above, err)) > 0)
			e = add_rest(sel, r, above, k, err);
		return e;
	}
	add_part(sel, part);
	return 0;
}

static int add_range(struct selection *sel, struct reader *r, int64_t first, int64_t last, struct err *err)
{
	autofree struct job_part *parts = NULL;
	size_t n = 0;
	int64_t jobs;
	int e = reader_parts(r, first, last, &parts, &n, &jobs, err);

	for (size_t i = 0; e >= 0 && i < n; i++)
		e = add_rest(sel, r, parts[i], sel->n_parts, err);
	if (e >= 0 && jobs - 1 != last - first) /* both from 1: no overflow */
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

/* Of several sweeps with that name. */
static void say_which(const struct selection *sel, const struct sweep_row *taken, const char *word)
{
	const struct sweep_row *before = NULL;

	for (const struct sweep_row *s = sel->sweeps; s < taken; s++)
		if (str_eq(s->name, word))
			before = s;
	if (before && str_eq(taken->name, word))
		fprintf(stderr, "s%lld is meant, the newest of that name (the one before it: s%lld)\n", (long long)taken->id,
			(long long)before->id);
}

int selection_name(struct selection *sel, struct reader *r, const char *word, struct err *err)
{
	if (target_is_jobs(word))
		return add_jobs(sel, r, word, err);
	const struct sweep_row *sweep = find_sweep(sel, word);
	if (sweep)
		say_which(sel, sweep, word);
	if (sweep)
		return add_rest(sel, r, (struct job_part){.sweep = sweep->id}, sel->n_parts, err);
	say_no_sweep(sel, word);
	return 0;
}

void selection_name_sweeps(struct selection *sel)
{
	for (size_t i = 0; i < sel->n_sweeps; i++)
		add_part(sel, (struct job_part){.sweep = sel->sweeps[i].id});
}

/* The sweeps that have something left to run. */
static int name_unfinished(struct selection *sel, struct reader *r, struct err *err)
{
	for (size_t i = 0; i < sel->n_sweeps; i++) {
		int e = reader_is_unfinished(r, sel->sweeps[i].id, err);
		if (e < 0)
			return e;
		if (e)
			add_part(sel, (struct job_part){.sweep = sel->sweeps[i].id});
	}
	return 0;
}

int selection_name_all(struct selection *sel, struct reader *r, char **words, size_t n, bool unfinished, struct err *err)
{
	int e = 0;

	for (size_t i = 0; e >= 0 && i < n; i++)
		e = selection_name(sel, r, words[i], err);
	if (e < 0 || n > 0)
		return e;
	if (unfinished && (e = name_unfinished(sel, r, err)) < 0)
		return e;
	if (!sel->n_parts && sel->n_sweeps > 0)
		add_part(sel, (struct job_part){.sweep = sel->sweeps[sel->n_sweeps - 1].id});
	return e;
}

/* --- their jobs --- */

/* Rows of the parts from the k-th on. */
static int load_parts(struct selection *sel, struct reader *r, size_t k, struct err *err)
{
	int e = 0;

	for (; e >= 0 && k < sel->n_parts; k++) {
		const struct job_page page = {.of = sel->parts[k], .state = JOB_ANY};
		e = reader_page(r, &page, &sel->jobs, &sel->n_jobs, err);
	}
	return e;
}

int selection_load(struct selection *sel, struct reader *r, struct err *err)
{
	return load_parts(sel, r, 0, err);
}

int selection_add(struct selection *sel, struct reader *r, const char *word, struct err *err)
{
	size_t k = sel->n_parts;
	int e = selection_name(sel, r, word, err);

	return e < 0 ? e : load_parts(sel, r, k, err);
}

int selection_add_all(struct selection *sel, struct reader *r, char **words, size_t n, bool unfinished, struct err *err)
{
	int e = selection_name_all(sel, r, words, n, unfinished, err);

	return e < 0 ? e : selection_load(sel, r, err);
}

const enum job_state eyes_order[N_JOB_STATES] = {JOB_RUNNING, JOB_FAILED,    JOB_QUEUED, JOB_PAUSED,
						 JOB_DONE,    JOB_CANCELLED, JOB_PRUNED};

#define PAGE_JOBS 500

struct visit {
	struct reader *r;
	job_visitor *visit;
	void *data;
	int64_t left; /* of the limit */
	const struct selection *only; /* of a page that spans more than was named; or NULL */
};

bool selection_has(const struct selection *sel, int64_t sweep, int64_t job)
{
	for (size_t i = 0; i < sel->n_parts; i++)
		if (sel->parts[i].sweep == sweep && sel->parts[i].first <= job && job <= end_of(&sel->parts[i]))
			return true;
	return false;
}

/* Everything from page->after on, page by page. */
static int visit_pages(struct visit *v, struct job_page page, struct err *err)
{
	size_t n;

	do {
		struct job_row *rows = NULL;
		n = 0;
		page.limit = v->only ? PAGE_JOBS : MIN(v->left, PAGE_JOBS);
		int e = reader_page(v->r, &page, &rows, &n, err);
		for (size_t i = 0; e >= 0 && i < n && v->left > 0; i++) {
			if (v->only && !selection_has(v->only, rows[i].sweep, rows[i].id))
				continue;
			e = v->visit(v->data, &rows[i], err);
			v->left--;
		}
		page.after = n ? rows[n - 1].id : 0;
		job_rows_free(rows, n);
		if (e < 0)
			return e;
	} while (n == (size_t)page.limit && v->left > 0);
	return 0;
}

static int visit_parts(struct visit *v, const struct selection *sel, int state, struct err *err)
{
	int e = 0;

	for (size_t i = 0; e >= 0 && i < sel->n_parts && v->left > 0; i++)
		e = visit_pages(v, (struct job_page){.of = sel->parts[i], .state = state}, err);
	return e;
}

/* Sweeps in their order; of each the least interval that holds its parts. */
static int visit_ranks(struct visit *v, const struct selection *sel, struct err *err)
{
	int e = 0;

	for (size_t k = 0; e >= 0 && k < sel->n_sweeps && v->left > 0; k++) {
		struct job_part hull = {0};
		size_t n = 0;
		for (size_t i = 0; i < sel->n_parts; i++) {
			const struct job_part *part = &sel->parts[i];
			if (part->sweep != sel->sweeps[k].id)
				continue;
			hull = n++ ? (struct job_part){part->sweep, MIN(hull.first, part->first),
						       MAX(end_of(&hull), end_of(part))}
				   : *part;
		}
		v->only = n > 1 ? sel : NULL;
		if (n)
			e = visit_pages(v, (struct job_page){.of = hull, .ranked = true}, err);
	}
	return e;
}

int selection_each(const struct selection *sel, struct reader *r, const struct job_listing *how, job_visitor *visit, void *data,
		   struct err *err)
{
	struct visit v = {r, visit, data, how->limit ? how->limit : INT64_MAX, NULL};
	int e = 0;

	switch (how->order) {
	case ORDER_NAMED:
		return visit_parts(&v, sel, how->state, err);
	case ORDER_EYES:
		for (size_t i = 0; e >= 0 && i < N_JOB_STATES && v.left > 0; i++)
			e = visit_parts(&v, sel, (int)eyes_order[i], err);
		return e;
	case ORDER_RANK:
		return visit_ranks(&v, sel, err);
	}
	BUG("order %d", how->order);
}

bool selection_narrow(const struct selection *sel, int64_t sweep, struct selection *ret)
{
	*ret = (struct selection){.sweeps = sel->sweeps, .n_sweeps = sel->n_sweeps};
	for (size_t i = 0; i < sel->n_parts; i++)
		if (sel->parts[i].sweep == sweep)
			add_part(ret, sel->parts[i]);
	return ret->n_parts;
}

size_t selection_n_named(const struct selection *sel)
{
	size_t n = 0;

	for (size_t k = 0; k < sel->n_sweeps; k++) {
		bool named = false;
		for (size_t i = 0; i < sel->n_parts && !named; i++)
			named = sel->parts[i].sweep == sel->sweeps[k].id;
		n += named;
	}
	return n;
}

static int take_part(void *data, const struct job_row *job, struct err *err)
{
	(void)err;
	add_part(data, (struct job_part){job->sweep, job->id, job->id});
	return 0;
}

static int by_first(const void *a, const void *b)
{
	const struct job_part *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

int selection_keep_best(struct selection *sel, struct reader *r, int64_t n, struct err *err)
{
	const struct job_listing best = {.order = ORDER_RANK, .limit = n};
	struct selection kept = {0};
	int e = selection_each(sel, r, &best, take_part, &kept, err);

	if (kept.n_parts)
		qsort(kept.parts, kept.n_parts, sizeof(kept.parts[0]), by_first);
	free(sel->parts);
	sel->parts = kept.parts;
	sel->n_parts = kept.n_parts;
	return e;
}

int64_t selection_count(const struct selection *sel, struct reader *r, size_t counts[N_JOB_STATES], struct err *err)
{
	int64_t n = 0;

	for (int i = 0; i < N_JOB_STATES; i++)
		counts[i] = 0;
	for (size_t i = 0; i < sel->n_parts; i++) {
		int e = reader_count(r, &sel->parts[i], counts, err);
		if (e < 0)
			return e;
	}
	for (int i = 0; i < N_JOB_STATES; i++)
		n += (int64_t)counts[i];
	return n;
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

	for (size_t i = 0; i < sel->n_parts; i++) {
		const struct sweep_row *sweep = sweep_row_find(sel->sweeps, sel->n_sweeps, sel->parts[i].sweep);
		size_t k;
		json_t *name;
		if (!sweep)
			continue;
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
