/* One address into one file, over HTTP(S) or from a local file (file://, a path).
 *
 * The file is a partial one, PART: a download that broke off goes on where it stopped, in this run or in the next, if the
 * server still has the same file (If-Range with its ETag or date, kept in PART.json with the address); else it begins
 * anew.  What came is whole in length only, and not flushed: checksums and fsync are the caller's. */
#pragma once

#include "progress.h"

#include <signal.h>

struct download_options {
	int timeout_s;	      /* a server that sends nothing for so long is given up; > 0 */
	int retries;	      /* in a row without a byte, of one address */
	double retry_delay_s; /* before the first; doubles */
	bool https_only;      /* nothing else vouches for the bytes */
	struct progress *progress;
};

struct download {
	const char *url, *name, *part;
	int64_t bytes; /* that it must have; 0: not known */
	int64_t limit; /* more is refused */
	int64_t expected; /* for the progress; 0: what the server says */
	char sha256[65]; /* out: of Hugging Face's X-Linked-ETag; "": the server does not say */
	bool resumed;	 /* out: bytes of an earlier request were kept */
};

/* Ctrl-C and SIGTERM set it: what waits ends with -EINTR. */
extern volatile sig_atomic_t download_interrupted;

/* 0: PART is there, in full.  Errors have their "do this:" line; -EBADMSG: another file than expected, or the server
 * answers nonsense; -EINTR: interrupted, PART stays. */
int download(struct download *d, const struct download_options *o, struct err *err);
/* Removes PART and PART.json. */
void download_forget(const char *part);
/* url without user, password and query; allocated. */
char *url_shown(const char *url);
/* A path on this machine: "/...", "./...", "file://..."; allocated, NULL when it is none. */
char *url_path(const char *url);
