/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/upgrade.h"

#include "user/base/char_class.h"

/* protocol-name ["/" protocol-version], RFC 9110 7.8 */
static bool is_protocol(struct span protocol)
{
	ptrdiff_t slash = span_find(protocol, '/');

	if (slash < 0)
		return char_class_is_token(protocol);
	return char_class_is_token(span_first(protocol, (size_t)slash)) &&
	       char_class_is_token(span_from(protocol, (size_t)slash + 1));
}

static bool is_ignored(struct span protocol)
{
	ptrdiff_t slash = span_find(protocol, '/');
	struct span name = slash < 0 ? protocol : span_first(protocol, (size_t)slash);

	return span_eq_nocase(name, SPAN("h2c")) || span_eq_nocase(name, SPAN("TLS"));
}

/* The first protocol that may be requested, empty if there is none; HTTP_ERROR_UPGRADE for malformed ones. */
static enum http_error protocol_of(const struct fields *fields, struct span *ret_protocol)
{
	struct span first = SPAN("");

	for (uint32_t i = 0; i < fields->count; i++) {
		struct span rest = fields->list[i].value;
		struct span element;

		if (fields->list[i].id != FIELD_UPGRADE)
			continue;
		while (span_split(&rest, ',', &element)) {
			struct span protocol = span_trim(element);

			/* RFC 9110 5.6.1.2: empty list elements are ignored. */
			if (protocol.len && !is_protocol(protocol))
				return HTTP_ERROR_UPGRADE;
			if (protocol.len && first.len == 0 && !is_ignored(protocol))
				first = protocol;
		}
	}
	*ret_protocol = first;
	return HTTP_ERROR_NONE;
}

enum http_error upgrade_of_request(const struct request_head *head, struct upgrade_request *ret_upgrade)
{
	struct span protocol = SPAN("");
	enum http_error http_error;

	if (head->version_minor > 0 && head->method != METHOD_CONNECT &&
	    fields_have(&head->fields, FIELD_UPGRADE) &&
	    fields_list_has(&head->fields, FIELD_CONNECTION, SPAN("upgrade"))) {
		http_error = protocol_of(&head->fields, &protocol);
		if (http_error != HTTP_ERROR_NONE)
			return http_error;
	}
	*ret_upgrade = (struct upgrade_request){ .is_wanted = protocol.len > 0, .protocol = protocol };
	return HTTP_ERROR_NONE;
}

bool upgrade_accepts(const struct response_head *head, const struct upgrade_request *upgrade)
{
	const struct field *field = fields_get(&head->fields, FIELD_UPGRADE);

	return upgrade->is_wanted && head->status == 101 && head->version_minor >= 1 && field &&
	       fields_count_of(&head->fields, FIELD_UPGRADE) == 1 &&
	       span_eq_nocase(field->value, upgrade->protocol) &&
	       fields_list_has(&head->fields, FIELD_CONNECTION, SPAN("upgrade"));
}
