/* Facts about this machine, for doctor. */
#pragma once

#include "common/base.h"

struct machine {
	char os[128], arch[80], cpu[128];
	int cores; /* that this process may use */
	double ram_bytes;
	const char *isa; /* "AVX-512", "AVX2", "SSE" */
};
void machine_read(struct machine *m);

struct file_system {
	const char *name; /* "ext4"; "file system 0x..." in hex where unknown */
	bool network;     /* SQLite's write-ahead log needs shared memory: not there */
	double free_bytes;
	char unknown[32];
};
/* Of path or, where it does not exist yet, of the nearest directory above it. */
int file_system_read(struct file_system *fs, const char *path, struct err *err);
/* Nearest existing ancestor can be written by this user. */
bool can_create(const char *path);
/* What the program (an absolute path first) writes to stdout; allocated.  NULL: nothing, it failed, or took 10 seconds.
 */
char *program_output(char *const argv[]);
/* Value behind KEY and any of ":= \t\"" on its line of a small text file; "" when it is not there. */
void read_value(const char *path, const char *key, char *buf, size_t size);
