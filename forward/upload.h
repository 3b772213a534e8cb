/* The files of a run that ends: config.yaml, wandb-summary.json, wandb-metadata.json, learning curves.  Each is created at
 * W&B and put where it says, without the key: that place belongs to another server. */
#pragma once

#include "wsweep.h"

#define UPLOAD_FILES_MAX 8

struct upload_file {
	const char *name; /* static */
	char *bytes;	  /* owned */
	size_t size;
};
struct upload_files {
	struct upload_file items[UPLOAD_FILES_MAX];
	size_t n;
};
/* Takes bytes over; NULL: nothing is added. */
void upload_add(struct upload_files *files, const char *name, char *bytes, size_t size);
void upload_files_fini(struct upload_files *files);

struct upload;
enum upload_outcome {
	UPLOAD_DONE,
	UPLOAD_AGAIN,  /* later; wait_s says when */
	UPLOAD_PERSON, /* a key, a right */
	UPLOAD_REFUSED, /* the run ends without its files */
};
typedef void (*upload_done)(void *arg, enum upload_outcome outcome, double retry_after_s, const char *why);

/* Takes what files holds.  The right to send (net_take()) is the caller's to have taken.  done is called once, later. */
struct upload *upload_begin(struct follow *f, const struct wsweep_facts *ws, const char *run_id, struct upload_files *files,
			    upload_done done, void *arg);
void upload_free(struct upload *u); /* without a word; accepts NULL */
