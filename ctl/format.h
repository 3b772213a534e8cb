/* Numbers as a person reads them.  Every function fills buf (FORMAT_MAX bytes) and returns it; NaN gives "" where
 * nothing is said otherwise: what is not known is not shown. */
#pragma once

#include "common/base.h"

#include <jansson.h>

#define FORMAT_MAX 48

const char *format_accuracy(double percent, char *buf); /* "75.62" */
const char *format_minutes(double minutes, char *buf);  /* "31.84 min"; below 0.1 min "4.21 s" */
const char *format_minutes_bare(double minutes, char *buf); /* the same as a bare number: "31.84", "0.0702" */
const char *format_span(double seconds, char *buf);     /* "1 h 36 m", "4 m 11 s", "12 s"; NaN: "-" */
const char *format_short(double seconds, char *buf);    /* "1h59m", "43m", "7s" */
const char *format_bytes(double bytes, char *buf);      /* "1.9 MiB" */
const char *format_speed(double per_second, char *buf); /* "5598", "22.7", "0.61" */
const char *format_count(int64_t n, char *buf);         /* "99,900" */
const char *format_loss(double loss, char *buf);        /* "1.134" */
const char *format_clock(int64_t ms, char *buf);        /* local "15:15:42"; on another day "2026-11-24 15:15:42" */
const char *format_rfc3339(int64_t ms, char *buf);      /* local with offset, for JSON */
/* "[###-----]": `cells` between the brackets; allocated. */
char *format_bar(double fraction, int cells);
/* A parameter's value as a user writes it, made harmless: 0.1, StepLR, true; "-" for NULL.  Allocated. */
char *format_value(const json_t *value);
/* "job 5", "jobs 1-3,7": ids ascending; allocated. */
char *format_jobs(const int64_t *ids, size_t n);
/* path with the home directory as "~"; allocated. */
char *format_path(const char *path);
/* Upper case copy; allocated. */
char *format_upper(const char *text);
/* printf into a string that grows; *text may be NULL at first. */
void text_append(char **text, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
