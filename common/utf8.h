/* Text of unknown origin, made safe to store, send and print. */
#pragma once

#include "base.h"

/* Length of the well-formed UTF-8 sequence at s (1 to 4), or 0: bad byte, cut short, surrogate, too long a form. */
size_t utf8_length(const char *s, size_t size);
/* The code point of a well-formed sequence of n bytes, 1 to 4. */
uint32_t utf8_code_point(const char *s, size_t n);
/* What may drive a terminal or reorder what stands beside it: control characters (C1 too), line separators, bidirectional
 * marks and overrides. */
bool utf8_is_harmful(uint32_t c);
/* Well-formed, and nothing in it is harmful. */
bool utf8_is_harmless(const char *s, size_t size);
/* In place: bytes that are not UTF-8, and control characters other than newline, become '?'; a tab becomes a space. */
void utf8_clean(char *s);
