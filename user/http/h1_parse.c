/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/h1_parse.h"

#include <llhttp.h>

#include "user/base/limits.h"
#include "user/http/framing.h"
#include "user/http/head_check.h"
#include "user/base/char_class.h"
#include "user/http/target.h"

/* ---- splitting ---- */

/* Removes the line up to CRLF from [*at, end); false if there is none. */
static bool line_cut(const char **at, const char *end, struct span *ret_line)
{
	const char *cr = *at < end ? memchr(*at, '\r', (size_t)(end - *at)) : NULL;

	if (!cr || end - cr < 2 || cr[1] != '\n')
		return false;
	*ret_line = span_of(*at, (size_t)(cr - *at));
	*at = cr + 2;
	return true;
}

/* "HTTP/1.0" or "HTTP/1.1" */
static bool version_read(struct span text, uint8_t *ret_minor)
{
	if (!span_eq(text, SPAN("HTTP/1.1")) && !span_eq(text, SPAN("HTTP/1.0")))
		return false;
	*ret_minor = (uint8_t)(text.data[7] - '0');
	return true;
}

/*
 * RFC 9110 5.5 allows blanks around every value. Around these two they are a known way to make one parser
 * miss what another one sees; allow only the blanks that real senders put before a number or a coding.
 */
static enum http_error framing_value_check(enum field_id id, struct span raw)
{
	size_t leading = 0;

	if (id != FIELD_CONTENT_LENGTH && id != FIELD_TRANSFER_ENCODING)
		return HTTP_ERROR_NONE;
	while (leading < raw.len && raw.data[leading] == ' ')
		leading++;
	if (leading < raw.len && raw.data[leading] != '\t' && octet_is(raw.data[raw.len - 1], OCTET_TOKEN))
		return HTTP_ERROR_NONE;
	return id == FIELD_CONTENT_LENGTH ? HTTP_ERROR_LENGTH_SYNTAX : HTTP_ERROR_TRANSFER_ENCODING;
}

static enum http_error field_read(const char *start, const char **at, const char *end, struct fields *fields)
{
	const char *colon = char_class_skip(start, end, OCTET_TOKEN);
	struct span raw;

	if (colon == start || colon == end || *colon != ':')
		return HTTP_ERROR_FIELD_NAME;
	*at = colon + 1;
	if (!line_cut(at, end, &raw))
		return HTTP_ERROR_BARE_CR;
	if (fields_add(fields, span_of(start, (size_t)(colon - start)), span_trim(raw)) < 0)
		return HTTP_ERROR_NO_MEMORY;
	return framing_value_check(fields->list[fields->count - 1].id, raw);
}

/* Reads from after the start line to the end of the head, which is the end of the bytes. */
static enum http_error fields_read(const char *at, const char *end, struct fields *fields)
{
	enum http_error http_error;

	while (at < end && *at != '\r') {
		http_error = field_read(at, &at, end, fields);
		if (http_error != HTTP_ERROR_NONE)
			return http_error;
	}
	return end - at == 2 && at[1] == '\n' ? HTTP_ERROR_NONE : HTTP_ERROR_BARE_CR;
}

static enum http_error request_line_read(struct span line, struct request_head *head)
{
	ptrdiff_t method_end = span_find(line, ' ');
	struct span rest;
	ptrdiff_t target_end;

	if (method_end <= 0)
		return HTTP_ERROR_REQUEST_LINE;
	head->method_text = span_first(line, (size_t)method_end);
	if (!char_class_is_token(head->method_text))
		return HTTP_ERROR_METHOD;
	head->method = method_of(head->method_text);
	rest = span_from(line, (size_t)method_end + 1);
	target_end = span_find(rest, ' ');
	if (target_end <= 0)
		return HTTP_ERROR_REQUEST_LINE;
	head->target = span_first(rest, (size_t)target_end);
	head->version_major = 1;
	if (!version_read(span_from(rest, (size_t)target_end + 1), &head->version_minor))
		return HTTP_ERROR_VERSION;
	return HTTP_ERROR_NONE;
}

static enum http_error status_line_read(struct span line, struct response_head *head)
{
	const char *digits;

	if (line.len < 12 || !version_read(span_first(line, 8), &head->version_minor))
		return HTTP_ERROR_VERSION;
	digits = line.data + 9;
	if (!char_class_all(span_of(digits, 3), OCTET_DIGIT) || *digits < '1' || *digits > '5')
		return HTTP_ERROR_STATUS_LINE;
	if (line.data[8] != ' ' || (line.len > 12 && line.data[12] != ' '))
		return HTTP_ERROR_STATUS_LINE;
	head->version_major = 1;
	head->status = (uint16_t)((digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0'));
	head->reason = span_from(line, line.len > 12 ? 13 : 12);
	return char_class_is_text(head->reason) ? HTTP_ERROR_NONE : HTTP_ERROR_CONTROL_BYTE;
}

/* ---- the second reader ---- */

/* What llhttp must find; callbacks return a value other than 0 to reject the message. */
struct second_reader {
	const struct fields *fields;
	struct span target; /* requests */
	uint32_t names; /* seen so far */
	uint32_t values;
	bool is_target_seen;
	bool is_complete; /* llhttp saw the end of the head, and the same framing */
	struct framing_fields said;
};

static int is_different(bool same)
{
	return same ? 0 : HPE_USER;
}

static int on_target(llhttp_t *parser, const char *at, size_t len)
{
	struct second_reader *reader = parser->data;

	reader->is_target_seen = at == reader->target.data && len == reader->target.len;
	return is_different(reader->is_target_seen);
}

static int on_name(llhttp_t *parser, const char *at, size_t len)
{
	struct second_reader *reader = parser->data;
	const struct field *field;

	if (reader->names == reader->fields->count || reader->names != reader->values)
		return HPE_USER;
	field = &reader->fields->list[reader->names++];
	return is_different(at == field->name.data && len == field->name.len);
}

static int on_value(llhttp_t *parser, const char *at, size_t len)
{
	struct second_reader *reader = parser->data;
	struct span value = span_trim(span_of(at, len));
	const struct field *field;

	if (reader->values + 1 != reader->names)
		return HPE_USER;
	field = &reader->fields->list[reader->values++];
	if (value.len == 0)
		return is_different(field->value.len == 0);
	return is_different(value.data == field->value.data && value.len == field->value.len);
}

/*
 * llhttp checks a transfer coding only after this callback, so compare its flags here. Pausing prevents it
 * from continuing with a body or with an upgrade.
 */
static int on_complete(llhttp_t *parser)
{
	struct second_reader *reader = parser->data;
	bool is_chunked = (parser->flags & F_CHUNKED) != 0;
	bool has_coding = (parser->flags & F_TRANSFER_ENCODING) != 0;
	bool has_length = (parser->flags & F_CONTENT_LENGTH) != 0;

	reader->is_complete = reader->names == reader->fields->count && reader->values == reader->names &&
			      is_chunked == reader->said.is_chunked && has_coding == is_chunked &&
			      has_length == reader->said.has_length &&
			      (!has_length || parser->content_length == reader->said.length);
	return HPE_PAUSED;
}

static const llhttp_settings_t second_reader_settings = {
	.on_url = on_target,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_headers_complete = on_complete,
};

static bool second_reader_agrees(llhttp_t *parser, const char *at, const char *end)
{
	struct second_reader *reader = parser->data;

	return llhttp_execute(parser, at, (size_t)(end - at)) == HPE_PAUSED && reader->is_complete &&
	       llhttp_get_error_pos(parser) == end;
}

/* llhttp knows some methods of HTTP, and others of RTSP; all other methods are passed to it as POST. */
static uint8_t second_reader_method(enum http_method method)
{
	switch (method) {
	case METHOD_GET:
		return HTTP_GET;
	case METHOD_HEAD:
		return HTTP_HEAD;
	case METHOD_PUT:
		return HTTP_PUT;
	case METHOD_DELETE:
		return HTTP_DELETE;
	case METHOD_CONNECT:
		return HTTP_CONNECT;
	case METHOD_OPTIONS:
		return HTTP_OPTIONS;
	case METHOD_TRACE:
		return HTTP_TRACE;
	case METHOD_PATCH:
		return HTTP_PATCH;
	case METHOD_POST:
	case METHOD_OTHER:
		break;
	}
	return HTTP_POST;
}

static enum http_error request_read_again(struct span bytes, const struct request_head *head,
					  const struct framing_fields *said)
{
	struct second_reader reader = { .fields = &head->fields, .target = head->target, .said = *said };
	const char *at = bytes.data;
	llhttp_t parser;

	llhttp_init(&parser, HTTP_REQUEST, &second_reader_settings);
	parser.data = &reader;
	if (head->method == METHOD_OTHER) {
		if (llhttp_execute(&parser, "POST", 4) != HPE_OK)
			return HTTP_ERROR_SECOND_READER;
		at += head->method_text.len;
	}
	if (!second_reader_agrees(&parser, at, bytes.data + bytes.len) || !reader.is_target_seen ||
	    parser.method != second_reader_method(head->method) || parser.http_major != 1 ||
	    parser.http_minor != head->version_minor)
		return HTTP_ERROR_SECOND_READER;
	return HTTP_ERROR_NONE;
}

static enum http_error response_read_again(struct span bytes, const struct response_head *head,
					   const struct framing_fields *said)
{
	struct second_reader reader = { .fields = &head->fields, .said = *said };
	llhttp_t parser;

	llhttp_init(&parser, HTTP_RESPONSE, &second_reader_settings);
	parser.data = &reader;
	if (!second_reader_agrees(&parser, bytes.data, bytes.data + bytes.len) ||
	    parser.status_code != head->status || parser.http_major != 1 ||
	    parser.http_minor != head->version_minor)
		return HTTP_ERROR_SECOND_READER;
	return HTTP_ERROR_NONE;
}

/* Each nomination costs a search through all fields: limit them to the limit of fields. */
static enum http_error nominations_check(const struct fields *fields)
{
	uint32_t count = 0;

	for (uint32_t i = 0; fields_have(fields, FIELD_CONNECTION) && i < fields->count; i++) {
		struct span rest = fields->list[i].value;
		struct span element;

		if (fields->list[i].id != FIELD_CONNECTION)
			continue;
		while (span_split(&rest, ',', &element)) {
			if (++count > LIMIT_HEADERS)
				return HTTP_ERROR_TOO_MANY_FIELDS;
		}
	}
	return HTTP_ERROR_NONE;
}

/* ---- heads ---- */

static uint16_t host_port_of(const struct request_head *head)
{
	return head->method == METHOD_CONNECT ? 0 : target_default_port(head);
}

enum http_error h1_parse_request(struct span bytes, struct arena *arena, struct request_head *ret_head,
				 struct body_framing *ret_framing)
{
	const char *at = bytes.data;
	const char *end = bytes.data + bytes.len;
	struct framing_fields said;
	struct span line;
	enum http_error http_error;

	*ret_head = (struct request_head){ 0 };
	fields_init(&ret_head->fields, arena);
	if (!line_cut(&at, end, &line))
		return HTTP_ERROR_REQUEST_LINE;
	http_error = request_line_read(line, ret_head);
	if (http_error == HTTP_ERROR_NONE)
		http_error = target_split(ret_head);
	if (http_error == HTTP_ERROR_NONE)
		http_error = fields_read(at, end, &ret_head->fields);
	if (http_error == HTTP_ERROR_NONE)
		http_error = head_check_host(ret_head, host_port_of(ret_head));
	if (http_error == HTTP_ERROR_NONE)
		http_error = framing_fields_read(&ret_head->fields, ret_head->version_minor, &said);
	if (http_error == HTTP_ERROR_NONE)
		http_error = framing_request_of(ret_head, &said, ret_framing);
	if (http_error == HTTP_ERROR_NONE)
		http_error = head_check_expect(&ret_head->fields);
	if (http_error == HTTP_ERROR_NONE)
		http_error = nominations_check(&ret_head->fields);
	return http_error == HTTP_ERROR_NONE ? request_read_again(bytes, ret_head, &said) : http_error;
}

enum http_error h1_parse_response(struct span bytes, struct arena *arena, struct response_head *ret_head)
{
	const char *at = bytes.data;
	const char *end = bytes.data + bytes.len;
	struct framing_fields said;
	struct body_framing framing;
	struct span line;
	enum http_error http_error;

	*ret_head = (struct response_head){ 0 };
	fields_init(&ret_head->fields, arena);
	if (!line_cut(&at, end, &line))
		return HTTP_ERROR_STATUS_LINE;
	http_error = status_line_read(line, ret_head);
	if (http_error == HTTP_ERROR_NONE)
		http_error = fields_read(at, end, &ret_head->fields);
	if (http_error == HTTP_ERROR_NONE)
		http_error = framing_fields_read(&ret_head->fields, ret_head->version_minor, &said);
	if (http_error == HTTP_ERROR_NONE)
		http_error = framing_response_of(ret_head, &said, METHOD_GET, &framing);
	if (http_error == HTTP_ERROR_NONE)
		http_error = nominations_check(&ret_head->fields);
	return http_error == HTTP_ERROR_NONE ? response_read_again(bytes, ret_head, &said) : http_error;
}
