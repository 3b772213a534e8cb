/* See rows.h. */
#include "rows.h"

#include "common/db.h"
#include "common/fs.h"
#include "common/json.h"

#include <math.h>

const char *const run_phase_names[] = {NULL, "open", "left", "finished", "refused"};

struct rows {
	struct db *db;
	char *path;
};

int rows_open(struct rows **ret, const struct paths *paths, struct err *err)
{
	if (!fs_exists(paths->db))
		return err_set(err, -ENOENT, "%s does not exist yet", paths->db);
	struct db *db;
	int r = db_open(&db, paths->db, DB_READ, err);
	if (r < 0)
		return r;
	struct rows *rows = xcalloc(1, sizeof(*rows));
	rows->db = db;
	rows->path = xstrdup(paths->db);
	*ret = rows;
	return 0;
}

void rows_close(struct rows *rows)
{
	if (!rows)
		return;
	db_close(rows->db);
	free(rows->path);
	free(rows);
}

int rows_begin(struct rows *rows, struct err *err)
{
	return db_exec(rows->db, "BEGIN", err);
}

void rows_end(struct rows *rows)
{
	db_exec(rows->db, "ROLLBACK", NULL);
}

static char *copy(struct stmt *q, int column)
{
	const char *text = stmt_text(q, column);
	return text ? xstrdup(text) : NULL;
}

static json_t *parse(struct stmt *q, int column)
{
	const char *text = stmt_text(q, column);
	return text ? json_parse(text, strlen(text), NULL) : NULL;
}

void run_row_fini(struct run_row *row)
{
	free(row->problem);
	*row = (struct run_row){0};
}

void sweep_row_fini(struct sweep_row *row)
{
	char *const texts[] = {row->name,	  row->metric,	      row->hash,       row->submission, row->file_dir,
			       row->project,	  row->wandb,	      row->there_entity, row->there_project, row->there_name,
			       row->there_node, row->there_url, row->there_state, row->problem};
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		free(texts[i]);
	json_decref(row->swept);
	*row = (struct sweep_row){0};
}

void job_facts_fini(struct job_facts *facts)
{
	json_decref(facts->config);
	json_decref(facts->swept);
	json_decref(facts->started);
	*facts = (struct job_facts){0};
}

int rows_last_event(struct rows *rows, int64_t *ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db, "SELECT coalesce(max(id), 0) FROM event", &q, err);
	r = r ? r : stmt_step(q, err);
	if (r != 1)
		return r;
	*ret = stmt_int(q, 0);
	stmt_reset(q);
	return 0;
}

/* --- runs --- */

/* Jobs that are to be sent.  A sweep without settings is one whose jobs alone say use_wandb. */
#define WANTED \
	"s.state = 'active' AND coalesce(s.wandb ->> 'mode', 'online') = 'online' AND j.use_wandb"
#define RUN_COLUMNS \
	"j.id, j.sweep, j.position, w.phase, w.last_event, w.last_epoch, w.history, w.events, w.output, w.output_bytes, " \
	"w.stopped, w.problem, w.last_step "
#define RUN_TABLES "FROM job AS j JOIN sweep AS s ON s.id = j.sweep LEFT JOIN wandb_run AS w ON w.job = j.id "

static enum run_phase phase_of(const char *name)
{
	for (int i = RUN_OPEN; name && i <= RUN_REFUSED; i++)
		if (str_eq(run_phase_names[i], name))
			return (enum run_phase)i;
	return RUN_NEW;
}

static void take_run(struct stmt *q, struct run_row *ret)
{
	*ret = (struct run_row){
		.job = stmt_int(q, 0),
		.sweep = stmt_int(q, 1),
		.number = stmt_int(q, 2),
		.at = {.phase = phase_of(stmt_text(q, 3)),
		       .last_event = stmt_int(q, 4),
		       .last_epoch = stmt_int(q, 5),
		       .history = stmt_int(q, 6),
		       .events = stmt_int(q, 7),
		       .output = stmt_int(q, 8),
		       .output_bytes = stmt_int(q, 9),
		       .stopped = stmt_int(q, 10) != 0,
		       .last_step = stmt_int(q, 12)},
		.problem = copy(q, 11),
	};
}

int rows_pending(struct rows *rows, void (*take)(void *arg, struct run_row *row), void *arg, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT " RUN_COLUMNS RUN_TABLES "WHERE " WANTED " AND w.phase IS NOT 'refused' "
			   "AND (EXISTS (SELECT 1 FROM attempt AS a WHERE a.job = j.id)) "
			   "AND (w.phase IS NOT 'finished' OR w.last_event < (SELECT max(id) FROM event WHERE job = j.id)) "
			   "ORDER BY j.id",
			   &q, err);
	while (r == 0 && (r = stmt_step(q, err)) == 1) {
		struct run_row row;
		take_run(q, &row);
		take(arg, &row);
		r = 0;
	}
	return r;
}

int rows_touched(struct rows *rows, int64_t after, int64_t up_to, void (*take)(void *arg, int64_t job, enum urgency how),
		 void *arg, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT e.job, max(CASE e.kind WHEN 'wandb' THEN 2 WHEN 'state' THEN 1 ELSE 0 END) FROM event AS e JOIN job AS j ON j.id = e.job "
			   "JOIN sweep AS s ON s.id = j.sweep WHERE e.id > ?1 AND e.id <= ?2 AND " WANTED
			   " GROUP BY e.job ORDER BY min(e.id)",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, after);
	stmt_bind_int(q, 2, up_to);
	while ((r = stmt_step(q, err)) == 1)
		take(arg, stmt_int(q, 0), (enum urgency)stmt_int(q, 1));
	return r;
}

int rows_run(struct rows *rows, int64_t job, struct run_row *ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db, "SELECT " RUN_COLUMNS RUN_TABLES "WHERE j.id = ?1 AND " WANTED, &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	r = stmt_step(q, err);
	if (r != 1)
		return r;
	take_run(q, ret);
	stmt_reset(q);
	return 1;
}

/* --- sweeps and jobs --- */

int rows_sweep(struct rows *rows, int64_t sweep, struct sweep_row *ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT s.name, s.metric, s.hash, s.submission, s.file_dir, s.project, s.wandb, s.goal, s.swept, "
			   "s.submitted_ms, s.owner_uid, w.entity, w.project, w.name, w.node, w.url, w.state, w.problem "
			   "FROM sweep AS s LEFT JOIN wandb_sweep AS w ON w.sweep = s.id WHERE s.id = ?1",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, sweep);
	r = stmt_step(q, err);
	if (r != 1)
		return r < 0 ? r : err_set(err, -ENOENT, "no sweep s%lld", (long long)sweep);
	*ret = (struct sweep_row){
		.id = sweep,
		.name = copy(q, 0),
		.metric = copy(q, 1),
		.hash = copy(q, 2),
		.submission = copy(q, 3),
		.file_dir = copy(q, 4),
		.project = copy(q, 5),
		.wandb = copy(q, 6),
		.maximize = str_eq(stmt_text(q, 7), "maximize"),
		.swept = parse(q, 8),
		.submitted_ms = stmt_int(q, 9),
		.owner = stmt_int(q, 10),
		.there_entity = copy(q, 11),
		.there_project = copy(q, 12),
		.there_name = copy(q, 13),
		.there_node = copy(q, 14),
		.there_url = copy(q, 15),
		.there_state = copy(q, 16),
		.problem = copy(q, 17),
	};
	stmt_reset(q);
	return 0;
}

int rows_facts(struct rows *rows, int64_t job, struct job_facts *ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT json_patch(s.base, j.own), j.swept, (SELECT started_ms FROM attempt WHERE job = j.id ORDER BY id LIMIT 1), "
			   "coalesce(j.own ->> 'epochs', s.base ->> 'epochs', 0), (SELECT details FROM attempt WHERE job = j.id AND details IS NOT "
			   "NULL ORDER BY id DESC LIMIT 1) FROM job AS j JOIN sweep AS s ON s.id = j.sweep WHERE j.id = ?1",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	r = stmt_step(q, err);
	if (r != 1)
		return r < 0 ? r : err_set(err, -ENOENT, "no job %lld", (long long)job);
	*ret = (struct job_facts){
		.config = parse(q, 0),
		.swept = parse(q, 1),
		.started_ms = stmt_int(q, 2),
		.epochs = stmt_int(q, 3),
		.started = parse(q, 4),
	};
	stmt_reset(q);
	return 0;
}

/* --- events --- */

#define EVENT_COLUMNS "id, at_ms, attempt, kind, detail"

static void take_event(struct stmt *q, struct row *ret)
{
	*ret = (struct row){.id = stmt_int(q, 0), .at_ms = stmt_int(q, 1), .attempt = stmt_int(q, 2), .detail = parse(q, 4)};
	snprintf(ret->kind, sizeof(ret->kind), "%s", stmt_text(q, 3));
}

int rows_events(struct rows *rows, int64_t job, int64_t after, bool (*take)(void *arg, const struct row *row), void *arg,
		struct err *err)
{
	struct stmt *q;
	bool more = true;
	int r = db_prepare(rows->db, "SELECT " EVENT_COLUMNS " FROM event WHERE job = ?1 AND id > ?2 ORDER BY id", &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	stmt_bind_int(q, 2, after);
	while (more && (r = stmt_step(q, err)) == 1) {
		struct row row;
		take_event(q, &row);
		more = take(arg, &row);
		json_decref(row.detail);
	}
	if (!more)
		stmt_reset(q);
	return r < 0 ? r : 0;
}

/* In that column, or what the next one says where it was not finite. */
static double number_of(struct stmt *q, int column)
{
	const char *odd = stmt_text(q, column + 1);
	if (!stmt_is_null(q, column) || !odd)
		return stmt_num(q, column);
	return str_eq(odd, "inf") ? INFINITY : str_eq(odd, "-inf") ? -INFINITY : NAN;
}

int rows_metrics(struct rows *rows, const struct row *epoch, void (*take)(void *arg, const char *name, double value),
		 void *arg, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT name, value, nonfinite FROM metric WHERE attempt = ?1 AND event < ?2 AND event > "
			   "coalesce((SELECT max(event) FROM epoch WHERE attempt = ?1 AND event < ?2), 0) ORDER BY event",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, epoch->attempt);
	stmt_bind_int(q, 2, epoch->id);
	while ((r = stmt_step(q, err)) == 1)
		take(arg, stmt_text(q, 0), number_of(q, 1));
	return r;
}

int rows_steps(struct rows *rows, int64_t job, const struct row *event, int64_t after,
	       void (*take)(void *arg, const struct step_sample *sample), void *arg, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT step, train_loss, lr, grad_norm, nonfinite FROM step WHERE job = ?1 AND step BETWEEN ?2 AND ?3 "
			   "AND attempt = ?4 ORDER BY step",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	stmt_bind_int(q, 2, MAX(json_int_or(event->detail, "first", 0), after + 1));
	stmt_bind_int(q, 3, json_int_or(event->detail, "last", 0));
	stmt_bind_int(q, 4, event->attempt);
	while ((r = stmt_step(q, err)) == 1) {
		const struct step_sample sample = {stmt_int(q, 0), stmt_num(q, 1), stmt_num(q, 2), number_of(q, 3),
						   !stmt_is_null(q, 3) || stmt_text(q, 4)};
		take(arg, &sample);
	}
	return r;
}

int rows_epochs(struct rows *rows, int64_t job, int64_t up_to, void (*take)(void *arg, const struct row *row), void *arg,
		struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT " EVENT_COLUMNS " FROM event WHERE id IN (SELECT min(event) FROM epoch WHERE job = ?1 AND "
			   "event <= ?2 GROUP BY epoch) ORDER BY id",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	stmt_bind_int(q, 2, up_to);
	while ((r = stmt_step(q, err)) == 1) {
		struct row row;
		take_event(q, &row);
		take(arg, &row);
		json_decref(row.detail);
	}
	return r;
}

int rows_ended_between(struct rows *rows, int64_t job, int64_t after, int64_t before, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT 1 FROM event WHERE job = ?1 AND id > ?2 AND id < ?3 AND kind = 'state' AND "
			   "detail ->> 'state' IN ('done', 'failed', 'cancelled', 'pruned') LIMIT 1",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	stmt_bind_int(q, 2, after);
	stmt_bind_int(q, 3, before);
	r = stmt_step(q, err);
	if (r == 1)
		stmt_reset(q);
	return r;
}

/* --- for the sweep --- */

int rows_values(struct rows *rows, int64_t sweep, const char *parameter, json_t **ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT swept -> ?2 AS v FROM job WHERE sweep = ?1 AND v IS NOT NULL GROUP BY v ORDER BY min(position)",
			   &q, err);
	if (r < 0)
		return r;
	json_t *list = json_array();
	stmt_bind_int(q, 1, sweep);
	stmt_bind_text(q, 2, parameter);
	while ((r = stmt_step(q, err)) == 1) {
		json_error_t ignored;
		json_t *value = json_loads(stmt_text(q, 0), JSON_DECODE_ANY, &ignored);
		json_array_append_new(list, value ? value : json_null());
	}
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

int rows_jobs_in(struct rows *rows, int64_t sweep, const char *state, const char *reason, json_t **ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT id FROM job WHERE sweep = ?1 AND state = ?2 AND (?3 IS NULL OR reason = ?3) ORDER BY id", &q,
			   err);
	if (r < 0)
		return r;
	json_t *list = json_array();
	stmt_bind_int(q, 1, sweep);
	stmt_bind_text(q, 2, state);
	stmt_bind_text(q, 3, reason);
	while ((r = stmt_step(q, err)) == 1)
		json_array_append_new(list, json_integer(stmt_int(q, 0)));
	if (r < 0)
		json_decref(list);
	else
		*ret = list;
	return r;
}

int rows_open_jobs(struct rows *rows, int64_t sweep, int64_t *ret_open, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT count(*) FROM job WHERE sweep = ?1 AND state IN ('queued', 'running', 'paused')", &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, sweep);
	r = stmt_step(q, err);
	if (r != 1)
		return r;
	*ret_open = stmt_int(q, 0);
	stmt_reset(q);
	return 0;
}

/* --- for offline files --- */

int rows_place(struct rows *rows, int64_t job, struct job_place *ret, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT j.sweep, j.position, coalesce(j.ended_ms, 0) FROM job AS j JOIN sweep AS s ON s.id = j.sweep "
			   "WHERE j.id = ?1 AND s.state = 'active'",
			   &q, err);
	if (r < 0)
		return r;
	stmt_bind_int(q, 1, job);
	r = stmt_step(q, err);
	if (r != 1)
		return r;
	*ret = (struct job_place){stmt_int(q, 0), stmt_int(q, 1), stmt_int(q, 2)};
	stmt_reset(q);
	return 1;
}

int rows_offline_due(struct rows *rows, void (*take)(void *arg, int64_t job), void *arg, struct err *err)
{
	struct stmt *q;
	int r = db_prepare(rows->db,
			   "SELECT j.id FROM job AS j JOIN sweep AS s ON s.id = j.sweep LEFT JOIN wandb_run AS w ON w.job = j.id "
			   "WHERE s.state = 'active' AND s.wandb ->> 'mode' = 'offline' AND j.use_wandb "
			   "AND j.ended_ms IS NOT NULL AND EXISTS (SELECT 1 FROM attempt AS a WHERE a.job = j.id) "
			   "AND coalesce(w.last_event, 0) < (SELECT max(id) FROM event WHERE job = j.id AND kind = 'state') "
			   "ORDER BY j.id",
			   &q, err);
	while (r == 0 && (r = stmt_step(q, err)) == 1) {
		take(arg, stmt_int(q, 0));
		r = 0;
	}
	return r;
}
