/* See proto.h. */
#include "proto.h"

enum { WIRE_VARINT = 0, WIRE_64BIT = 1, WIRE_BYTES = 2 };

void proto_fini(struct proto *p)
{
	free(p->bytes);
	*p = (struct proto){0};
}

void proto_clear(struct proto *p)
{
	p->size = 0;
}

static void append(struct proto *p, const void *bytes, size_t size)
{
	if (p->size + size > p->room) {
		p->room = MAX(p->room * 2, p->size + size + 64);
		p->bytes = xrealloc_array(p->bytes, p->room, 1);
	}
	if (size)
		memcpy(p->bytes + p->size, bytes, size);
	p->size += size;
}

static void varint(struct proto *p, uint64_t value)
{
	uint8_t bytes[10];
	size_t n = 0;
	do {
		bytes[n] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
		n++;
	} while (value);
	append(p, bytes, n);
}

static void tag(struct proto *p, unsigned field, unsigned wire)
{
	varint(p, (uint64_t)field << 3 | wire);
}

void proto_int(struct proto *p, unsigned field, int64_t value)
{
	tag(p, field, WIRE_VARINT);
	varint(p, (uint64_t)value);
}

void proto_double(struct proto *p, unsigned field, double value)
{
	uint64_t bits;
	uint8_t bytes[8];
	memcpy(&bits, &value, sizeof(bits));
	for (int i = 0; i < 8; i++)
		bytes[i] = (uint8_t)(bits >> (8 * i));
	tag(p, field, WIRE_64BIT);
	append(p, bytes, sizeof(bytes));
}

void proto_bytes(struct proto *p, unsigned field, const void *bytes, size_t size)
{
	tag(p, field, WIRE_BYTES);
	varint(p, size);
	append(p, bytes, size);
}

void proto_text(struct proto *p, unsigned field, const char *text)
{
	proto_bytes(p, field, text, strlen(text));
}

void proto_message(struct proto *p, unsigned field, const struct proto *message)
{
	proto_bytes(p, field, message->bytes, message->size);
}
