/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/protobuf.h"

#include <errno.h>

#include "user/base/check.h"

enum {
	VARINT_BYTES = 10, /* most of one */
	WIRE_BITS = 3,
	NUMBER_MAX = (1 << 29) - 1,
};

/* ------------------------------------------------------------------------------------ reading */

static bool take_varint(struct span *rest, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < VARINT_BYTES && i < rest->len; i++) {
		uint8_t byte = (uint8_t)rest->data[i];

		/* Of the tenth byte only one bit is within 64; libraries differ about the others. */
		if (i == VARINT_BYTES - 1 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		*rest = span_from(*rest, i + 1);
		*ret = value;
		return true;
	}
	return false;
}

static bool take_fixed(struct span *rest, size_t bytes, uint64_t *ret)
{
	uint64_t value = 0;

	if (rest->len < bytes)
		return false;
	for (size_t i = bytes; i > 0; i--)
		value = value << 8 | (uint8_t)rest->data[i - 1];
	*rest = span_from(*rest, bytes);
	*ret = value;
	return true;
}

static bool take_bytes(struct span *rest, struct span *ret)
{
	uint64_t len;

	if (!take_varint(rest, &len) || len > rest->len)
		return false;
	*ret = span_first(*rest, (size_t)len);
	*rest = span_from(*rest, (size_t)len);
	return true;
}

static bool take_value(struct span *rest, unsigned wire, struct protobuf_field *ret)
{
	switch (wire) {
	case PROTOBUF_VARINT:
		return take_varint(rest, &ret->value);
	case PROTOBUF_I64:
		return take_fixed(rest, 8, &ret->value);
	case PROTOBUF_LEN:
		return take_bytes(rest, &ret->bytes);
	case PROTOBUF_I32:
		return take_fixed(rest, 4, &ret->value);
	default:
		return false;
	}
}

int protobuf_next(struct span *rest, struct protobuf_field *ret)
{
	struct protobuf_field field = { 0 };
	uint64_t tag;

	if (rest->len == 0)
		return 0;
	if (!take_varint(rest, &tag) || tag >> WIRE_BITS == 0 || tag >> WIRE_BITS > NUMBER_MAX)
		return -EBADMSG;
	field.number = (uint32_t)(tag >> WIRE_BITS);
	field.wire = (enum protobuf_wire)(tag & ((1u << WIRE_BITS) - 1));
	if (!take_value(rest, field.wire, &field))
		return -EBADMSG;
	*ret = field;
	return 1;
}

/* ------------------------------------------------------------------------------------ writing */

static size_t put_varint(char out[VARINT_BYTES], uint64_t value)
{
	size_t len = 0;

	do {
		out[len++] = (char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
		value >>= 7;
	} while (value);
	return len;
}

static void append(struct protobuf_writer *writer, struct span bytes)
{
	if (!writer->error)
		writer->error = buf_append(writer->out, bytes, writer->most);
}

static void append_varint(struct protobuf_writer *writer, uint64_t value)
{
	char bytes[VARINT_BYTES];

	append(writer, span_of(bytes, put_varint(bytes, value)));
}

static void append_tag(struct protobuf_writer *writer, uint32_t number, enum protobuf_wire wire)
{
	append_varint(writer, (uint64_t)number << WIRE_BITS | wire);
}

void protobuf_init(struct protobuf_writer *writer, struct buf *out, size_t most)
{
	*writer = (struct protobuf_writer){ .out = out, .most = most };
}

void protobuf_open(struct protobuf_writer *writer, uint32_t number)
{
	CHECK(writer->depth < PROTOBUF_DEPTH);
	append_tag(writer, number, PROTOBUF_LEN);
	writer->start[writer->depth++] = (uint32_t)buf_len(writer->out);
}

/* The length stands in front of the message, and its own length depends on it: the message moves. */
void protobuf_close(struct protobuf_writer *writer)
{
	char head[VARINT_BYTES];
	uint32_t start;
	size_t len, head_len;
	char *at;

	CHECK(writer->depth > 0);
	start = writer->start[--writer->depth];
	if (writer->error)
		return;
	len = buf_len(writer->out) - start;
	head_len = put_varint(head, len);
	append(writer, span_of(head, head_len));
	if (writer->error)
		return;
	at = buf_tail(writer->out) - head_len - len;
	memmove(at + head_len, at, len);
	memcpy(at, head, head_len);
}

void protobuf_bytes(struct protobuf_writer *writer, uint32_t number, struct span bytes)
{
	if (bytes.len == 0)
		return;
	append_tag(writer, number, PROTOBUF_LEN);
	append_varint(writer, bytes.len);
	append(writer, bytes);
}

void protobuf_number(struct protobuf_writer *writer, uint32_t number, uint64_t value)
{
	if (value == 0)
		return;
	append_tag(writer, number, PROTOBUF_VARINT);
	append_varint(writer, value);
}

void protobuf_double(struct protobuf_writer *writer, uint32_t number, double value)
{
	char bytes[sizeof(value)];
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(bits >> (8 * i));
	append_tag(writer, number, PROTOBUF_I64);
	append(writer, span_of(bytes, sizeof(bytes)));
}

void protobuf_bool(struct protobuf_writer *writer, uint32_t number, bool value)
{
	append_tag(writer, number, PROTOBUF_VARINT);
	append_varint(writer, value);
}

void protobuf_entry(struct protobuf_writer *writer, uint32_t number, struct span key, struct span value)
{
	protobuf_open(writer, number);
	protobuf_bytes(writer, 1, key);
	protobuf_bytes(writer, 2, value);
	protobuf_close(writer);
}

void protobuf_fields(struct protobuf_writer *writer, struct span fields)
{
	append(writer, fields);
}
