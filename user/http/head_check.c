/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/head_check.h"

#include "user/http/target.h"

static bool may_lack_host(const struct request_head *head)
{
	if (head->version_major == 1)
		return head->version_minor == 0;
	return head->authority.len > 0;
}

enum http_error head_check_host(struct request_head *head, uint16_t default_port)
{
	const struct field *host = fields_get(&head->fields, FIELD_HOST);

	if (!host)
		return may_lack_host(head) ? HTTP_ERROR_NONE : HTTP_ERROR_HOST_MISSING;
	if (fields_count_of(&head->fields, FIELD_HOST) > 1)
		return HTTP_ERROR_HOST_DUPLICATE;
	if (!authority_is_valid(host->value))
		return HTTP_ERROR_HOST_SYNTAX;
	if (head->authority.len == 0) {
		head->authority = host->value;
		return HTTP_ERROR_NONE;
	}
	if (authority_same(head->authority, host->value, default_port))
		return HTTP_ERROR_NONE;
	/* Clients name the port of a CONNECT in the target only. */
	if (head->method == METHOD_CONNECT && authority_port(host->value).len == 0 &&
	    span_eq_nocase(authority_host(head->authority), authority_host(host->value)))
		return HTTP_ERROR_NONE;
	return HTTP_ERROR_HOST_MISMATCH;
}

enum http_error head_check_expect(const struct fields *fields)
{
	for (uint32_t i = 0; fields_have(fields, FIELD_EXPECT) && i < fields->count; i++) {
		const struct field *field = &fields->list[i];

		if (field->id == FIELD_EXPECT && !span_eq_nocase(field->value, SPAN("100-continue")))
			return HTTP_ERROR_EXPECTATION;
	}
	return HTTP_ERROR_NONE;
}
