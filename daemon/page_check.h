/* A large database is checked for damaged pages while the daemon serves already (reading all of it takes seconds), on a
 * connection of its own in the thread pool.  Damage ends the daemon: nothing more is written over it. */
#pragma once

#include "daemon.h"

/* Begins where store_open() left it out; else nothing happens. */
void page_check_start(struct daemon *d);
/* The daemon ends: does not wait for the rest. */
void page_check_end(struct daemon *d);
