/* netrc files: `machine HOST login USER password PASSWORD`, in any layout, with "quoted" words, comments and macdef. */
#pragma once

#include "common/base.h"

/* The password of the first entry of host in a file's text, or NULL.  `default` does not count.  Allocated: wipe it. */
char *netrc_password(const char *text, const char *host);
/* The text with host's entries removed and, where password is given, one of it added at the end.  *ret_had: there was
 * one.  Allocated: wipe it. */
char *netrc_with(const char *text, const char *host, const char *password, bool *ret_had);
