/* The container of a .wandb file: records in the layout of LevelDB's log, with W&B's head in front and W&B's checksum.
 *
 * Head: ":W&B", 0xBEE1 (little-endian), version 0.  Then blocks of 32 KiB counted from the file's first byte, the head
 * included; a record is cut into chunks that cross no block: CRC-32 (u32), length (u16), type (u8), bytes, all
 * little-endian.  The checksum is zlib's CRC-32 over type and bytes: not LevelDB's masked CRC-32C.  Where fewer than 7
 * bytes of a block are left they are zero.  Readers lose at most the last record of a file that was cut off. */
#pragma once

#include "common/base.h"

#define WLOG_BLOCK      32768
#define WLOG_CHUNK_HEAD 7

struct wlog {
	int fd;
	uint64_t offset; /* of the next byte */
	uint8_t *buf;    /* what is not yet written to fd */
	size_t used;
};

/* Takes an empty file's fd over; nothing is written before the buffer is full. */
void wlog_init(struct wlog *l, int fd);
/* -ENOSPC and others: errno of write(); the file is of no use then. */
int wlog_add(struct wlog *l, const void *record, size_t size);
/* Writes what is left and flushes it to the disk. */
int wlog_sync(struct wlog *l);
void wlog_fini(struct wlog *l); /* closes fd */
