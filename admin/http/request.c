/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/http/request.h"

#include "admin/http/gzip.h"
#include "user/http/h1_parse.h"

static bool expects_continue(const struct request_head *head)
{
	const struct field *field = fields_get(&head->fields, FIELD_EXPECT);

	return field && head->version_minor > 0 && span_eq_nocase(field->value, SPAN("100-continue"));
}

static bool asks_gzip(const struct request_head *head)
{
	bool is_accepted = false;

	for (uint32_t i = 0; i < head->fields.count; i++) {
		if (span_eq_nocase(head->fields.list[i].name, SPAN("accept-encoding")))
			is_accepted |= gzip_is_accepted(head->fields.list[i].value);
	}
	return is_accepted;
}

enum http_error admin_request_parse(struct span bytes, struct arena *arena, struct admin_request *ret_request)
{
	struct request_head *head = &ret_request->head;
	enum http_error http_error;

	bytes = arena_copy(arena, bytes);
	if (!bytes.data)
		return HTTP_ERROR_NO_MEMORY;
	http_error = h1_parse_request(bytes, arena, head, &ret_request->framing);
	if (http_error != HTTP_ERROR_NONE)
		return http_error;
	ret_request->is_head = head->method == METHOD_HEAD;
	ret_request->is_http_1_0 = head->version_minor == 0;
	ret_request->keeps = framing_request_keeps(head);
	ret_request->wants_gzip = asks_gzip(head);
	ret_request->wants_continue = expects_continue(head);
	return HTTP_ERROR_NONE;
}
