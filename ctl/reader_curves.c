/* What a report needs beyond the rows of jobs: every epoch, the sweep's own text, all notes at once; see reader.h. */
#include "ctl/reader_internal.h"

int reader_epochs(struct reader *r, int64_t job, const char *metric, struct epoch_row **ret, size_t *ret_n,
		  struct err *err)
{
	struct epoch_row *rows = NULL;
	size_t n = 0;
	struct stmt *s;
	int e = query_of(r,
		      "SELECT epoch, lr, train_loss, train_accuracy, test_loss, test_accuracy, "
		      "train_seconds + coalesce(test_seconds, 0), images_per_second, watts, joules, (SELECT value FROM "
		      "metric AS m WHERE m.attempt = e.attempt AND m.epoch = e.epoch AND m.name = ?2) FROM counted_epoch AS e "
		      "WHERE job = ?1 ORDER BY epoch",
		      job, &s, err);

	if (e < 0)
		return e;
	if (s)
		stmt_bind_text(s, 2, metric);
	while ((e = step(s, err)) > 0) {
		rows = grow(rows, n, sizeof(*rows));
		rows[n++] = (struct epoch_row){
			.epoch = (int)stmt_int(s, 0),
			.lr = stmt_num(s, 1),
			.train_loss = stmt_num(s, 2),
			.train_accuracy = stmt_num(s, 3),
			.test_loss = stmt_num(s, 4),
			.test_accuracy = stmt_num(s, 5),
			.seconds = stmt_num(s, 6),
			.images_per_second = stmt_num(s, 7),
			.watts = stmt_num(s, 8),
			.joules = stmt_num(s, 9),
			.other = stmt_num(s, 10),
		};
	}
	if (e < 0) {
		free(rows);
		return e;
	}
	*ret = rows;
	*ret_n = n;
	return 0;
}

int reader_sweep_source(struct reader *r, int64_t sweep, struct sweep_source *ret, struct err *err)
{
	struct stmt *s;
	int e = query_of(r, "SELECT text, project, data_dir, overrides FROM sweep WHERE id = ?", sweep, &s, err);

	if (e < 0)
		return e;
	e = step(s, err);
	if (e > 0) {
		*ret = (struct sweep_source){copy(s, 0), copy(s, 1), copy(s, 2), copy_json(s, 3)};
		stmt_reset(s);
	}
	return e;
}

void sweep_source_fini(struct sweep_source *source)
{
	free(source->text);
	free(source->project);
	free(source->data_dir);
	json_decref(source->overrides);
}
