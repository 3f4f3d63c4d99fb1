/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/framing.h"

#include "user/base/check.h"

/*
 * Registered transfer codings (IANA) that we do not decode: a request with one of them is understood, but
 * gets 501.
 */
static bool is_other_coding(struct span value)
{
	static const struct span codings[] = {
		{ "gzip", 4 }, { "x-gzip", 6 }, { "deflate", 7 }, { "compress", 8 }, { "x-compress", 10 },
	};

	for (size_t i = 0; i < ARRAY_LEN(codings); i++) {
		if (span_eq_nocase(value, codings[i]))
			return true;
	}
	return false;
}

static enum http_error read_transfer_encoding(const struct fields *fields, uint8_t version_minor,
					      struct framing_fields *ret)
{
	struct span value = fields_get(fields, FIELD_TRANSFER_ENCODING)->value;

	if (fields_have(fields, FIELD_CONTENT_LENGTH))
		return HTTP_ERROR_LENGTH_AND_TRANSFER;
	if (version_minor == 0)
		return HTTP_ERROR_TRANSFER_1_0;
	if (fields_count_of(fields, FIELD_TRANSFER_ENCODING) > 1)
		return HTTP_ERROR_TRANSFER_ENCODING;
	if (!span_eq_nocase(value, SPAN("chunked")))
		return is_other_coding(value) ? HTTP_ERROR_TRANSFER_CODING : HTTP_ERROR_TRANSFER_ENCODING;
	*ret = (struct framing_fields){ .is_chunked = true };
	return HTTP_ERROR_NONE;
}

enum http_error framing_fields_read(const struct fields *fields, uint8_t version_minor,
				    struct framing_fields *ret)
{
	uint64_t length;

	if (fields_have(fields, FIELD_TRANSFER_ENCODING))
		return read_transfer_encoding(fields, version_minor, ret);
	if (!fields_have(fields, FIELD_CONTENT_LENGTH)) {
		*ret = (struct framing_fields){ 0 };
		return HTTP_ERROR_NONE;
	}
	if (fields_count_of(fields, FIELD_CONTENT_LENGTH) > 1)
		return HTTP_ERROR_LENGTH_DUPLICATE;
	if (span_parse_u63(fields_get(fields, FIELD_CONTENT_LENGTH)->value, &length) < 0)
		return HTTP_ERROR_LENGTH_SYNTAX;
	*ret = (struct framing_fields){ .has_length = true, .length = length };
	return HTTP_ERROR_NONE;
}

static struct body_framing framing_none(const struct framing_fields *said, bool announces)
{
	return (struct body_framing){
		.kind = BODY_NONE,
		.announces_length = announces && said->has_length,
		.announced = announces ? said->length : 0,
	};
}

static struct body_framing framing_of(const struct framing_fields *said, enum body_kind otherwise)
{
	if (said->is_chunked)
		return (struct body_framing){ .kind = BODY_CHUNKED };
	if (said->has_length && said->length > 0)
		return (struct body_framing){ .kind = BODY_LENGTH, .length = said->length };
	if (said->has_length)
		return framing_none(said, true);
	return (struct body_framing){ .kind = otherwise };
}

enum http_error framing_request_of(const struct request_head *head, const struct framing_fields *said,
				   struct body_framing *ret_framing)
{
	struct body_framing framing = framing_of(said, BODY_NONE);

	/* RFC 9110 9.3.6 and 9.3.8: other servers take these bytes for a tunnel or for the next request. */
	if (framing.kind != BODY_NONE && (head->method == METHOD_CONNECT || head->method == METHOD_TRACE))
		return HTTP_ERROR_BODY_FORBIDDEN;
	*ret_framing = framing;
	return HTTP_ERROR_NONE;
}

enum http_error framing_request(const struct request_head *head, struct body_framing *ret_framing)
{
	struct framing_fields said;
	enum http_error http_error;

	if (head->version_major == 2 && fields_have(&head->fields, FIELD_TRANSFER_ENCODING))
		return HTTP_ERROR_TRANSFER_ENCODING;
	http_error = framing_fields_read(&head->fields, head->version_minor, &said);
	return http_error ? http_error : framing_request_of(head, &said, ret_framing);
}

static bool is_interim(uint16_t status)
{
	return status < 200;
}

enum http_error framing_response_of(const struct response_head *head, const struct framing_fields *said,
				    enum http_method method, struct body_framing *ret_framing)
{
	if (is_interim(head->status) || head->status == 204) {
		if (said->is_chunked || (is_interim(head->status) && said->length > 0))
			return HTTP_ERROR_BODY_FORBIDDEN;
		*ret_framing = framing_none(said, false);
		if (head->status == 101)
			ret_framing->kind = BODY_TUNNEL;
		return HTTP_ERROR_NONE;
	}
	if (method == METHOD_CONNECT && head->status < 300)
		*ret_framing = (struct body_framing){ .kind = BODY_TUNNEL };
	else if (method == METHOD_HEAD || head->status == 304)
		*ret_framing = framing_none(said, true);
	else
		*ret_framing = framing_of(said, BODY_UNTIL_CLOSE);
	return HTTP_ERROR_NONE;
}

enum http_error framing_response(const struct response_head *head, enum http_method method,
				 struct body_framing *ret_framing)
{
	struct framing_fields said;
	enum http_error http_error;

	if (head->version_major == 2 && fields_have(&head->fields, FIELD_TRANSFER_ENCODING))
		return HTTP_ERROR_TRANSFER_ENCODING;
	http_error = framing_fields_read(&head->fields, head->version_minor, &said);
	return http_error ? http_error : framing_response_of(head, &said, method, ret_framing);
}

static bool fields_keep(const struct fields *fields, uint8_t version_major, uint8_t version_minor)
{
	if (version_major >= 2)
		return true;
	if (fields_list_has(fields, FIELD_CONNECTION, SPAN("close")))
		return false;
	return version_minor >= 1 || fields_list_has(fields, FIELD_CONNECTION, SPAN("keep-alive"));
}

bool framing_request_keeps(const struct request_head *head)
{
	return fields_keep(&head->fields, head->version_major, head->version_minor);
}

bool framing_response_keeps(const struct response_head *head)
{
	struct framing_fields said;

	if (head->status == 204 && head->version_major < 2 &&
	    (framing_fields_read(&head->fields, head->version_minor, &said) != HTTP_ERROR_NONE ||
	     said.length > 0))
		return false;
	return fields_keep(&head->fields, head->version_major, head->version_minor);
}

uint32_t framing_keep_alive_s(const struct response_head *head)
{
	const struct field *field = fields_get(&head->fields, FIELD_KEEP_ALIVE);
	struct span rest = field ? field->value : SPAN("");
	struct span element;
	uint64_t seconds;

	while (span_split(&rest, ',', &element)) {
		ptrdiff_t equals = span_find(element, '=');
		struct span name = equals < 0 ? SPAN("") : span_trim(span_first(element, (size_t)equals));

		if (!span_eq_nocase(name, SPAN("timeout")))
			continue;
		if (span_parse_u63(span_trim(span_from(element, (size_t)equals + 1)), &seconds) < 0)
			return 0;
		return seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
	}
	return 0;
}
