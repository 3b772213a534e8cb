/* The rows that reader.h hands out: their ends, and a search. */
#include "ctl/reader.h"

void sweep_rows_free(struct sweep_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].name);
		free(rows[i].metric);
		free(rows[i].note);
		json_decref(rows[i].swept);
	}
	free(rows);
}

void job_row_fini(struct job_row *row)
{
	json_decref(row->config);
	json_decref(row->swept);
	free(row->reason);
	free(row->device);
}

void job_rows_free(struct job_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		job_row_fini(&rows[i]);
	free(rows);
}

void attempt_rows_free(struct attempt_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].state);
		free(rows[i].device);
		free(rows[i].class);
		free(rows[i].reason);
		json_decref(rows[i].details);
	}
	free(rows);
}

void device_rows_free(struct device_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(rows[i].id);
		free(rows[i].name);
		free(rows[i].state);
		free(rows[i].reason);
	}
	free(rows);
}

const struct sweep_row *sweep_row_find(const struct sweep_row *rows, size_t n, int64_t id)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (rows[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && rows[low].id == id ? &rows[low] : NULL;
}
