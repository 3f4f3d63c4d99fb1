/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/connection_auth.h"

/* The scheme at the beginning of credentials or of a challenge (RFC 9110 11.4, 11.6.1). */
static bool is_of_connection(struct span text)
{
	struct span scheme = { 0 };

	text = span_trim(text);
	(void)span_split(&text, ' ', &scheme);
	return span_eq_nocase(scheme, SPAN("ntlm")) || span_eq_nocase(scheme, SPAN("negotiate"));
}

bool connection_auth_is_sent(const struct fields *request)
{
	if (!fields_have(request, FIELD_AUTHORIZATION) && !fields_have(request, FIELD_PROXY_AUTHORIZATION))
		return false;
	for (uint32_t i = 0; i < request->count; i++) {
		const struct field *field = &request->list[i];

		if ((field->id == FIELD_AUTHORIZATION || field->id == FIELD_PROXY_AUTHORIZATION) &&
		    is_of_connection(field->value))
			return true;
	}
	return false;
}

/* Commas in quoted strings make more elements than there are: one too many costs a pooled connection. */
static bool challenges_have(struct span challenges)
{
	struct span element;

	while (span_split(&challenges, ',', &element)) {
		if (is_of_connection(element))
			return true;
	}
	return false;
}

bool connection_auth_is_asked(const struct response_head *response)
{
	if (response->status != 401 && response->status != 407)
		return false;
	for (uint32_t i = 0; i < response->fields.count; i++) {
		const struct field *field = &response->fields.list[i];

		if ((span_eq_nocase(field->name, SPAN("www-authenticate")) ||
		     span_eq_nocase(field->name, SPAN("proxy-authenticate"))) &&
		    challenges_have(field->value))
			return true;
	}
	return false;
}
