/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/transform.h"

#include <errno.h>

#include "policy/expression/expression_json.h"
#include "policy/headers.h"
#include "user/base/char_class.h"
#include "user/base/check.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/http/target.h"

bool transform_may_change(struct span name, bool is_response)
{
	if (name.len && name.data[0] == ':')
		return is_response ? span_eq(name, SPAN(":status"))
				   : span_eq(name, SPAN(":method")) || span_eq(name, SPAN(":path")) ||
					     span_eq(name, SPAN(":authority"));
	return headers_may_modify(name);
}

/* -------------------------------------------------------------------------------- bodies */

bool transform_reads_body(const struct transform_side *side)
{
	return side->body || side->needs & (EXPRESSION_NEEDS_BODY | EXPRESSION_NEEDS_JSON);
}

/* RFC 9110 8.4; RFC 9530; what it replaces. An ETag names the resource, not the bytes of one transfer. */
void transform_forget_body(struct fields *fields)
{
	static const struct span names[] = { { "content-encoding", 16 }, { "content-digest", 14 },
					     { "repr-digest", 11 },	 { "digest", 6 },
					     { "content-md5", 11 },	 { "content-range", 13 },
					     { "accept-ranges", 13 } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		fields_remove(fields, names[i]);
}

/* -------------------------------------------------------------------------------- values */

/* What one evaluation needs. */
struct transform_run {
	const struct expression_facts *facts;
	struct arena *arena;
	struct transform_count *count;
};

/* A client may have chosen the bytes: they must not end the field (RFC 9110 5.5). */
static bool is_field_value(struct span value)
{
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.data[i] < ' ' && value.data[i] != '\t') || value.data[i] == 0x7f)
			return false;
	return true;
}

/* 0; -ENODATA: no value that a field can have; -E2BIG; -ENOMEM. */
static int value_of(const struct transform_run *run, const struct expression *expression, struct span *ret)
{
	struct span text = { 0 };
	int result;

	expression_scratch_init(run->facts->scratch);
	result = expression_text(expression, run->facts, &text);
	if (result < 0)
		return result;
	text = span_trim(text);
	if (!is_field_value(text))
		return -ENODATA;
	/* The scratch memory is used again. */
	*ret = arena_copy(run->arena, text);
	return ret->data ? 0 : -ENOMEM;
}

static void count_result(const struct transform_run *run, bool is_changed)
{
	run->count->changed += is_changed;
	run->count->failed += !is_changed;
}

/* -------------------------------------------------------------------------------- fields */

static bool is_unlike(const struct field *field, void *context)
{
	const struct span *name = context;

	return !field_names_are_alike(field->name, *name);
}

static bool is_no_twin(const struct field *field, void *context)
{
	const struct span *name = context;

	return !field_names_are_alike(field->name, *name) || span_eq_nocase(field->name, *name);
}

static int change_field(const struct transform_run *run, struct span name,
			const struct expression *expression, bool adds, struct fields *fields)
{
	struct span value;
	int result = value_of(run, expression, &value);

	if (result < 0 && result != -ENODATA)
		return result;
	count_result(run, result == 0);
	if (result == -ENODATA) {
		fields_retain(fields, is_unlike, &name);
		return 0;
	}
	fields_retain(fields, is_no_twin, &name);
	return adds ? fields_add(fields, name, value) : fields_set(fields, name, value);
}

static void remove_fields(const struct transform_side *side, struct fields *fields)
{
	for (uint32_t i = 0; i < side->remove_count; i++)
		fields_retain(fields, is_unlike, &side->remove_list[i]);
}

/* Expect stays, too: a client may wait for the 100 that only a backend with it sends (RFC 9110 10.1.1). */
static bool is_replaced(struct span name)
{
	return headers_may_modify(name) && field_id_of(name) != FIELD_EXPECT;
}

static int keep_others(const struct fields *fields, struct fields *made)
{
	int error = 0;

	for (uint32_t i = 0; i < fields->count && !error; i++)
		if (!is_replaced(fields->list[i].name))
			error = fields_put(made, &fields->list[i]);
	return error;
}

static int put_value(const struct transform_run *run, struct span name, struct expression_value value,
		     size_t *bytes, struct fields *made)
{
	bool is_nested = value.type == EXPRESSION_LIST || value.type == EXPRESSION_MAP;
	struct span text = { 0 };
	int result = is_nested ? -ENODATA : expression_value_text(value, run->facts, &text);

	text = span_trim(text);
	if (result == 0 && !is_field_value(text))
		result = -ENODATA;
	if (result == 0 || result == -ENODATA)
		count_result(run, result == 0);
	if (result)
		return result == -ENODATA ? 0 : result;
	*bytes += name.len + text.len;
	if (*bytes > LIMIT_TRANSFORM_BYTES)
		return -E2BIG;
	text = text.len ? arena_copy(run->arena, text) : SPAN("");
	return text.data ? fields_add(made, name, text) : -ENOMEM;
}

static struct span copy_lower(struct arena *arena, struct span name)
{
	char *bytes = arena_bytes(arena, name.len);

	for (size_t i = 0; bytes && i < name.len; i++)
		bytes[i] = name.data[i] >= 'A' && name.data[i] <= 'Z' ? (char)(name.data[i] ^ 0x20)
								      : name.data[i];
	return span_of(bytes, name.len);
}

/* A stranger may choose the name, as of a claim; some backends read Content_Length as Content-Length. */
static bool is_member_name(struct span name)
{
	for (enum field_id id = FIELD_OTHER; id < FIELD_ID_COUNT; id++)
		if (field_names_are_alike(name, field_name_of(id)) && !is_replaced(field_name_of(id)))
			return false;
	return char_class_is_token(name);
}

static int put_member(const struct transform_run *run, const struct expression_member *member, size_t *bytes,
		      struct fields *made)
{
	const struct expression_value *value = &member->value;
	struct span name;
	int error = 0;

	if (!is_member_name(member->name)) {
		count_result(run, false);
		return 0;
	}
	name = copy_lower(run->arena, member->name);
	if (!name.data)
		return -ENOMEM;
	if (value->type != EXPRESSION_LIST)
		return put_value(run, name, *value, bytes, made);
	for (uint32_t i = 0; i < value->count && !error; i++)
		error = put_value(run, name, value->items[i], bytes, made);
	return error;
}

/* Two maps of all headers, and their texts once more. */
static size_t scratch_for(const struct fields *fields)
{
	size_t bytes = LIMIT_EXPRESSION_SCRATCH_BYTES + 4 * fields->count * sizeof(struct expression_member);

	for (uint32_t i = 0; i < fields->count; i++)
		bytes += 2 * (fields->list[i].name.len + fields->list[i].value.len);
	return bytes;
}

static int make_fields(const struct transform_run *run, const struct expression *expression,
		       struct fields *fields)
{
	struct expression_value map = expression_evaluate(expression, run->facts);
	struct fields made;
	size_t bytes = 0;
	int error;

	if (map.type != EXPRESSION_MAP)
		return map.type == EXPRESSION_NONE && map.gave_up ? -E2BIG : -EBADMSG;
	fields_init(&made, fields->arena);
	error = keep_others(fields, &made);
	for (uint32_t i = 0; i < map.count && !error; i++)
		error = put_member(run, &map.members[i], &bytes, &made);
	if (!error)
		*fields = made;
	return error;
}

static int replace_fields(const struct transform_run *run, const struct expression *expression,
			  struct fields *fields)
{
	struct expression_scratch *scratch = run->facts->scratch;
	size_t size = scratch_for(fields);
	char *memory = expression ? hg_malloc(size) : NULL;
	int error;

	if (!expression)
		return 0;
	if (!memory)
		return -ENOMEM;
	expression_scratch_init(scratch);
	scratch->large = memory;
	scratch->large_bytes = size;
	error = make_fields(run, expression, fields);
	expression_scratch_init(scratch);
	hg_free(memory);
	return error;
}

/* -------------------------------------------------------------------------------- metadata */

/* Where it belongs in the order of the names. */
static void put_metadatum(struct expression_value *map, struct expression_member *members,
			  struct expression_member member)
{
	uint32_t at = 0;

	while (at < map->count && span_compare(members[at].name, member.name) < 0)
		at++;
	if (at == map->count || !span_eq(members[at].name, member.name)) {
		memmove(members + at + 1, members + at, (map->count - at) * sizeof(*members));
		map->count++;
	}
	members[at] = member;
}

/* 0; -ENODATA; -E2BIG; -ENOMEM. */
static int note(const struct transform_run *run, const struct expression *expression, struct span name,
		struct expression_value *map, struct expression_member *members)
{
	struct expression_member member = { .name = name };
	struct expression_value value;
	int error;

	expression_scratch_init(run->facts->scratch);
	value = expression_evaluate(expression, run->facts);
	if (value.type == EXPRESSION_NONE)
		return value.gave_up ? -E2BIG : -ENODATA;
	if (expression_size(map, LIMIT_TRANSFORM_BYTES) + expression_size(&value, LIMIT_TRANSFORM_BYTES) >
	    LIMIT_TRANSFORM_BYTES)
		return -E2BIG;
	error = expression_copy(&value, run->arena, &member.value);
	if (!error)
		put_metadatum(map, members, member);
	return error;
}

int transform_note(const struct transform_side *side, struct expression_facts *facts, struct arena *arena,
		   struct transform_count *count)
{
	const struct transform_run run = { facts, arena, count };
	const struct expression_value *before = facts->metadata;
	uint32_t kept = before ? before->count : 0, added = side->metadata.count;
	struct expression_member *members;
	struct expression_value *map;
	int result = 0;

	if (!added)
		return 0;
	map = arena_take(arena, sizeof(*map));
	members = arena_take(arena, (kept + added) * sizeof(*members));
	if (!map || !members)
		return -ENOMEM;
	if (kept)
		memcpy(members, before->members, kept * sizeof(*members));
	*map = (struct expression_value){ .type = EXPRESSION_MAP, .count = kept, .members = members };
	facts->metadata = map;
	for (uint32_t i = 0; i < added; i++) {
		int error = note(&run, side->metadata.expression_list[i], side->metadata.list[i].name, map,
				 members);

		if (error == -ENOMEM)
			return error;
		count_result(&run, !error);
		result = error == -E2BIG ? error : result;
	}
	return result;
}

/* -------------------------------------------------------------------------------- requests */

/* Those whose requests or responses have another framing, or go elsewhere. */
static bool is_special(enum http_method method)
{
	return method == METHOD_HEAD || method == METHOD_CONNECT || method == METHOD_TRACE;
}

static bool set_method(struct request_head *head, struct span value)
{
	enum http_method method = method_of(value);

	if (!char_class_is_token(value) || is_special(method) || is_special(head->method))
		return false;
	head->method = method;
	head->method_text = value;
	return true;
}

/* 1, 0 (no path), or -ENOMEM. */
static int set_path(struct request_head *head, const struct path_rules *rules, struct span value,
		    struct arena *arena)
{
	struct request_head made = { .method = METHOD_GET, .target = value };
	enum http_error error;

	if (!value.len || value.data[0] != '/' || target_split(&made) != HTTP_ERROR_NONE)
		return 0;
	error = rules ? path_normalise(made.path, rules, arena, &made.path) : HTTP_ERROR_NONE;
	if (error == HTTP_ERROR_NO_MEMORY)
		return -ENOMEM;
	if (error != HTTP_ERROR_NONE)
		return 0;
	head->path = made.path;
	head->query = made.query;
	head->has_query = made.has_query;
	return 1;
}

static bool set_authority(struct request_head *head, struct span value)
{
	if (!authority_is_valid(value))
		return false;
	head->authority = value;
	return true;
}

/* `:method`, `:path` or `:authority`. 1; 0: not a proper value; -ENOMEM. */
static int set_pseudo(struct request_head *head, const struct path_rules *rules, struct span name,
		      struct span value, struct arena *arena)
{
	if (span_eq(name, SPAN(":method")))
		return set_method(head, value);
	if (span_eq(name, SPAN(":path")))
		return set_path(head, rules, value, arena);
	return set_authority(head, value);
}

static int change_request(const struct transform_run *run, const struct path_rules *rules, struct span name,
			  const struct expression *expression, bool adds, struct request_head *head)
{
	struct span value;
	int result;

	if (name.data[0] != ':')
		return change_field(run, name, expression, adds, &head->fields);
	result = value_of(run, expression, &value);
	if (result == -ENODATA)
		result = 0;
	else if (result == 0)
		result = set_pseudo(head, rules, name, value, run->arena);
	if (result < 0)
		return result;
	count_result(run, result);
	return 0;
}

int transform_request(const struct transform_side *side, const struct expression_facts *facts,
		      const struct path_rules *rules, struct request_head *head, struct arena *arena,
		      struct transform_count *count)
{
	const struct transform_run run = { facts, arena, count };
	int error = replace_fields(&run, side->replace, &head->fields);

	for (uint32_t i = 0; i < side->add_count && !error; i++)
		error = change_request(&run, rules, side->add_list[i].name, side->add_expressions[i], true,
				       head);
	for (uint32_t i = 0; i < side->set_count && !error; i++)
		error = change_request(&run, rules, side->set_list[i].name, side->set_expressions[i], false,
				       head);
	if (!error)
		remove_fields(side, &head->fields);
	return error;
}

/* -------------------------------------------------------------------------------- responses */

static bool has_usual_framing(uint64_t status)
{
	return status >= 200 && status <= 599 && status != 204 && status != 205 && status != 304;
}

static bool set_status(struct response_head *head, struct span value)
{
	uint64_t status = 0;

	if (span_parse_u63(value, &status) < 0 || !has_usual_framing(status) ||
	    !has_usual_framing(head->status))
		return false;
	head->status = (uint16_t)status;
	head->reason = (struct span){ 0 };
	return true;
}

static int change_response(const struct transform_run *run, struct span name,
			   const struct expression *expression, bool adds, struct response_head *head)
{
	struct span value;
	int result;

	if (name.data[0] != ':') {
		result = change_field(run, name, expression, adds, &head->fields);
		if (result != -E2BIG)
			return result;
		count_result(run, false);
		fields_retain(&head->fields, is_unlike, &name);
		return 0;
	}
	result = value_of(run, expression, &value);
	if (result == -ENOMEM)
		return result;
	count_result(run, result == 0 && set_status(head, value));
	return 0;
}

int transform_response(const struct transform_side *side, struct expression_facts *facts,
		       struct response_head *head, struct arena *arena, struct transform_count *count)
{
	const struct transform_run run = { facts, arena, count };
	int error;

	facts->response_fields = &head->fields;
	facts->response_code = head->status;
	error = replace_fields(&run, side->replace, &head->fields);
	for (uint32_t i = 0; i < side->add_count && !error; i++) {
		facts->response_code = head->status;
		error = change_response(&run, side->add_list[i].name, side->add_expressions[i], true, head);
	}
	for (uint32_t i = 0; i < side->set_count && !error; i++) {
		facts->response_code = head->status;
		error = change_response(&run, side->set_list[i].name, side->set_expressions[i], false, head);
	}
	if (!error)
		remove_fields(side, &head->fields);
	return error;
}
