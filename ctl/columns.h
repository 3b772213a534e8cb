/* Text on a terminal: how many columns it takes, and text of unknown origin made harmless.
 *
 * Columns are wcwidth()'s: a CJK letter or an emoji takes two, an accent that combines none.  columns_init() first. */
#pragma once

#include "common/base.h"

/* Takes the locale's character set; a locale without one (LANG=C) is read as UTF-8, as terminals do. */
void columns_init(void);
/* Length in bytes of the escape sequence "ESC [ ... letter" at text, or 0. */
size_t escape_size(const char *text, size_t size);
/* Bytes of the character at text (at least 1) and the columns it takes. */
size_t text_step(const char *text, size_t size, size_t *ret_columns);
/* Columns that text takes; escape sequences take none. */
size_t text_columns(const char *text, size_t size);
/* How many bytes of text fit into `room` columns; never a part of a character. */
size_t text_fit(const char *text, size_t room);
/* Of every absolute path in a sentence its last part: "../train.bin: ends after 3 of 4 bytes"; where `drop`, a path that
 * a colon follows is left out: "ends after 3 of 4 bytes".  Allocated. */
char *text_short_paths(const char *text, bool drop);
/* No stored text can drive the terminal: what is not UTF-8 or utf8_is_harmful() becomes '?'.  Allocated. */
char *text_clean(const char *text);
/* The same for text of several lines: newlines and tabs stay. */
char *text_clean_lines(const char *text);
