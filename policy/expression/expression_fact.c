/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_fact.h"

#include "policy/expression/expression_ip.h"

static struct expression_value text_or_none(struct span text)
{
	return text.len ? expression_span(text) : expression_no_value;
}

/* ---- request */

static struct expression_value path_and_query(struct evaluation *e, const struct request_head *head)
{
	size_t len = head->path.len + 1 + head->query.len;
	char *bytes;

	if (!head->has_query)
		return expression_span(head->path);
	if (head->path.len && head->query.data == head->path.data + head->path.len + 1)
		return expression_span(span_of(head->path.data, len));
	bytes = run_take_bytes(e, len);
	if (!bytes)
		return expression_no_value;
	if (head->path.len)
		memcpy(bytes, head->path.data, head->path.len);
	bytes[head->path.len] = '?';
	if (head->query.len)
		memcpy(bytes + head->path.len + 1, head->query.data, head->query.len);
	return expression_span(span_of(bytes, len));
}

static struct span version_of(const struct request_head *head)
{
	if (head->version_major == 2)
		return SPAN("HTTP/2.0");
	return head->version_minor == 0 ? SPAN("HTTP/1.0") : SPAN("HTTP/1.1");
}

static struct expression_value time_value(uint64_t ns)
{
	return ns ? (struct expression_value){ .type = EXPRESSION_TIME, .time_ns = ns } : expression_no_value;
}

static struct expression_value headers_value(const struct fields *fields)
{
	return (struct expression_value){ .type = EXPRESSION_HEADERS, .fields = fields };
}

static struct expression_value body_value(struct span body)
{
	return body.data ? expression_span(body) : expression_no_value;
}

static struct expression_value request_variable(struct evaluation *e, enum expression_variable_id id)
{
	const struct request_head *head = e->facts->request;

	if (id == EXPRESSION_VARIABLE_REQUEST_START)
		return time_value(e->facts->start_ns);
	if (id == EXPRESSION_VARIABLE_REQUEST_END)
		return time_value(e->facts->end_ns);
	if (id == EXPRESSION_VARIABLE_REQUEST_BODY)
		return body_value(e->facts->request_body);
	if (id == EXPRESSION_VARIABLE_REQUEST_HEADERS)
		return headers_value(head ? &head->fields : NULL);
	if (!head)
		return expression_no_value;
	switch (id) {
	case EXPRESSION_VARIABLE_REQUEST_METHOD:
		return expression_span(head->method_text);
	case EXPRESSION_VARIABLE_REQUEST_PATH:
		return expression_span(head->path);
	case EXPRESSION_VARIABLE_REQUEST_PATH_QUERY:
		return path_and_query(e, head);
	case EXPRESSION_VARIABLE_REQUEST_URI:
		return expression_span(head->target);
	case EXPRESSION_VARIABLE_REQUEST_HOST:
		return expression_span(head->authority);
	case EXPRESSION_VARIABLE_REQUEST_SCHEME:
		return expression_span(head->is_secure ? SPAN("https") : SPAN("http"));
	default:
		return expression_span(version_of(head));
	}
}

/* ---- source, destination */

/* Part `index` of spiffe://domain/ns/namespace/sa/account, and of nothing else. */
static struct expression_value spiffe_part(struct span id, int index)
{
	struct span parts[5], rest = id;
	int count = 0;

	if (!span_starts(id, SPAN("spiffe://")))
		return expression_no_value;
	rest = span_from(id, strlen("spiffe://"));
	while (count < 5 && span_split(&rest, '/', &parts[count]))
		count++;
	if (count < 5 || rest.len || !span_eq(parts[1], SPAN("ns")) || !span_eq(parts[3], SPAN("sa")))
		return expression_no_value;
	return text_or_none(parts[index]);
}

static struct expression_value names_value(struct evaluation *e, const struct expression_source *source)
{
	struct expression_value *items;

	if (!source->name_count)
		return expression_no_value;
	items = run_take_values(e, source->name_count);
	if (!items)
		return expression_no_value;
	for (uint32_t i = 0; i < source->name_count; i++)
		items[i] = expression_span(source->names[i]);
	return (struct expression_value){ .type = EXPRESSION_LIST,
					  .count = source->name_count,
					  .items = items };
}

static struct expression_value port_value(const struct address *address)
{
	uint16_t port = address && !address_is_unix(address) ? address_port(address) : 0;

	return port ? expression_int(port) : expression_no_value;
}

static struct expression_value source_variable(struct evaluation *e, enum expression_variable_id id)
{
	const struct expression_source *source = e->facts->source;

	if (!source)
		return expression_no_value;
	switch (id) {
	case EXPRESSION_VARIABLE_SOURCE_ADDRESS:
		return expression_ip(source->address);
	case EXPRESSION_VARIABLE_SOURCE_PORT:
		return port_value(source->address);
	case EXPRESSION_VARIABLE_SOURCE_RAW_ADDRESS:
		return expression_ip(source->raw_address);
	case EXPRESSION_VARIABLE_SOURCE_RAW_PORT:
		return port_value(source->raw_address);
	case EXPRESSION_VARIABLE_SOURCE_SUBJECT:
		return text_or_none(source->subject);
	case EXPRESSION_VARIABLE_SOURCE_SUBJECT_CN:
		return text_or_none(source->subject_cn);
	case EXPRESSION_VARIABLE_SOURCE_ISSUER:
		return text_or_none(source->issuer);
	case EXPRESSION_VARIABLE_SOURCE_NAMES:
		return names_value(e, source);
	case EXPRESSION_VARIABLE_SOURCE_SPIFFE:
		return text_or_none(source->spiffe_id);
	case EXPRESSION_VARIABLE_SOURCE_TRUST_DOMAIN:
		return spiffe_part(source->spiffe_id, 0);
	case EXPRESSION_VARIABLE_SOURCE_NAMESPACE:
		return spiffe_part(source->spiffe_id, 2);
	default:
		return spiffe_part(source->spiffe_id, 4);
	}
}

/* ---- the others */

static struct expression_value map_or_null(const struct expression_value *map)
{
	return map ? *map : (struct expression_value){ .type = EXPRESSION_NULL };
}

static struct expression_value backend_variable(const struct expression_backend *backend,
						enum expression_variable_id id)
{
	if (!backend)
		return expression_no_value;
	return text_or_none(id == EXPRESSION_VARIABLE_BACKEND_NAME   ? backend->name
			    : id == EXPRESSION_VARIABLE_BACKEND_TYPE ? backend->type
								     : backend->protocol);
}

static struct expression_value mcp_variable(const struct expression_mcp *mcp, enum expression_variable_id id)
{
	if (!mcp)
		return expression_no_value;
	switch (id) {
	case EXPRESSION_VARIABLE_MCP_METHOD:
		return text_or_none(mcp->method);
	case EXPRESSION_VARIABLE_MCP_SESSION:
		return text_or_none(mcp->session);
	case EXPRESSION_VARIABLE_MCP_TOOL_NAME:
		return text_or_none(mcp->tool);
	case EXPRESSION_VARIABLE_MCP_TOOL_TARGET:
		return mcp->tool.len ? text_or_none(mcp->target) : expression_no_value;
	case EXPRESSION_VARIABLE_MCP_PROMPT_NAME:
		return text_or_none(mcp->prompt);
	case EXPRESSION_VARIABLE_MCP_PROMPT_TARGET:
		return mcp->prompt.len ? text_or_none(mcp->target) : expression_no_value;
	case EXPRESSION_VARIABLE_MCP_RESOURCE_NAME:
		return text_or_none(mcp->resource);
	case EXPRESSION_VARIABLE_MCP_RESOURCE_TARGET:
		return mcp->resource.len ? text_or_none(mcp->target) : expression_no_value;
	case EXPRESSION_VARIABLE_MCP_TASK_NAME:
		return text_or_none(mcp->task);
	default:
		return mcp->task.len ? text_or_none(mcp->target) : expression_no_value;
	}
}

struct expression_value fact_json(struct evaluation *e, enum expression_variable_id id)
{
	const struct expression_value *tree =
		id == EXPRESSION_VARIABLE_REQUEST_BODY ? e->facts->request_json : e->facts->response_json;

	return tree ? *tree : expression_no_value;
}

struct expression_value fact_variable(struct evaluation *e, enum expression_variable_id id)
{
	const struct expression_facts *facts = e->facts;

	if (id <= EXPRESSION_VARIABLE_REQUEST_END)
		return request_variable(e, id);
	if (id <= EXPRESSION_VARIABLE_SOURCE_ACCOUNT)
		return source_variable(e, id);
	switch (id) {
	case EXPRESSION_VARIABLE_DESTINATION_ADDRESS:
		return expression_ip(facts->destination);
	case EXPRESSION_VARIABLE_DESTINATION_PORT:
		return port_value(facts->destination);
	case EXPRESSION_VARIABLE_DESTINATION_HOSTNAME:
		return text_or_none(facts->sni);
	case EXPRESSION_VARIABLE_JWT:
		return map_or_null(facts->jwt);
	case EXPRESSION_VARIABLE_API_KEY:
		return map_or_null(facts->api_key);
	case EXPRESSION_VARIABLE_BASIC_USER:
		return facts->basic_user.data ? expression_span(facts->basic_user) : expression_no_value;
	case EXPRESSION_VARIABLE_EXT_AUTHZ:
		return map_or_null(facts->ext_authz);
	case EXPRESSION_VARIABLE_METADATA:
		return map_or_null(facts->metadata);
	case EXPRESSION_VARIABLE_RESPONSE_CODE:
		return facts->response_code ? expression_int(facts->response_code) : expression_no_value;
	case EXPRESSION_VARIABLE_RESPONSE_BODY:
		return body_value(facts->response_body);
	case EXPRESSION_VARIABLE_RESPONSE_HEADERS:
		return headers_value(facts->response_fields);
	default:
		break;
	}
	return id <= EXPRESSION_VARIABLE_BACKEND_PROTOCOL ? backend_variable(facts->backend, id)
							  : mcp_variable(facts->mcp, id);
}

/* ---- members */

const struct expression_value *expression_member(const struct expression_value *map, struct span name)
{
	uint32_t low = 0, high = map->type == EXPRESSION_MAP ? map->count : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int order = span_compare(map->members[middle].name, name);

		if (order == 0)
			return &map->members[middle].value;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* The values of all fields of the name as one; the first alone where it is. */
static struct expression_value header_value(struct evaluation *e, const struct fields *fields,
					    struct span name)
{
	const struct field *first = fields ? fields_find(fields, name) : NULL;
	struct span comma = first && first->id == FIELD_COOKIE ? SPAN("; ") : SPAN(", ");
	/* Without fields there is no list, and NULL + 0 is undefined in C17. */
	const struct field *end = first ? fields->list + fields->count : NULL;
	size_t len = 0;
	char *bytes;

	if (!first || !run_steps(e, 1 + fields->count / 8))
		return expression_no_value;
	for (const struct field *f = first + 1; f < end; f++) {
		if (span_eq_nocase(f->name, name))
			len += comma.len + f->value.len;
	}
	if (!len)
		return expression_span(first->value);
	bytes = run_take_bytes(e, first->value.len + len);
	if (!bytes)
		return expression_no_value;
	len = 0;
	for (const struct field *f = first; f < end; f++) {
		if (f != first && !span_eq_nocase(f->name, name))
			continue;
		if (f != first) {
			memcpy(bytes + len, comma.data, comma.len);
			len += comma.len;
		}
		if (f->value.len)
			memcpy(bytes + len, f->value.data, f->value.len);
		len += f->value.len;
	}
	return expression_span(span_of(bytes, len));
}

/* Where a member belongs: behind those of the same name. */
static uint32_t place_of(const struct expression_member *members, uint32_t count, struct span name)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (span_compare(members[middle].name, name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool lower_name(struct evaluation *e, struct span name, struct span *ret)
{
	char *bytes = run_take_bytes(e, name.len);

	for (size_t i = 0; bytes && i < name.len; i++)
		bytes[i] = (char)(name.data[i] >= 'A' && name.data[i] <= 'Z' ? name.data[i] ^ 0x20
									     : name.data[i]);
	*ret = span_of(bytes, name.len);
	return bytes;
}

/* Members of one name become one, whose value is a list. */
static bool join_members(struct evaluation *e, struct expression_member *members, uint32_t *count)
{
	uint32_t kept = 0, end;

	for (uint32_t i = 0; i < *count; i = end) {
		struct expression_value *items;

		for (end = i + 1; end < *count && span_eq(members[i].name, members[end].name);)
			end++;
		members[kept] = members[i];
		if (end - i > 1) {
			items = run_take_values(e, end - i);
			if (!items)
				return false;
			items[0] = members[kept].value;
			for (uint32_t k = 1; k < end - i; k++)
				items[k] = members[i + k].value;
			members[kept].value = (struct expression_value){ .type = EXPRESSION_LIST,
									 .count = end - i,
									 .items = items };
		}
		kept++;
	}
	*count = kept;
	return true;
}

struct expression_value fact_header_map(struct evaluation *e, const struct fields *fields)
{
	struct expression_member *members = fields ? run_take_members(e, fields->count) : NULL;
	uint32_t count = fields ? fields->count : 0;

	if (!members)
		return expression_no_value;
	for (uint32_t i = 0; i < count; i++) {
		struct span name;
		uint32_t at;

		if (!lower_name(e, fields->list[i].name, &name))
			return expression_no_value;
		at = place_of(members, i, name);
		/* Few bytes are moved for each header. */
		if (!run_steps(e, 1 + (i - at) / 64))
			return expression_no_value;
		memmove(members + at + 1, members + at, (i - at) * sizeof(*members));
		members[at] = (struct expression_member){ name, expression_span(fields->list[i].value) };
	}
	if (!join_members(e, members, &count))
		return expression_no_value;
	return (struct expression_value){ .type = EXPRESSION_MAP, .count = count, .members = members };
}

struct expression_value fact_select(struct evaluation *e, struct expression_value from,
				    struct expression_value name)
{
	const struct expression_value *member;

	if (from.type == EXPRESSION_HEADERS) {
		name = run_as(e, name, EXPRESSION_SET(TEXT));
		return name.type == EXPRESSION_TEXT ? header_value(e, from.fields, name.text)
						    : expression_no_value;
	}
	if (from.type == EXPRESSION_LIST && name.type == EXPRESSION_INT)
		return name.whole >= 0 && name.whole < from.count ? from.items[name.whole]
								  : expression_no_value;
	name = run_as(e, name, EXPRESSION_SET(TEXT));
	if (from.type != EXPRESSION_MAP || name.type != EXPRESSION_TEXT)
		return expression_no_value;
	member = expression_member(&from, name.text);
	return member ? *member : expression_no_value;
}

struct expression_value fact_cookie(struct evaluation *e, const struct fields *fields, struct span name)
{
	for (uint32_t i = 0; fields && fields_have(fields, FIELD_COOKIE) && i < fields->count; i++) {
		struct span rest = fields->list[i].value, pair;

		if (fields->list[i].id != FIELD_COOKIE)
			continue;
		if (!run_bytes(e, rest.len))
			break;
		while (span_split(&rest, ';', &pair)) {
			ptrdiff_t equal;

			pair = span_trim(pair);
			equal = span_find(pair, '=');
			if (equal >= 0 && span_eq(span_first(pair, (size_t)equal), name))
				return expression_span(span_from(pair, (size_t)equal + 1));
		}
	}
	return expression_no_value;
}
