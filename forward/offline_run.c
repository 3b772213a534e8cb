/* See offline_run.h. */
#include "offline_run.h"

#include "about.h"
#include "offline.h"

#include "common/json.h"

void offline_result_fini(struct offline_result *result)
{
	free(result->path);
	free(result->run_id);
	free(result->entity);
	free(result->project);
	*result = (struct offline_result){0};
}

char *offline_default_dir(const struct paths *paths)
{
	const char *own = getenv("STATE_DIRECTORY"); /* of the unit: who forwards may not write sweepd's */
	return xasprintf("%s/wandb", own && *own ? own : paths->state);
}

static int add_chunk(struct offline *o, const struct stream_chunk *chunk, struct err *err)
{
	int r = 0;
	for (size_t i = 0; i < chunk->history.n && r == 0; i++)
		r = offline_history(o, chunk->history.lines[i], err);
	for (size_t i = 0; i < chunk->events.n && r == 0; i++)
		r = offline_stats(o, chunk->events.lines[i], err);
	for (size_t i = 0; i < chunk->output.n && r == 0; i++)
		r = offline_console(o, chunk->output.lines[i], err);
	if (chunk->summary && r == 0)
		r = offline_summary(o, chunk->summary, err);
	return r;
}

/* Every batch as the server would get it, but the wait between them. */
static int add_rows(struct offline *o, struct rows *rows, const struct batch_job *job, struct position *at,
		    int *exit_code, struct err *err)
{
	for (;;) {
		struct batch b;
		int r = batch_build(&b, rows, job, at, err);
		if (r < 0)
			return r;
		enum batch_kind kind = b.kind;
		r = add_chunk(o, &b.chunk, err);
		*exit_code = kind == BATCH_CLOSE ? b.chunk.exit_code : kind == BATCH_OPEN ? -1 : *exit_code;
		*at = b.after;
		batch_fini(&b);
		if (r < 0 || kind == BATCH_NOTHING)
			return r;
	}
}

/* Those that `wandb sync` does not make itself. */
static int add_files(struct offline *o, struct follow *f, const struct wsweep_facts *ws, int64_t job, int64_t lines,
		     struct err *err)
{
	struct upload_files files = {0};
	int r = about_files(&files, f, ws, job, lines, err);
	for (size_t i = 0; i < files.n && r == 0; i++) {
		const struct upload_file *file = &files.items[i];
		if (!str_eq(file->name, "config.yaml") && !str_eq(file->name, "wandb-summary.json"))
			r = offline_file(o, file->name, file->bytes, file->size, err);
	}
	upload_files_fini(&files);
	return r;
}

static int write_run(struct offline *o, struct follow *f, const struct wsweep_facts *ws, const struct batch_job *job,
		     int64_t ended_ms, struct offline_result *ret, struct err *err)
{
	struct position at = {.phase = RUN_NEW};
	int exit_code = -1;
	int r = add_rows(o, f->rows, job, &at, &exit_code, err);
	r = r ? r : add_files(o, f, ws, job->job, at.history, err);
	if (r < 0) {
		offline_abandon(o);
		return r;
	}
	ret->at = at;
	ret->ended = exit_code >= 0;
	return offline_commit(o, exit_code, ended_ms, &ret->path, err);
}

/* What a run is called, and what belongs to it. */
struct source {
	struct job_place place;
	struct sweep_row sweep;
	struct job_facts facts;
	struct wandb_settings settings;
};

static void source_fini(struct source *s)
{
	sweep_row_fini(&s->sweep);
	job_facts_fini(&s->facts);
	wandb_settings_fini(&s->settings);
}

static int source_read(struct source *s, struct rows *rows, int64_t job, struct err *err)
{
	int r = rows_place(rows, job, &s->place, err);
	if (r <= 0)
		return r < 0 ? r : err_set(err, -ENOENT, "no job %lld", (long long)job);
	r = rows_sweep(rows, s->place.sweep, &s->sweep, err);
	r = r ? r : rows_facts(rows, job, &s->facts, err);
	r = r ? r : wandb_settings_read(&s->settings, s->sweep.wandb, s->sweep.project, err);
	if (r == 0 && !s->facts.started_ms)
		r = err_set(err, -ENODATA, "job %lld has not begun", (long long)job);
	return r;
}

/* What about.h needs of one that follows. */
static struct wsweep_facts facts_of(const struct source *s)
{
	return (struct wsweep_facts){
		.id = s->place.sweep,
		.entity = s->sweep.there_entity ? s->sweep.there_entity : s->settings.entity,
		.project = s->sweep.there_project ? s->sweep.there_project : s->settings.project,
		.there = s->sweep.there_name,
		.row = &s->sweep,
		.settings = &s->settings,
	};
}

static int begin(struct offline **ret, const struct source *s, struct follow *f, const struct wsweep_facts *ws,
		 const char *dir, int64_t job, struct offline_result *result, struct err *err)
{
	char id[WANDB_ID_SIZE];
	const struct line_identity identity = {s->sweep.hash, s->sweep.submission, s->place.sweep,
					       s->sweep.submitted_ms, s->sweep.owner};
	line_run_id(id, &identity, s->place.number);
	autojson json_t *about = about_run(f, ws, job, id, err);
	if (!about)
		return -EIO;
	const struct offline_run run = {
		.id = id,
		.project = ws->project,
		.name = json_str_or(about, "displayName", NULL),
		.host = f->machine.host,
		.entity = ws->entity,
		.group = json_str_or(about, "groupName", NULL),
		.job_type = json_str_or(about, "jobType", NULL),
		.notes = s->settings.notes,
		.sweep_id = ws->there,
		.tags = s->settings.tags,
		.config = s->facts.config,
		.started_ms = s->facts.started_ms,
	};
	result->run_id = xstrdup(id);
	result->entity = ws->entity ? xstrdup(ws->entity) : NULL;
	result->project = xstrdup(ws->project);
	return offline_begin(ret, dir, &run, err);
}

static int write_source(const struct source *s, struct rows *rows, const struct paths *paths, const char *dir,
			int64_t job, struct offline_result *result, struct err *err)
{
	struct offline *o;
	struct follow f = {.rows = rows, .paths = *paths};
	const struct wsweep_facts ws = facts_of(s);
	autofree char *job_dir = paths_job_dir(paths, job), *log = xasprintf("%s/log.txt", job_dir);
	const struct batch_job what = {.line = about_line_job(&ws, &s->facts), .job = job, .log_path = log};
	about_machine(&f.machine);
	int r = begin(&o, s, &f, &ws, dir, job, result, err);
	return r ? r : write_run(o, &f, &ws, &what, s->place.ended_ms, result, err);
}

int offline_write_run(struct rows *rows, const struct paths *paths, const char *dir, int64_t job,
		      struct offline_result *ret, struct err *err)
{
	struct source s = {0};
	struct offline_result result = {0};
	int r = rows_begin(rows, err); /* all of one instant */
	if (r < 0)
		return r;
	r = source_read(&s, rows, job, err);
	r = r ? r : write_source(&s, rows, paths, dir, job, &result, err);
	rows_end(rows);
	source_fini(&s);
	if (r == 0)
		*ret = result;
	else
		offline_result_fini(&result);
	return r;
}
