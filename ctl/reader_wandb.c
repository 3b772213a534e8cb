/* How far the runs of each sweep are at Weights & Biases; see wandb.h. */
#include "ctl/reader_internal.h"
#include "ctl/wandb.h"
#include "common/wandb.h"

static void progress_fini(struct wandb_progress *p)
{
	char *const texts[] = {p->name, p->mode, p->entity, p->project, p->base_url, p->file_dir, p->url, p->problem};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
}

void wandb_state_fini(struct wandb_state *state)
{
	for (size_t i = 0; i < state->n_sweeps; i++)
		progress_fini(&state->sweeps[i]);
	for (size_t i = 0; i < state->n_refusals; i++)
		free(state->refusals[i].problem);
	free(state->sweeps);
	free(state->refusals);
	free(state->unsent);
	*state = (struct wandb_state){0};
}

static char *copy_text(const char *text)
{
	return text ? text_clean_lines(text) : NULL;
}

static int add_sweep(struct wandb_state *state, struct stmt *s, struct err *err)
{
	struct wandb_settings settings;
	int e = wandb_settings_read(&settings, stmt_text(s, 2), stmt_text(s, 3), err);

	if (e < 0)
		return err_prefix(err, e, "sweep s%lld", (long long)stmt_int(s, 0));
	const char *entity = stmt_text(s, 6), *project = stmt_text(s, 7);
	if (settings.mode != WANDB_DISABLED) {
		state->sweeps = grow(state->sweeps, state->n_sweeps, sizeof(*state->sweeps));
		state->sweeps[state->n_sweeps++] = (struct wandb_progress){
			.sweep = stmt_int(s, 0),
			.name = copy_clean(s, 1),
			.owner = stmt_int(s, 4),
			.file_dir = copy(s, 5),
			.mode = xstrdup(wandb_mode_names[settings.mode]),
			.entity = copy_text(entity ? entity : settings.entity),
			.project = copy_text(project ? project : settings.project),
			.base_url = copy_text(settings.base_url),
			.url = copy_clean(s, 8),
			.problem = copy_text(stmt_text(s, 9)),
		};
	}
	wandb_settings_fini(&settings);
	return 0;
}

static int read_sweeps(struct reader *r, int64_t sweep, struct wandb_state *state, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT s.id, s.name, s.wandb, s.project, s.owner_uid, s.file_dir, w.entity, w.project, w.url, w.problem "
		      "FROM sweep AS s LEFT JOIN wandb_sweep AS w ON w.sweep = s.id "
		      "WHERE s.state = 'active' AND (?1 = 0 OR s.id = ?1) "
		      "AND EXISTS (SELECT 1 FROM job AS j WHERE j.sweep = s.id AND j.use_wandb) ORDER BY s.id",
		      &s, err);

	if (e >= 0 && s)
		stmt_bind_int(s, 1, sweep);
	while (e >= 0 && (e = step(s, err)) > 0)
		e = add_sweep(state, s, err);
	if (e < 0 && s)
		stmt_reset(s);
	return e;
}

/* One job's position beside what the store has of it. */
static void add_job(struct wandb_state *state, struct wandb_progress *p, struct stmt *s)
{
	const char *phase = stmt_text(s, 1);
	bool begun = stmt_int(s, 4), over = stmt_int(s, 5);
	bool refused = phase && str_eq(phase, "refused");
	bool done = over && phase && str_eq(phase, "finished") && stmt_int(s, 3) >= stmt_int(s, 6);
	int64_t oldest_ms = stmt_int(s, 8);

	p->runs++;
	p->begun += begun;
	p->done += done;
	p->refused += refused;
	if (refused) {
		state->refusals = grow(state->refusals, state->n_refusals, sizeof(*state->refusals));
		state->refusals[state->n_refusals++] =
			(struct wandb_refusal){stmt_int(s, 0), p->sweep, copy_text(stmt_text(s, 2))};
	}
	if (begun && (!done || str_eq(p->mode, wandb_mode_names[WANDB_OFFLINE]))) {
		state->unsent = grow(state->unsent, state->n_unsent, sizeof(*state->unsent));
		state->unsent[state->n_unsent++] = stmt_int(s, 0);
	}
	if (!begun || done || refused)
		return;
	p->moving++;
	p->in_step += !over && !stmt_int(s, 7);
	p->rows_behind += stmt_int(s, 7);
	if (oldest_ms && (!p->oldest_ms || oldest_ms < p->oldest_ms))
		p->oldest_ms = oldest_ms;
}

static int read_jobs(struct reader *r, struct wandb_state *state, struct wandb_progress *p, struct err *err)
{
	struct stmt *s;
	int e = query(r,
		      "SELECT j.id, w.phase, w.problem, coalesce(w.last_event, 0), "
		      "EXISTS (SELECT 1 FROM attempt AS a WHERE a.job = j.id), j.ended_ms IS NOT NULL, "
		      "coalesce((SELECT max(id) FROM event WHERE job = j.id AND kind = 'state'), 0), "
		      "(SELECT count(DISTINCT epoch) FROM epoch WHERE job = j.id AND epoch > coalesce(w.last_epoch, 0)), "
		      "coalesce((SELECT at_ms FROM event WHERE job = j.id AND id > coalesce(w.last_event, 0) "
		      "AND kind = 'epoch' ORDER BY id LIMIT 1), 0) "
		      "FROM job AS j LEFT JOIN wandb_run AS w ON w.job = j.id "
		      "WHERE j.sweep = ?1 AND j.use_wandb ORDER BY j.id",
		      &s, err);

	if (e >= 0 && s)
		stmt_bind_int(s, 1, p->sweep);
	while (e >= 0 && (e = step(s, err)) > 0)
		add_job(state, p, s);
	return e;
}

int reader_wandb(struct reader *r, int64_t sweep, struct wandb_state *ret, struct err *err)
{
	struct wandb_state state = {0};
	int e = reader_begin(r, err); /* all of one instant */

	if (e < 0)
		return e;
	e = read_sweeps(r, sweep, &state, err);
	for (size_t i = 0; e == 0 && i < state.n_sweeps; i++)
		e = read_jobs(r, &state, &state.sweeps[i], err);
	reader_end(r);
	if (e < 0)
		wandb_state_fini(&state);
	else
		*ret = state;
	return e;
}
