/* Preloaded into sweepctl by test_17_pages.py: appends to the file $SQL_SPY what every statement cost, as
 * "S <steps of SQLite's machine> <SQL>", its plan, a line "P <step of the plan>" each, and the most memory that the program
 * held, "M <KiB>" (getrusage() would give that of the program that started it). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int finalize(sqlite3_stmt *statement)
{
	static int (*real)(sqlite3_stmt *);
	if (!real)
		real = (int (*)(sqlite3_stmt *))dlsym(RTLD_NEXT, "sqlite3_finalize");
	return real(statement);
}

static void print_plan(FILE *out, sqlite3 *db, const char *sql)
{
	char *explain = sqlite3_mprintf("EXPLAIN QUERY PLAN %s", sql);
	sqlite3_stmt *plan;
	if (sqlite3_prepare_v2(db, explain, -1, &plan, NULL) == SQLITE_OK) {
		while (sqlite3_step(plan) == SQLITE_ROW)
			fprintf(out, "P %s\n", (const char *)sqlite3_column_text(plan, 3));
		finalize(plan);
	}
	sqlite3_free(explain);
}

static void print_memory(FILE *out)
{
	char line[256];
	long kib;
	FILE *status = fopen("/proc/self/status", "re");
	while (status && fgets(line, sizeof(line), status))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			fprintf(out, "M %ld\n", kib);
	if (status)
		fclose(status);
}

int sqlite3_finalize(sqlite3_stmt *statement)
{
	FILE *out = statement ? fopen(getenv("SQL_SPY"), "ae") : NULL;
	if (out) {
		const char *sql = sqlite3_sql(statement);
		fprintf(out, "S %d %s\n", sqlite3_stmt_status(statement, SQLITE_STMTSTATUS_VM_STEP, 0), sql);
		if (strncmp(sql, "SELECT", 6) == 0)
			print_plan(out, sqlite3_db_handle(statement), sql);
		print_memory(out);
		fclose(out);
	}
	return finalize(statement);
}
