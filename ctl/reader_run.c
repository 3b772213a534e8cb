/* A job's run at Weights & Biases; see reader.h. */
#include "ctl/reader_internal.h"

int reader_run(struct reader *r, int64_t job, struct run_row *ret, struct err *err)
{
	struct stmt *s;
	int e = query_of(r,
		      "SELECT w.url, w.phase, coalesce(w.problem, s.problem), w.last_epoch FROM job AS j "
		      "LEFT JOIN wandb_run AS w ON w.job = j.id LEFT JOIN wandb_sweep AS s ON s.sweep = j.sweep "
		      "WHERE j.id = ? AND j.use_wandb AND (w.job IS NOT NULL OR s.problem IS NOT NULL)",
		      job, &s, err);

	if (e < 0)
		return e;
	e = step(s, err);
	if (e != 1)
		return e;
	*ret = (struct run_row){
		.url = copy(s, 0),
		.phase = copy(s, 1),
		.problem = copy(s, 2),
		.last_epoch = stmt_int(s, 3),
	};
	stmt_reset(s);
	return 1;
}

void run_row_fini(struct run_row *row)
{
	free(row->url);
	free(row->phase);
	free(row->problem);
}
