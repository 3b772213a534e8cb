/* Manual pages, made from the tables that --help comes from: a program's page and its --help cannot disagree.  A
 * program prints its page itself (a hidden mode), and the build calls it.  Everything goes to stdout. */
#pragma once

#include <argp.h>

struct roff_entry { /* of a list: the thing, what it means */
	const char *name, *text;
};

/* ".TH" and ".SH NAME"; section: 1, 5 or 8. */
void roff_begin(const char *page, int section, const char *line);
/* ".SH TITLE" */
void roff_section(const char *title);
/* Text for a reader, all that roff would take for its own escaped; blank lines become paragraphs. */
void roff_text(const char *text);
/* The same without a newline at its end, for a place inside a line. */
void roff_inline(const char *text);
/* As it is, in a fixed font, indented. */
void roff_example(const char *text);
void roff_entry(const char *name, const char *text);
/* Rows up to one without a name. */
void roff_entries(const struct roff_entry *entries);
/* Every option that --help lists; a row without name and key is a heading. */
void roff_options(const struct argp_option *options);
/* "sweepd(8), sweepctl(1)": names with their sections in bold, as SEE ALSO has them; ends with NULL. */
void roff_see_also(const char *const *pages);
