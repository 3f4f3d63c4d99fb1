/* SPDX-License-Identifier: Apache-2.0 */
/* Converts between HTTP/2 heads and the heads of user/http. */
#include <errno.h>

#include "user/base/text.h"
#include "user/h2/h2_head.h"
#include "user/http/head_check.h"
#include "user/http/target.h"
#include "user/http/wire.h"
#include "user/http/field_name.h"

/* ---- to heads of user/http ---- */

/* All non-empty values of Cookie, joined with "; " (RFC 9113 8.2.3). data == NULL without memory. */
static struct span cookies_join(const struct fields *fields, struct arena *arena)
{
	size_t size = 0;
	char *bytes;
	char *at;

	for (uint32_t i = 0; i < fields->count; i++) {
		if (fields->list[i].id == FIELD_COOKIE)
			size += fields->list[i].value.len + 2;
	}
	bytes = arena_bytes(arena, size);
	if (!bytes)
		return (struct span){ NULL, 0 };
	at = bytes;
	for (uint32_t i = 0; i < fields->count; i++) {
		struct span value = fields->list[i].value;

		if (fields->list[i].id != FIELD_COOKIE || value.len == 0)
			continue;
		if (at != bytes)
			at = wire_put(at, SPAN("; "));
		at = wire_put(at, value);
	}
	return span_of(bytes, (size_t)(at - bytes));
}

/* Copies all fields but Host, which is already in the list. */
static int fields_copy(const struct fields *from, struct arena *arena, struct fields *to)
{
	bool has_crumbs = fields_count_of(from, FIELD_COOKIE) > 1;

	for (uint32_t i = 0; i < from->count; i++) {
		const struct field *field = &from->list[i];
		struct field copy = *field;
		int error;

		if (field->id == FIELD_HOST)
			continue;
		if (field->id == FIELD_COOKIE && has_crumbs) {
			if (fields_have(to, FIELD_COOKIE))
				continue;
			copy.value = cookies_join(from, arena);
			if (!copy.value.data)
				return -ENOMEM;
		}
		error = fields_put(to, &copy);
		if (error)
			return error;
	}
	return 0;
}

enum http_error h2_head_to_request(const struct h2_head *head, struct arena *arena,
				   struct request_head *ret_request, struct span *ret_protocol)
{
	const struct field *host = fields_get(&head->fields, FIELD_HOST);
	struct request_head request = {
		.method = method_of(head->method),
		.method_text = head->method,
		.target = head->path,
		.version_major = 2,
	};
	enum http_error http_error = head->http_error;

	if (http_error == HTTP_ERROR_NONE && head->protocol.len &&
	    !span_eq_nocase(head->protocol, SPAN("websocket")))
		http_error = HTTP_ERROR_PROTOCOL;
	if (http_error != HTTP_ERROR_NONE)
		return http_error;
	if (head->protocol.len) {
		request.method = METHOD_GET;
		request.method_text = SPAN("GET");
	} else if (request.method == METHOD_CONNECT) {
		request.target = head->authority;
	}
	http_error = target_split(&request);
	if (http_error != HTTP_ERROR_NONE)
		return http_error;
	request.authority = head->authority.len ? head->authority : host->value;
	fields_init(&request.fields, arena);
	if (fields_add(&request.fields, SPAN("host"), request.authority) < 0 ||
	    fields_copy(&head->fields, arena, &request.fields) < 0)
		return HTTP_ERROR_NO_MEMORY;
	http_error = head_check_expect(&request.fields);
	if (http_error != HTTP_ERROR_NONE)
		return http_error;
	*ret_request = request;
	*ret_protocol = head->protocol;
	return HTTP_ERROR_NONE;
}

enum http_error h2_head_to_response(const struct h2_head *head, struct arena *arena,
				    struct response_head *ret_response)
{
	struct response_head response = { .status = head->status, .version_major = 2 };

	if (head->http_error != HTTP_ERROR_NONE)
		return head->http_error;
	if (fields_clone(&head->fields, arena, &response.fields) < 0)
		return HTTP_ERROR_NO_MEMORY;
	*ret_response = response;
	return HTTP_ERROR_NONE;
}

enum http_error h2_head_request_framing(const struct h2_head *head, const struct request_head *request,
					struct body_framing *ret_framing)
{
	bool is_tunnel = head->protocol.len || request->method == METHOD_CONNECT;
	struct body_framing framing;
	enum http_error http_error = framing_request(request, &framing);

	if (http_error != HTTP_ERROR_NONE)
		return http_error;
	if (framing.kind == BODY_LENGTH && is_tunnel)
		return HTTP_ERROR_BODY_FORBIDDEN;
	if (framing.kind == BODY_LENGTH && head->has_end)
		return HTTP_ERROR_LENGTH_MISMATCH;
	if (framing.kind == BODY_NONE && !framing.announces_length && !head->has_end && !is_tunnel) {
		if (request->method == METHOD_TRACE)
			return HTTP_ERROR_BODY_FORBIDDEN;
		framing.kind = BODY_FRAMED;
	}
	*ret_framing = framing;
	return HTTP_ERROR_NONE;
}

enum http_error h2_head_response_framing(const struct h2_head *head, const struct response_head *response,
					 enum http_method method, struct body_framing *ret_framing)
{
	struct body_framing framing;
	enum http_error http_error = framing_response(response, method, &framing);

	if (http_error != HTTP_ERROR_NONE)
		return http_error;
	if (framing.kind == BODY_LENGTH && head->has_end)
		return HTTP_ERROR_LENGTH_MISMATCH;
	if (framing.kind == BODY_UNTIL_CLOSE && head->has_end)
		framing = (struct body_framing){ .kind = BODY_NONE, .announces_length = true };
	else if (framing.kind == BODY_UNTIL_CLOSE)
		framing.kind = BODY_FRAMED;
	*ret_framing = framing;
	return HTTP_ERROR_NONE;
}

/* ---- from heads of user/http ---- */

static bool is_passed_on(const struct h2_head *head, const struct field *field)
{
	enum field_id id = field->id;

	if (field->name.len && field->name.data[0] == ':')
		return false;
	if (head->kind == H2_HEAD_TRAILERS)
		return field_name_may_trail(field);
	if (id == FIELD_OTHER)
		return true;
	if (id == FIELD_TE)
		return head->kind == H2_HEAD_REQUEST && span_eq_nocase(field->value, SPAN("trailers"));
	if (id == FIELD_CONTENT_LENGTH || (id == FIELD_HOST && head->kind == H2_HEAD_REQUEST))
		return false;
	return (field_flags_of(id) & FIELD_HOP) == 0;
}

static int head_put_fields(struct h2_head *head, const struct fields *fields)
{
	int error = 0;

	for (uint32_t i = 0; i < fields->count && !error; i++) {
		if (is_passed_on(head, &fields->list[i]))
			error = h2_head_put(head, &fields->list[i]);
	}
	return error;
}

static int head_put_length(struct h2_head *head, const struct body_framing *framing)
{
	uint64_t length = framing->kind == BODY_LENGTH ? framing->length : framing->announced;
	struct field field = { .name = field_name_of(FIELD_CONTENT_LENGTH), .id = FIELD_CONTENT_LENGTH };
	char digits[24];

	if (framing->kind != BODY_LENGTH && !framing->announces_length)
		return 0;
	field.value = arena_copy(&head->arena, span_of(digits, text_u64(digits, length)));
	return field.value.data ? h2_head_put(head, &field) : -ENOMEM;
}

static struct h2_head *head_or_nothing(struct h2_head *head, int error)
{
	if (!error)
		return head;
	h2_head_free(head);
	return NULL;
}

/* "/path?query", or "*" */
static int head_put_path(struct h2_head *head, const struct request_head *request)
{
	struct span path = request->path;

	if (request->has_query) {
		size_t len = request->path.len + 1 + request->query.len;
		char *bytes = arena_bytes(&head->arena, len);

		if (!bytes)
			return -ENOMEM;
		wire_put(wire_put(wire_put(bytes, request->path), SPAN("?")), request->query);
		path = span_of(bytes, len);
	}
	h2_head_put_pseudo(head, SPAN(":path"), path);
	return 0;
}

static int head_put_target(struct h2_head *head, const struct request_head *request)
{
	bool is_connect = request->method == METHOD_CONNECT;

	h2_head_put_pseudo(head, SPAN(":method"), request->method_text);
	if (!is_connect)
		h2_head_put_pseudo(head, SPAN(":scheme"), SPAN("http"));
	if (request->authority.len)
		h2_head_put_pseudo(head, SPAN(":authority"), request->authority);
	return is_connect ? 0 : head_put_path(head, request);
}

struct h2_head *h2_head_from_request(const struct request_head *request, const struct body_framing *framing)
{
	struct h2_head *head = h2_head_create(H2_HEAD_REQUEST);
	int error;

	if (!head)
		return NULL;
	error = head_put_target(head, request);
	if (!error)
		error = head_put_fields(head, &request->fields);
	if (!error)
		error = head_put_length(head, framing);
	return head_or_nothing(head, error);
}

struct h2_head *h2_head_from_response(const struct response_head *response,
				      const struct body_framing *framing)
{
	struct h2_head *head = h2_head_create(H2_HEAD_RESPONSE);
	bool may_have_length = response->status >= 200 && response->status != 204;
	char digits[24];
	int error;

	if (!head)
		return NULL;
	h2_head_put_pseudo(head, SPAN(":status"), span_of(digits, text_u64(digits, response->status)));
	error = head_put_fields(head, &response->fields);
	if (!error && may_have_length)
		error = head_put_length(head, framing);
	return head_or_nothing(head, error);
}

struct h2_head *h2_head_from_trailers(const struct fields *fields)
{
	struct h2_head *head = h2_head_create(H2_HEAD_TRAILERS);

	return head ? head_or_nothing(head, head_put_fields(head, fields)) : NULL;
}
