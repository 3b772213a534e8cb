/* The one page every other file relies on: the error rule, cleanup attributes and allocation.
 *
 * Error rule.  A function that can fail because of the outside world returns 0 (or a count) on success and a
 * negative errno on failure, and fills its last argument `struct err *` with the sentence a user will read: what
 * happened, to which file, key or job, what was expected, what to do.  `ret_` arguments stay untouched on failure.
 * Library code neither logs nor exits.  Running out of memory and broken invariants abort. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct err {
	char text[2048];
};

/* Fills err (which may be NULL) and returns code, so that `return err_set(err, -EINVAL, "...")` reads well. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with ": strerror(-code)" behind the sentence. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "prefix: " before what is there; for a caller that knows the file or job.  Returns code. */
int err_prefix(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Broken invariant: says which on stderr and aborts.  number: DESIGN's, or 0. */
void bug(const char *file, int line, const char *fmt, ...) __attribute__((noreturn, format(printf, 3, 4)));
#define BUG(...) bug(__FILE__, __LINE__, __VA_ARGS__)
#define INVARIANT(cond, ...)                   \
	do {                                   \
		if (!(cond))                   \
			BUG(__VA_ARGS__);      \
	} while (0)

/* Allocation that aborts when memory is gone. */
void *xmalloc(size_t size);
void *xcalloc(size_t n, size_t size);
void *xrealloc_array(void *p, size_t n, size_t size);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *fmt, va_list ap);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* Cleanup attributes: `autofree char *s`, `autoclose int fd = -1`, `autofile FILE *f`. */
void cleanup_free(void *p);
void cleanup_close(int *fd);
void cleanup_file(FILE **f);
#define autofree __attribute__((cleanup(cleanup_free)))
#define autoclose __attribute__((cleanup(cleanup_close)))
#define autofile __attribute__((cleanup(cleanup_file)))

/* Hands the value over and leaves the variable empty, so its cleanup does nothing. */
#define steal_ptr(p)                 \
	({                           \
		__typeof__(p) _s = (p); \
		(p) = NULL;          \
		_s;                  \
	})
static inline int steal_fd(int *fd)
{
	int r = *fd;
	*fd = -1;
	return r;
}

static inline bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}
/* The name that a mistyped word most likely means, or NULL: the same but for large letters; the only one that begins with
 * it; within a slip for each three letters, at most 3; the only one that holds it, where it has at least 4 letters. */
const char *nearest_name(const char *word, const char *const *names, size_t n);
struct synonym {
	const char *word, *name;
};
/* The same where other words for the names are known as well. */
const char *nearest_meaning(const char *word, const char *const *names, size_t n, const struct synonym *synonyms,
			    size_t n_synonyms);
