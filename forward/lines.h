/* From committed rows to what Weights & Biases stores.  Pure: the same row always gives the same bytes, so that a line
 * may be sent again at its offset after any crash.  Used online (filestream.h) and for offline files.
 *
 * A row is an `event` of the store: its kind, at_ms and detail (JSON).  A line is a list of keys and JSON values; numbers
 * print shortest round-trip; what is not finite prints as NaN, Infinity, -Infinity (W&B's extended JSON, inside a line
 * alone).  Keys are the store's own (train_loss, test_accuracy, ...: the sweep's metric stays a plain top-level number)
 * plus `_step` (epochs finished), `_runtime` (seconds since the job's first attempt began, at least 0) and `_timestamp`
 * (Unix seconds), both from the row's at_ms.
 *
 * Where a job keeps samples of training steps (log_steps), each is a row too, under the names that W&B's users know from
 * other trainers: train/global_step, train/loss, train/learning_rate, train/grad_norm.  `_step` then counts the rows, as it
 * does where a program logs without saying a step; an epoch's row has train/global_step beside epoch. */
#pragma once

#include "common/base.h"

#include <jansson.h>

struct line_item {
	char *key;
	char *value; /* JSON text, or NaN, Infinity, -Infinity */
};
struct line {
	struct line_item *items;
	size_t n;
};
void line_fini(struct line *l); /* leaves it empty */
#define autoline __attribute__((cleanup(line_fini)))
/* "{"key":value,...}"; allocated. */
char *line_text(const struct line *l);
void line_add_num(struct line *l, const char *key, double value); /* finite or not; 200 prints as 200 */
void line_add_int(struct line *l, const char *key, int64_t value);

/* What a line must know of its job beside the row. */
struct line_job {
	int64_t started_ms; /* of its first attempt */
	int64_t epochs;	    /* asked for; 0: not known */
	int64_t log_every;  /* an epoch in so many is a row of the history, the last one always */
	const char *metric; /* the sweep's, or NULL */
	bool maximize;
	bool samples; /* training steps are rows too */
};

struct step_sample { /* of a training step */
	int64_t step;
	double train_loss, lr, grad_norm;
	bool clipped; /* grad_norm is known; it may be not finite */
};

/* Whether that epoch is a row of the history: an epoch in log_every, and the last one that was asked for.  (The last one
 * of a job that ends early becomes a row at the job's end.) */
bool line_epoch_is_due(const struct line_job *job, int64_t epoch);
/* History row of an `epoch` event: every number, text and truth value of detail under its own name.  false: detail is
 * none. */
bool line_of_epoch(struct line *ret, const struct line_job *job, int64_t at_ms, const json_t *detail);
/* History row of a sample. */
void line_of_step(struct line *ret, const struct line_job *job, int64_t at_ms, const struct step_sample *sample);
/* `_step` = number, from 0 on, of a run with samples; else it stays. */
void line_number(struct line *l, const struct line_job *job, int64_t number);
/* A `metric` event goes into the row of the epoch that comes after it (two rows of one _step would be one too many).  A
 * name that is reserved, or there already, becomes metric/NAME. */
void line_add_metric(struct line *l, const char *name, double value);
/* Events row of a `telemetry` event: system.KEY under W&B's names and units where it has the thing (cpu,
 * proc.memory.rssMB, gpu.0.gpu, gpu.0.temp, ...), under our own otherwise. */
bool line_of_telemetry(struct line *ret, const struct line_job *job, int64_t at_ms, const json_t *detail);

struct line_best {
	int64_t epoch; /* 0: none */
	double value;
};
/* The value of the sweep's metric in an epoch's detail, if it is better, becomes the best. */
void line_best_take(struct line_best *best, const struct line_job *job, const json_t *detail);
/* Summary after that epoch: its row, `_wandb` {"runtime": whole seconds}, and of the sweep's metric best_NAME and
 * best_epoch where one is finite. */
bool line_of_summary(struct line *ret, const struct line_job *job, int64_t at_ms, const json_t *detail,
		     const struct line_best *best);

/* Console line: text without its newline, cleaned of bytes that are not UTF-8; at most LINE_CONSOLE_MAX bytes, the rest
 * is cut with " ...".  A leading "YYYY-MM-DD HH:MM:SS " (the job log's local time) becomes W&B's "YYYY-MM-DDTHH:MM:SS.000000 ".
 * Allocated. */
#define LINE_CONSOLE_MAX (64 * 1024)
char *line_of_console(const char *text, size_t size);

/* The run's configuration as W&B wants it: {"lr": {"value": 0.1}, ..., "_wandb": {"value": {...}}}.  New reference.
 * `_wandb.t` must be there: a run without it counts as never started.  `m` makes epoch the x axis of the metrics, and
 * train/global_step that of a run's samples. */
json_t *line_config(const json_t *config, const json_t *metadata);
/* wandb-metadata.json: of the machine and the attempt (the worker's `started`, may be NULL).  New reference. */
struct line_machine {
	const char *os, *host;
	int cores;
	int64_t ram_bytes;
};
json_t *line_metadata(const struct line_machine *machine, int64_t started_ms, const json_t *started);
/* W&B's id of a run, or (position < 0) the nonce that names a sweep there: the same for the same sweep and position, and
 * no other's. */
struct line_identity {
	const char *hash, *submission; /* of the sweep; submission may be NULL */
	int64_t sweep, submitted_ms, owner;
};
#define WANDB_ID_SIZE 13
void line_run_id(char ret[WANDB_ID_SIZE], const struct line_identity *sweep, int64_t position);
/* Exit code that W&B is told for a job's final state: 0 finished, others failed. */
int line_exit_code(const char *job_state);
