/* Columns of text, two blanks apart.  On a terminal a table that is too wide moves together (one blank), shortens
 * free text ("waits for a de.."), loses columns of little weight (drop >= 3), shortens values, loses the other droppable
 * columns, and is cut at the right edge, each only as far as it must.  Where shortened values are too wide still, the columns
 * that may be folded become one ("lr=0.1 weight_decay=0.0005 .."), which leaves the others their room.  Without a terminal nothing is shortened, dropped or
 * cut: grep and awk get the whole text. */
#pragma once

#include "ctl/screen.h"

struct table;

struct table *table_new(void);
void table_free(struct table *t);
/* right: numbers.  drop: 0 = never dropped; else the highest goes first. */
void table_column(struct table *t, const char *title, bool right, int drop);
/* The last column may be shortened to so many columns of the terminal: a value, or free text, which gives way first. */
void table_shrink(struct table *t, size_t min);
void table_shrink_text(struct table *t, size_t min);
/* The last column is left out where every cell of the first rows is empty. */
void table_when_any(struct table *t);
/* The last column may be folded, as name=value, with its like into one of that title. */
void table_fold(struct table *t, const char *title, const char *name);
/* Cells are given row by row, as many as there are columns.  text is copied; NULL is an empty cell. */
void table_cell(struct table *t, const char *text);
void table_cell_tone(struct table *t, const char *text, enum tone tone);
/* A line of dashes under the titles. */
void table_rule(struct table *t);
/* Titles and rows.  Again after more rows: those alone, in the same columns (without a terminal wider where they must be), so
 * that a table of any length takes a bounded memory. */
void table_print(struct table *t, const struct screen *s, FILE *out);
/* The first cell of the first row whose free text was shortened, or NULL. */
const char *table_first_cut(const struct table *t);
/* So many rows are there that they should be printed before the next. */
bool table_is_due(const struct table *t);
