/* Reads a tar: ustar, and what GNU tar and pax add for long names.  Own code and not a library's: an archive of data is
 * plain files alone, so that most of what a full reader must bear (links, devices, sparse files, other formats) is
 * refused here, and the rest is small enough to be fuzzed (tests/fuzz/tar_fuzz.c).  Names are given out only when they
 * stay inside the directory that they are unpacked into. */
#pragma once

#include "common/base.h"

/* Up to size bytes; 0 at the end, negative with err filled.  May give less than asked for. */
typedef ssize_t (*tar_read)(void *arg, void *into, size_t size, struct err *err);

#define TAR_NAME_MAX 1024

enum tar_type { TAR_FILE, TAR_DIRECTORY };

struct tar_entry {
	char name[TAR_NAME_MAX]; /* relative, without "..", "./" in front taken off */
	enum tar_type type;
	int64_t bytes;
};

struct tar {
	tar_read read;
	void *arg;
	int64_t budget; /* bytes that may still be read: what is more is a bomb */
	int64_t left, padding; /* of the entry, unread */
};

/* budget: of the whole archive, inflated. */
void tar_init(struct tar *t, tar_read read, void *arg, int64_t budget);
/* 1: ret is the next entry; 0: the end.  -EBADMSG: no tar, a link, a device, a name that leads outside; -EFBIG: more than
 * the budget. */
int tar_next(struct tar *t, struct tar_entry *ret, struct err *err);
/* The next bytes of the entry: as many as asked for, less only at its end, 0 there. */
ssize_t tar_bytes(struct tar *t, void *into, size_t size, struct err *err);
