/* Columns of text, two blanks apart.  On a terminal a table that is too wide first moves together (one blank), then
 * loses its droppable columns, then is cut at the right edge; without a terminal nothing is dropped or cut. */
#pragma once

#include "ctl/screen.h"

struct table;

struct table *table_new(void);
void table_free(struct table *t);
/* right: numbers.  drop: 0 = never dropped; else the highest goes first. */
void table_column(struct table *t, const char *title, bool right, int drop);
/* Cells are given row by row, as many as there are columns.  text is copied; NULL is an empty cell. */
void table_cell(struct table *t, const char *text);
void table_cell_tone(struct table *t, const char *text, enum tone tone);
/* A line of dashes under the titles. */
void table_rule(struct table *t);
void table_print(const struct table *t, const struct screen *s, FILE *out);
