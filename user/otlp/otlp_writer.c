/* SPDX-License-Identifier: Apache-2.0 */
#include "user/otlp/otlp_writer.h"

#include <string.h>

#include "user/base/limits.h"
#include "user/base/protobuf.h"

enum {
	WIRE_BITS = 3,
	VARINT_BYTES = 10,
	/* KeyValue and AnyValue of opentelemetry/proto/common/v1/common.proto */
	KEY = 1,
	VALUE = 2,
	TEXT_VALUE = 1,
	BOOL_VALUE = 2,
	INT_VALUE = 3,
	DOUBLE_VALUE = 4,
};

void otlp_init(struct otlp_writer *w, char *memory, size_t size)
{
	*w = (struct otlp_writer){ .data = memory, .size = size };
}

static size_t varint_len(uint64_t value)
{
	size_t len = 1;

	for (; value > 0x7f; value >>= 7)
		len++;
	return len;
}

static char *put_varint(char *at, uint64_t value)
{
	for (; value > 0x7f; value >>= 7)
		*at++ = (char)(value | 0x80);
	*at++ = (char)value;
	return at;
}

static char *put_tag(char *at, uint32_t number, enum protobuf_wire wire)
{
	return put_varint(at, (uint64_t)number << WIRE_BITS | wire);
}

static char *put_fixed(char *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++, value >>= 8)
		*at++ = (char)value;
	return at;
}

static size_t tag_len(uint32_t number)
{
	return varint_len((uint64_t)number << WIRE_BITS);
}

/* A field with `len` bytes: tag, length and content. */
static size_t field_len(uint32_t number, size_t len)
{
	return tag_len(number) + varint_len(len) + len;
}

static bool has_room(const struct otlp_writer *w, size_t len)
{
	return w->size - w->len >= len;
}

static bool is_ascii(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if ((unsigned char)text.data[i] > 0x7f)
			return false;
	return true;
}

static char *put_text(char *at, struct span text)
{
	if (is_ascii(text)) {
		if (text.len)
			memcpy(at, text.data, text.len);
		return at + text.len;
	}
	for (size_t i = 0; i < text.len;) {
		size_t len = span_utf8_len(span_from(text, i));

		if (len)
			memcpy(at, text.data + i, len);
		else
			*at = '!';
		at += len ? len : 1;
		i += len ? len : 1;
	}
	return at;
}

/* ------------------------------------------------------------------------------------ fields */

void otlp_bytes(struct otlp_writer *w, uint32_t number, const void *bytes, size_t len)
{
	char *at = w->data + w->len;

	if (!len || !has_room(w, field_len(number, len)))
		return;
	at = put_varint(put_tag(at, number, PROTOBUF_LEN), len);
	memcpy(at, bytes, len);
	w->len = (size_t)(at + len - w->data);
}

void otlp_text(struct otlp_writer *w, uint32_t number, struct span text)
{
	char *at = w->data + w->len;

	text = span_first(text, LIMIT_OTLP_VALUE_BYTES);
	if (!text.len || !has_room(w, field_len(number, text.len)))
		return;
	at = put_text(put_varint(put_tag(at, number, PROTOBUF_LEN), text.len), text);
	w->len = (size_t)(at - w->data);
}

void otlp_number(struct otlp_writer *w, uint32_t number, uint64_t value)
{
	char *at = w->data + w->len;

	if (has_room(w, OTLP_NUMBER_BYTES))
		w->len = (size_t)(put_varint(put_tag(at, number, PROTOBUF_VARINT), value) - w->data);
}

void otlp_fixed64(struct otlp_writer *w, uint32_t number, uint64_t value)
{
	char *at = w->data + w->len;

	if (has_room(w, VARINT_BYTES + 8))
		w->len = (size_t)(put_fixed(put_tag(at, number, PROTOBUF_I64), value, 8) - w->data);
}

void otlp_fixed32(struct otlp_writer *w, uint32_t number, uint32_t value)
{
	char *at = w->data + w->len;

	if (has_room(w, VARINT_BYTES + 4))
		w->len = (size_t)(put_fixed(put_tag(at, number, PROTOBUF_I32), value, 4) - w->data);
}

void otlp_id(struct otlp_writer *w, uint32_t number, const uint64_t *words, size_t count)
{
	char bytes[16];
	size_t len = 0;

	for (size_t i = 0; i < count && len < sizeof(bytes); i++)
		for (int shift = 56; shift >= 0; shift -= 8)
			bytes[len++] = (char)(words[i] >> shift);
	otlp_bytes(w, number, bytes, len);
}

/* ------------------------------------------------------------------------------------ attributes */

bool otlp_evaluate(const struct expression *expression, const struct expression_facts *facts,
		   struct expression_value *ret)
{
	struct span text;

	expression_scratch_init(facts->scratch);
	*ret = expression_evaluate(expression, facts);
	if (ret->type == EXPRESSION_BOOL || ret->type == EXPRESSION_INT || ret->type == EXPRESSION_DOUBLE)
		return true;
	expression_scratch_init(facts->scratch);
	if (expression_text(expression, facts, &text) < 0)
		return false;
	*ret = expression_span(text);
	return true;
}

static bool is_removed(const struct otlp_writer *w, struct span name)
{
	for (uint32_t i = 0; i < w->removed_count; i++)
		if (span_eq(w->removed_list[i], name))
			return true;
	return false;
}

/*
 * Tag, key, and the head of an AnyValue whose content has `len` bytes. NULL: the attribute is left out.
 */
static char *begin_attribute(struct otlp_writer *w, uint32_t number, struct span name, size_t len)
{
	size_t pair_len = field_len(KEY, name.len) + field_len(VALUE, len);
	char *at = w->data + w->len;

	if (is_removed(w, name))
		return NULL;
	if (!has_room(w, field_len(number, pair_len) + w->reserved)) {
		w->dropped++;
		return NULL;
	}
	at = put_varint(put_tag(at, number, PROTOBUF_LEN), pair_len);
	at = put_text(put_varint(put_tag(at, KEY, PROTOBUF_LEN), name.len), name);
	return put_varint(put_tag(at, VALUE, PROTOBUF_LEN), len);
}

static void end_attribute(struct otlp_writer *w, const char *at)
{
	w->len = (size_t)(at - w->data);
}

void otlp_text_attribute(struct otlp_writer *w, uint32_t number, struct span name, struct span value)
{
	char *at;

	value = span_first(value, LIMIT_OTLP_VALUE_BYTES);
	if (!value.len)
		return;
	at = begin_attribute(w, number, name, field_len(TEXT_VALUE, value.len));
	if (at)
		end_attribute(w,
			      put_text(put_varint(put_tag(at, TEXT_VALUE, PROTOBUF_LEN), value.len), value));
}

static void put_number(struct otlp_writer *w, uint32_t number, struct span name, uint32_t kind,
		       uint64_t value)
{
	char *at = begin_attribute(w, number, name, tag_len(kind) + varint_len(value));

	if (at)
		end_attribute(w, put_varint(put_tag(at, kind, PROTOBUF_VARINT), value));
}

void otlp_int_attribute(struct otlp_writer *w, uint32_t number, struct span name, int64_t value)
{
	put_number(w, number, name, INT_VALUE, (uint64_t)value);
}

static void put_double(struct otlp_writer *w, uint32_t number, struct span name, double value)
{
	char *at = begin_attribute(w, number, name, tag_len(DOUBLE_VALUE) + 8);
	uint64_t bits;

	memcpy(&bits, &value, sizeof(bits));
	if (at)
		end_attribute(w, put_fixed(put_tag(at, DOUBLE_VALUE, PROTOBUF_I64), bits, 8));
}

void otlp_value_attribute(struct otlp_writer *w, uint32_t number, struct span name,
			  const struct expression_value *value)
{
	switch (value->type) {
	case EXPRESSION_BOOL:
		put_number(w, number, name, BOOL_VALUE, value->is_true);
		return;
	case EXPRESSION_INT:
		otlp_int_attribute(w, number, name, value->whole);
		return;
	case EXPRESSION_DOUBLE:
		put_double(w, number, name, value->decimal);
		return;
	case EXPRESSION_TEXT:
		otlp_text_attribute(w, number, name, value->text);
		return;
	default:
		return;
	}
}
