/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"

/*
 * Messages in the encoding of Protocol Buffers (protobuf.dev, "Encoding"), field by field: for the few small
 * messages of helper services, without descriptions of whole files. Groups, which proto3 does not have, are
 * malformed.
 */
enum { PROTOBUF_DEPTH = 56 }; /* messages within each other that a writer makes */

enum protobuf_wire {
	PROTOBUF_VARINT = 0,
	PROTOBUF_I64 = 1,
	PROTOBUF_LEN = 2,
	PROTOBUF_I32 = 5,
};

/* ------------------------------------------------------------------------------------ reading */

struct protobuf_field {
	uint32_t number; /* 1..2^29-1 */
	enum protobuf_wire wire;
	uint64_t value; /* but of LEN */
	struct span bytes; /* of LEN: a text, bytes, or a message; borrowed */
};

/*
 * Takes the next field from *rest: 1; 0 at the end of the message; -EBADMSG if it is malformed. A field may
 * occur repeatedly: of one that is not repeated the last counts.
 */
int protobuf_next(struct span *rest, struct protobuf_field *ret);
/* True if the field has this number and wire type: others are skipped, as if they were unknown. */
static inline bool protobuf_is(const struct protobuf_field *field, uint32_t number, enum protobuf_wire wire)
{
	return field->number == number && field->wire == wire;
}

/* ------------------------------------------------------------------------------------ writing */

/* Appends to a buffer. The first error remains, and what was written before it is of no use. */
struct protobuf_writer {
	struct buf *out; /* borrowed */
	size_t most; /* bytes that the buffer may hold */
	int error; /* 0, -ENOMEM, -ENOBUFS */
	uint32_t depth;
	uint32_t start[PROTOBUF_DEPTH]; /* of the open messages, from the start of the content */
};

void protobuf_init(struct protobuf_writer *writer, struct buf *out, size_t most);
/* A message as field `number`: what follows belongs to it, until it is closed. */
void protobuf_open(struct protobuf_writer *writer, uint32_t number);
void protobuf_close(struct protobuf_writer *writer);
/* Left out if empty, as proto3 does; so is a number 0. */
void protobuf_bytes(struct protobuf_writer *writer, uint32_t number, struct span bytes);
void protobuf_number(struct protobuf_writer *writer, uint32_t number, uint64_t value);
/* Written also if it is 0: for a member of a oneof, which says by its presence which one is meant. */
void protobuf_double(struct protobuf_writer *writer, uint32_t number, double value);
void protobuf_bool(struct protobuf_writer *writer, uint32_t number, bool value);
/* An entry of a map of texts: {key 1, value 2}. */
void protobuf_entry(struct protobuf_writer *writer, uint32_t number, struct span key, struct span value);
/* Fields that were written before, as they are. */
void protobuf_fields(struct protobuf_writer *writer, struct span fields);
