/* Facts about this machine, for doctor. */
#pragma once

#include "common/base.h"

struct machine {
	char os[128], arch[80], cpu[128];
	int cores; /* that this process may use */
	double ram_bytes;
	const char *isa; /* "AVX-512", "AVX2", "SSE" */
	bool bf16;       /* AVX512-BF16 or AMX-BF16: oneDNN's bf16 is worth while */
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
/* First line that `program --version` prints; allocated, NULL when it prints none within 5 seconds. */
char *program_version(const char *program);
