/* Protocol Buffers, the writing half, for the few messages of W&B's offline files: three wire types are all they use.
 * By hand, because protobuf-c would need W&B's schema files (not ours to ship), its compiler at build time and a
 * library at run time to save these lines.  Encoding: https://protobuf.dev/programming-guides/encoding/ */
#pragma once

#include "common/base.h"

struct proto { /* one message */
	uint8_t *bytes;
	size_t size, room;
};
void proto_fini(struct proto *p);
/* Empty again, the room is kept. */
void proto_clear(struct proto *p);
#define autoproto __attribute__((cleanup(proto_fini)))

/* A field that holds the default (0, "", NULL) is written too: whoever leaves it out does not call. */
void proto_int(struct proto *p, unsigned field, int64_t value); /* int32, int64, uint64, bool, enum */
void proto_double(struct proto *p, unsigned field, double value);
void proto_bytes(struct proto *p, unsigned field, const void *bytes, size_t size);
void proto_text(struct proto *p, unsigned field, const char *text);
void proto_message(struct proto *p, unsigned field, const struct proto *message);
