/* The SQL of schema/, embedded at build by schema/embed.py. */
#pragma once

#include <stddef.h>

struct schema_query {
	const char *name, *sql;
};

extern const char *const schema_migrations[]; /* [i] brings version i to i + 1 */
extern const size_t n_schema_migrations;
extern const char *const schema_views;
extern const struct schema_query schema_queries[];
extern const size_t n_schema_queries;
extern const struct schema_query schema_checks[]; /* each row of each: a sentence about what must not be */
extern const size_t n_schema_checks;
