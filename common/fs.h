/* Files that appear whole or not at all, and small reads. */
#pragma once

#include "base.h"

#include <sys/types.h>

/* Writes a temporary file beside path, fsyncs it, renames it to path and fsyncs the directory (invariant 7). */
int fs_write_file(const char *path, const void *bytes, size_t size, mode_t mode, struct err *err);
/* The two halves for callers that write much: opens "PATH.tmp"; then commit (closes fd) or abandon. */
int fs_temp_open(const char *path, mode_t mode, int *ret_fd, struct err *err);
int fs_temp_commit(const char *path, int fd, struct err *err);
void fs_temp_abandon(const char *path, int fd);
/* Whole file, NUL-terminated; -EFBIG above max_bytes. */
int fs_read_file(const char *path, size_t max_bytes, char **ret, size_t *ret_size, struct err *err);
/* The same of a plain file alone: of a link or of what a read might wait for, -EINVAL. */
int fs_read_plain_file(const char *path, size_t max_bytes, char **ret, size_t *ret_size, struct err *err);
/* write() until all is out; retries EINTR. */
int fs_write_all(int fd, const void *bytes, size_t size);
/* mkdir -p. */
int fs_mkdirs(const char *path, mode_t mode, struct err *err);
bool fs_exists(const char *path);
