/* Text of unknown origin, made safe to store, send and print. */
#pragma once

#include "base.h"

/* Length of the well-formed UTF-8 sequence at s (1 to 4), or 0: bad byte, cut short, surrogate, too long a form. */
size_t utf8_length(const char *s, size_t size);
/* In place: bytes that are not UTF-8, and control characters other than newline, become '?'; a tab becomes a space. */
void utf8_clean(char *s);
