/* The API key of W&B: where it is found, and that it stays there.
 *
 * Places, in this order; the first that has one counts, and one that has a bad one is an error:
 *
 *   1. $WANDB_API_KEY
 *   2. systemd's credential: $CREDENTIALS_DIRECTORY/wandb_api_key
 *   3. WANDB_API_KEY in a .env beside the sweep file, or in a directory above it (common/dotenv.h)
 *   4. what `sweepctl wandb login` stored: CONFIG/wandb.netrc, 0600, a key for each server
 *   5. $NETRC, else ~/.netrc: `machine HOST login user password KEY`, as `wandb login` writes it
 *
 * A key goes to one server: 4 and 5 name its host; 1 and 2 belong to who runs sweep-forward and go to that program's
 * own server ($WANDB_BASE_URL), to another only for sweeps of the same user: else whoever may submit could have the
 * service's key sent to a server of theirs.
 *
 * No text given out here holds the key: not a source, not an error, not a warning.  key_guard() keeps it out of core
 * dumps and out of other processes' sight. */
#pragma once

#include "common/base.h"

#include <sys/types.h>

struct wandb_key_places {
	const char *base_url; /* of the sweep: the key is for its host */
	const char *file_dir; /* sweep.file_dir, or NULL */
	const char *config;   /* directory of the stored keys; key_config_dir() */
	uid_t owner;          /* of the sweep */
};

struct wandb_key {
	char *key;
	char *source;  /* for people: "WANDB_API_KEY", "/home/me/cifar/.env", ...  */
	char *warning; /* NULL, or a sentence: "/home/me/cifar/.env can be read by others; do this: chmod 600 ..." */
};

/* -ENOKEY: none; err names every place that was looked at.  -EINVAL: one is there that cannot be a key.  Others: a file
 * that should be read cannot be, and no other place has one. */
int wandb_key_find(const struct wandb_key_places *places, struct wandb_key *ret, struct err *err);
/* Wipes it. */
void wandb_key_fini(struct wandb_key *key);

/* At least 40 of letters, digits, - and _, perhaps behind PREFIX-; or a JSON Web Token of three parts.  The sentence
 * says what is wrong (length, a character that is not allowed), never what it is. */
int wandb_key_check(const char *key, struct err *err);

/* ${XDG_CONFIG_HOME:-~/.config}/sweepd; with a directory of its own ($SWEEPD_DIR, --dir) that one.  Allocated. */
char *key_config_dir(const char *dir);
/* Stores key for the host of base_url, beside those of other servers; NULL removes it (-ENOENT: there is none).
 * ret_path: the file; allocated. */
int wandb_key_store(const char *config, const char *base_url, const char *key, char **ret_path, struct err *err);

/* This server's own base URL: $WANDB_BASE_URL, else W&B's.  -EINVAL: the variable is not one. */
int wandb_own_base_url(const char **ret, struct err *err);
/* No core dump, no ptrace, no /proc/PID/mem or environ for others of the same user.  First thing in main(). */
void key_guard(void);
