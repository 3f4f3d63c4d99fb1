/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/service.h"

#include <errno.h>

#include "policy/headers.h"
#include "user/base/char_class.h"
#include "user/base/protobuf.h"

/* 1 if the form counts, 0 if not, -E2BIG, or -ENOMEM. */
static int test_condition(const struct policy_condition *condition, const struct guard_facts *facts)
{
	const struct expression_facts *values;
	int error;

	if (!condition->expression)
		return 1;
	error = facts->facts(facts->context, condition->expression->needs, &values);
	if (error)
		return error;
	switch (expression_test(condition->expression, values)) {
	case EXPRESSION_IS_TRUE:
		return 1;
	case EXPRESSION_IS_FALSE:
		return 0;
	case EXPRESSION_GAVE_UP:
		break;
	}
	return -E2BIG;
}

int service_choose(const void *list, size_t form_bytes, uint32_t count, const struct guard_facts *facts,
		   const void **ret_form)
{
	for (uint32_t i = 0; i < count; i++) {
		const void *form = (const char *)list + i * form_bytes;
		int holds = test_condition(form, facts);

		*ret_form = form;
		if (holds)
			return holds;
	}
	return 0;
}

int service_text(const struct expression *expression, const struct guard_facts *facts, struct arena *arena,
		 struct span *ret_text)
{
	const struct expression_facts *values;
	struct span text;
	int error = facts->facts(facts->context, expression->needs, &values);

	if (!error)
		error = expression_text(expression, values, &text);
	if (error)
		return error;
	*ret_text = arena_copy(arena, text);
	return ret_text->data ? 0 : -ENOMEM;
}

int service_refuse_length(struct guard_answer *answer)
{
	answer->status = 400;
	answer->body = SPAN("too long to be evaluated");
	answer->reason = END_MATCH_GAVE_UP;
	return GUARD_REFUSE;
}

int service_refuse_request(struct guard_answer *answer, int error)
{
	switch (error) {
	case -E2BIG:
	case -ENOBUFS:
	case -EINVAL:
		return service_refuse_length(answer);
	case -EBADMSG:
		answer->status = 400;
		answer->body = SPAN("the request cannot be transformed");
		answer->why = SPAN("`replace` of the transformations of the service gives no map");
		return GUARD_REFUSE;
	default:
		return 0;
	}
}

struct header_modifier *service_changes(struct arena *arena, uint32_t most)
{
	struct header_modifier *changes = arena_take(arena, sizeof(*changes));

	if (!changes || !most)
		return changes;
	changes->set_list = arena_take(arena, most * sizeof(*changes->set_list));
	changes->remove_list = arena_take(arena, most * sizeof(*changes->remove_list));
	return changes->set_list && changes->remove_list ? changes : NULL;
}

void service_set(struct header_modifier *changes, struct span name, struct span value)
{
	changes->set_list[changes->set_count++] = (struct header_pair){ name, value };
}

void service_remove(struct header_modifier *changes, struct span name)
{
	changes->remove_list[changes->remove_count++] = name;
}

int service_take_header(struct header_modifier *changes, struct arena *arena, struct span name,
			struct span value)
{
	struct span own_name, own_value;

	if (!headers_may_modify(name))
		return -EBADMSG;
	own_name = service_lower(arena, name);
	own_value = arena_copy(arena, value);
	if (!own_name.data || !own_value.data)
		return -ENOMEM;
	service_set(changes, own_name, own_value);
	return 0;
}

static struct span separator_of(struct span name)
{
	return span_eq_nocase(name, SPAN("cookie")) ? SPAN("; ") : SPAN(",");
}

static char *put(char *at, struct span text)
{
	if (text.len)
		memcpy(at, text.data, text.len);
	return at + text.len;
}

struct span service_values(const struct fields *fields, struct span name, struct arena *arena, int *ret_error)
{
	struct span separator = separator_of(name);
	size_t len = 0, count = 0;
	char *bytes, *at;

	for (uint32_t i = 0; i < fields->count; i++) {
		if (!span_eq_nocase(fields->list[i].name, name))
			continue;
		len += fields->list[i].value.len;
		count++;
	}
	if (!count)
		return (struct span){ 0 };
	len += (count - 1) * separator.len;
	bytes = at = arena_bytes(arena, len + 1);
	if (!bytes) {
		*ret_error = -ENOMEM;
		return (struct span){ 0 };
	}
	for (uint32_t i = 0; i < fields->count; i++) {
		if (!span_eq_nocase(fields->list[i].name, name))
			continue;
		if (at != bytes)
			at = put(at, separator);
		at = put(at, fields->list[i].value);
	}
	/* An empty first value has no separator behind it. */
	return span_of(bytes, (size_t)(at - bytes));
}

struct span service_lower(struct arena *arena, struct span name)
{
	char *bytes = arena_bytes(arena, name.len + 1);

	if (!bytes)
		return (struct span){ 0 };
	span_lower(name, bytes);
	return span_of(bytes, name.len);
}

/* The length of a beginning that is UTF-8, at least one character if there is one. */
static size_t utf8_step(struct span text)
{
	uint64_t eight;

	if (text.len < sizeof(eight))
		return span_utf8_len(text);
	memcpy(&eight, text.data, sizeof(eight));
	return eight & UINT64_C(0x8080808080808080) ? span_utf8_len(text) : sizeof(eight);
}

void service_make_utf8(char *bytes, size_t len)
{
	for (size_t at = 0, good; at < len; at += good ? good : 1) {
		good = utf8_step(span_of(bytes + at, len - at));
		if (!good)
			bytes[at] = '!';
	}
}

struct span service_utf8(struct arena *arena, struct span text)
{
	size_t good = 0;
	char *bytes;

	for (size_t len; good < text.len && (len = utf8_step(span_from(text, good))) > 0;)
		good += len;
	if (good >= text.len)
		return text.data ? text : SPAN("");
	bytes = arena_bytes(arena, text.len + 1);
	if (!bytes)
		return (struct span){ 0 };
	memcpy(bytes, text.data, text.len);
	service_make_utf8(bytes + good, text.len - good);
	return span_of(bytes, text.len);
}

struct span service_join(struct arena *arena, const struct span *parts, size_t count)
{
	size_t len = 0;
	char *bytes, *at;

	for (size_t i = 0; i < count; i++)
		len += parts[i].len;
	bytes = at = arena_bytes(arena, len + 1);
	if (!bytes)
		return (struct span){ 0 };
	for (size_t i = 0; i < count; i++)
		at = put(at, parts[i]);
	return span_of(bytes, len);
}

int service_answer_field(struct guard_answer *answer, struct span name, struct span value)
{
	struct arena *arena = answer->fields.arena;
	struct span own_name, own_value;

	if (!headers_may_modify(name))
		return 0;
	own_name = service_lower(arena, name);
	own_value = arena_copy(arena, value);
	if (!own_name.data || !own_value.data)
		return -ENOMEM;
	/* Each is a field of its own (RFC 6265 3). */
	return field_id_of(name) == FIELD_SET_COOKIE ? fields_add(&answer->fields, own_name, own_value)
						     : fields_set(&answer->fields, own_name, own_value);
}

/* HeaderValue {key 1, value 2, raw_value 3} */
int service_read_header(struct span message, struct span *ret_name, struct span *ret_value)
{
	struct protobuf_field field;
	int result;

	*ret_name = *ret_value = (struct span){ 0 };
	while ((result = protobuf_next(&message, &field)) > 0) {
		if (protobuf_is(&field, 1, PROTOBUF_LEN))
			*ret_name = field.bytes;
		else if ((protobuf_is(&field, 2, PROTOBUF_LEN) || protobuf_is(&field, 3, PROTOBUF_LEN)) &&
			 field.bytes.len)
			*ret_value = field.bytes;
	}
	if (result == 0 && (!char_class_is_token(*ret_name) || !char_class_is_text(*ret_value)))
		return -EBADMSG;
	return result;
}

uint32_t service_count_fields(struct span message)
{
	struct protobuf_field field;
	uint32_t count = 0;

	while (protobuf_next(&message, &field) > 0)
		count++;
	return count;
}
