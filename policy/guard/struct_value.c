/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/struct_value.h"

#include <errno.h>

#include "policy/expression/expression_json.h"
#include "policy/guard/service.h"

/* -------------------------------------------------------------------------------- reading */

static int read_map(struct span message, struct arena *arena, unsigned depth, struct expression_value *ret);
static int read_list(struct span message, struct arena *arena, unsigned depth, struct expression_value *ret);

static int keep_text(struct span bytes, struct arena *arena, struct span *ret)
{
	for (size_t at = 0, len; at < bytes.len; at += len) {
		len = span_utf8_len(span_from(bytes, at));
		if (!len)
			return -EBADMSG;
	}
	*ret = arena_copy(arena, bytes);
	return ret->data ? 0 : -ENOMEM;
}

/* A double holds every whole number up to this. */
#define WHOLE_MOST 9007199254740992.0

static struct expression_value number_of(uint64_t bits)
{
	double number;

	memcpy(&number, &bits, sizeof(number));
	if (number >= -WHOLE_MOST && number <= WHOLE_MOST && number == (double)(int64_t)number)
		return expression_int((int64_t)number);
	return expression_double(number);
}

/* Value {null 1, number 2, text 3, bool 4, struct 5, list 6}: the last one counts. */
static int read_value(struct span message, struct arena *arena, unsigned depth, struct expression_value *ret)
{
	struct protobuf_field field;
	int result;

	*ret = (struct expression_value){ .type = EXPRESSION_NULL };
	while ((result = protobuf_next(&message, &field)) > 0) {
		result = 0;
		if (protobuf_is(&field, 1, PROTOBUF_VARINT)) {
			*ret = (struct expression_value){ .type = EXPRESSION_NULL };
		} else if (protobuf_is(&field, 2, PROTOBUF_I64)) {
			*ret = number_of(field.value);
		} else if (protobuf_is(&field, 3, PROTOBUF_LEN)) {
			*ret = (struct expression_value){ .type = EXPRESSION_TEXT };
			result = keep_text(field.bytes, arena, &ret->text);
		} else if (protobuf_is(&field, 4, PROTOBUF_VARINT)) {
			*ret = expression_bool(field.value != 0);
		} else if (protobuf_is(&field, 5, PROTOBUF_LEN)) {
			result = read_map(field.bytes, arena, depth + 1, ret);
		} else if (protobuf_is(&field, 6, PROTOBUF_LEN)) {
			result = read_list(field.bytes, arena, depth + 1, ret);
		}
		if (result < 0)
			return result;
	}
	return result;
}

/* ListValue {values 1} */
static int read_list(struct span message, struct arena *arena, unsigned depth, struct expression_value *ret)
{
	struct expression_value *items = arena_take(arena, service_count_fields(message) * sizeof(*items));
	struct protobuf_field field;
	uint32_t count = 0;
	int result;

	if (depth > STRUCT_VALUE_DEPTH)
		return -EBADMSG;
	if (!items)
		return -ENOMEM;
	while ((result = protobuf_next(&message, &field)) > 0) {
		result = protobuf_is(&field, 1, PROTOBUF_LEN)
				 ? read_value(field.bytes, arena, depth, &items[count++])
				 : 0;
		if (result < 0)
			return result;
	}
	*ret = (struct expression_value){ .type = EXPRESSION_LIST, .count = count, .items = items };
	return result;
}

/* An entry of a map {key 1, value 2}. */
static int read_member(struct span message, struct arena *arena, unsigned depth,
		       struct expression_member *ret)
{
	struct protobuf_field field;
	struct span value = { 0 };
	int result = keep_text(SPAN(""), arena, &ret->name);

	while (!result && (result = protobuf_next(&message, &field)) > 0) {
		result = protobuf_is(&field, 1, PROTOBUF_LEN) ? keep_text(field.bytes, arena, &ret->name) : 0;
		if (protobuf_is(&field, 2, PROTOBUF_LEN))
			value = field.bytes;
	}
	return result ? result : read_value(value, arena, depth, &ret->value);
}

/* Struct {fields 1} */
static int read_map(struct span message, struct arena *arena, unsigned depth, struct expression_value *ret)
{
	struct expression_member *members =
		arena_take(arena, service_count_fields(message) * sizeof(*members));
	struct protobuf_field field;
	uint32_t count = 0;
	int result;

	if (depth > STRUCT_VALUE_DEPTH)
		return -EBADMSG;
	if (!members)
		return -ENOMEM;
	while ((result = protobuf_next(&message, &field)) > 0) {
		result = protobuf_is(&field, 1, PROTOBUF_LEN)
				 ? read_member(field.bytes, arena, depth, &members[count++])
				 : 0;
		if (result < 0)
			return result;
	}
	if (!result)
		result = expression_sort(members, count);
	*ret = (struct expression_value){ .type = EXPRESSION_MAP, .count = count, .members = members };
	return result;
}

int struct_value_read(struct span message, struct arena *arena, struct expression_value *ret_map)
{
	return read_map(message, arena, 0, ret_map);
}

/* -------------------------------------------------------------------------------- writing */

static int write_map(const struct expression_value *map, struct arena *arena, unsigned depth,
		     struct protobuf_writer *out);

/* Empty as well: the member says that the value is a text. */
static int write_text(struct span text, struct arena *arena, struct protobuf_writer *out)
{
	struct span good = service_utf8(arena, text);

	if (!good.data)
		return -ENOMEM;
	protobuf_open(out, 3);
	protobuf_fields(out, good);
	protobuf_close(out);
	return 0;
}

/* A Value, into the message that is open. */
static int write_value(const struct expression_value *value, struct arena *arena, unsigned depth,
		       struct protobuf_writer *out)
{
	char shown[EXPRESSION_SCALAR_BYTES];
	int error = 0;

	switch (value->type) {
	case EXPRESSION_BOOL:
		protobuf_bool(out, 4, value->is_true);
		return 0;
	case EXPRESSION_INT:
		protobuf_double(out, 2, (double)value->whole);
		return 0;
	case EXPRESSION_DOUBLE:
		protobuf_double(out, 2, value->decimal);
		return 0;
	case EXPRESSION_TEXT:
		return write_text(value->text, arena, out);
	case EXPRESSION_DURATION:
	case EXPRESSION_TIME:
	case EXPRESSION_ADDRESS:
	case EXPRESSION_NETWORK:
		return write_text(span_of(shown, expression_scalar_text(*value, shown)), arena, out);
	case EXPRESSION_MAP:
		protobuf_open(out, 5);
		error = write_map(value, arena, depth + 1, out);
		protobuf_close(out);
		return error;
	case EXPRESSION_LIST:
		break;
	default:
		/* NullValue NULL_VALUE = 0 */
		protobuf_bool(out, 1, false);
		return 0;
	}
	if (depth == STRUCT_VALUE_DEPTH)
		return -E2BIG;
	protobuf_open(out, 6);
	for (uint32_t i = 0; i < value->count && !error; i++) {
		protobuf_open(out, 1);
		error = write_value(&value->items[i], arena, depth + 1, out);
		protobuf_close(out);
	}
	protobuf_close(out);
	return error;
}

static int write_map(const struct expression_value *map, struct arena *arena, unsigned depth,
		     struct protobuf_writer *out)
{
	int error = depth > STRUCT_VALUE_DEPTH ? -E2BIG : 0;

	for (uint32_t i = 0; i < map->count && !error; i++) {
		struct span name = service_utf8(arena, map->members[i].name);

		if (!name.data)
			return -ENOMEM;
		protobuf_open(out, 1);
		protobuf_bytes(out, 1, name);
		protobuf_open(out, 2);
		error = write_value(&map->members[i].value, arena, depth, out);
		protobuf_close(out);
		protobuf_close(out);
	}
	return error;
}

int struct_value_write(const struct expression_value *map, struct arena *arena, struct protobuf_writer *out)
{
	return write_map(map, arena, 0, out);
}
