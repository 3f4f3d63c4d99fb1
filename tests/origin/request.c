/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/origin/request.h"

#include <string.h>

const char *field_split(struct text line, struct text *ret_name, struct text *ret_value)
{
	size_t size = 0;
	struct text value;

	while (size < line.size && text_is_tchar((unsigned char)line.at[size]))
		size++;
	if (size == 0)
		return line.size && (line.at[0] == ' ' || line.at[0] == '\t') ? "folded field line"
									      : "empty field name";
	if (size == line.size || line.at[size] != ':')
		return "byte that is not allowed in a field name";
	value = (struct text){ line.at + size + 1, line.size - size - 1 };
	for (size_t i = 0; i < value.size; i++) {
		unsigned char c = (unsigned char)value.at[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return "control byte in a field value";
	}
	*ret_name = (struct text){ line.at, size };
	*ret_value = text_trim(value);
	return NULL;
}

static bool line_next(struct text *rest, struct text *ret_line)
{
	const char *lf = rest->size ? memchr(rest->at, '\n', rest->size) : NULL;
	size_t size;

	if (!lf)
		return false;
	size = (size_t)(lf - rest->at) + 1;
	*ret_line = (struct text){ rest->at, size - 2 };
	rest->at += size;
	rest->size -= size;
	return true;
}

bool field_next(struct text *rest, struct text *ret_name, struct text *ret_value)
{
	struct text line;

	return line_next(rest, &line) && field_split(line, ret_name, ret_value) == NULL;
}

static const char *target_parse(struct request *request)
{
	struct text target = request->target;
	const char *mark;

	if (target.size == 0)
		return "empty request target";
	for (size_t i = 0; i < target.size; i++) {
		unsigned char c = (unsigned char)target.at[i];

		if (c <= 0x20 || c >= 0x7f || c == '#')
			return "byte that is not allowed in a request target";
	}
	if (text_is(target, "*") && text_is(request->method, "OPTIONS")) {
		request->path = target;
		return NULL;
	}
	if (target.size > 7 && text_is_nocase((struct text){ target.at, 7 }, "http://")) {
		target.at += 7;
		target.size -= 7;
		mark = memchr(target.at, '/', target.size);
		if (!mark)
			return "absolute target without a path";
		target.size -= (size_t)(mark - target.at);
		target.at = mark;
	}
	if (target.at[0] != '/')
		return "request target is not a path";
	mark = memchr(target.at, '?', target.size);
	request->path = (struct text){ target.at, mark ? (size_t)(mark - target.at) : target.size };
	if (mark)
		request->query = (struct text){ mark + 1, target.size - request->path.size - 1 };
	return NULL;
}

static const char *line_parse(struct request *request, struct text line)
{
	size_t size = 0;
	const char *space;

	while (size < line.size && text_is_tchar((unsigned char)line.at[size]))
		size++;
	if (size == 0 || size == line.size || line.at[size] != ' ')
		return "request line does not start with a method and one space";
	request->method = (struct text){ line.at, size };
	request->is_head = text_is(request->method, "HEAD");
	line.at += size + 1;
	line.size -= size + 1;
	space = memchr(line.at, ' ', line.size);
	if (!space)
		return "request line without a version";
	request->target = (struct text){ line.at, (size_t)(space - line.at) };
	line.size -= request->target.size + 1;
	line.at = space + 1;
	if (line.size != 8 || memcmp(line.at, "HTTP/1.", 7) != 0 || (line.at[7] != '0' && line.at[7] != '1'))
		return "version is neither HTTP/1.0 nor HTTP/1.1";
	request->minor = line.at[7] - '0';
	return target_parse(request);
}

static const char *host_check(struct text host)
{
	for (size_t i = 0; i < host.size; i++) {
		unsigned char c = (unsigned char)host.at[i];

		if (c <= 0x20 || c >= 0x7f || strchr(",@/?#\\", c) != NULL)
			return "byte that is not allowed in Host";
	}
	return NULL;
}

static const char *field_length(struct request *request, struct text value)
{
	if (request->has_length)
		return "two Content-Length fields";
	if (!text_u64(value, &request->length))
		return "Content-Length is not one decimal number";
	request->has_length = true;
	return NULL;
}

static const char *field_coding(struct request *request, struct text value)
{
	if (request->framing == FRAMING_CHUNKED)
		return "two Transfer-Encoding fields";
	if (!text_is_nocase(value, "chunked"))
		return "Transfer-Encoding is not exactly chunked";
	if (request->minor == 0)
		return "Transfer-Encoding in HTTP/1.0";
	request->framing = FRAMING_CHUNKED;
	return NULL;
}

static void field_connection(struct request *request, struct text value)
{
	request->wants_close |= text_has_token(value, "close");
	request->wants_keep_alive |= text_has_token(value, "keep-alive");
	request->wants_upgrade |= text_has_token(value, "upgrade");
}

static const char *field_host(struct request *request, struct text value)
{
	if (request->has_host)
		return "two Host fields";
	request->has_host = true;
	request->host = value;
	return host_check(value);
}

static const char *field_known(struct request *request, struct text name, struct text value)
{
	switch (name.size) {
	case 4:
		if (text_is_nocase(name, "host"))
			return field_host(request, value);
		break;
	case 6:
		if (text_is_nocase(name, "expect")) {
			request->has_expect = true;
			request->expects_continue = text_is_nocase(value, "100-continue");
		}
		break;
	case 7:
		if (text_is_nocase(name, "upgrade"))
			request->upgrade = value;
		break;
	case 10:
		if (text_is_nocase(name, "connection"))
			field_connection(request, value);
		break;
	case 14:
		if (text_is_nocase(name, "content-length"))
			return field_length(request, value);
		break;
	case 17:
		if (text_is_nocase(name, "transfer-encoding"))
			return field_coding(request, value);
		if (text_is_nocase(name, "sec-websocket-key"))
			request->websocket_key = value;
		break;
	case 21:
		if (text_is_nocase(name, "sec-websocket-version"))
			request->websocket_version = value;
		break;
	case 22:
		if (text_is_nocase(name, "sec-websocket-protocol"))
			request->websocket_protocol = value;
		break;
	}
	return NULL;
}

static const char *head_check(struct request *request)
{
	struct text authority = request->target;

	if (!request->has_host && request->minor == 1)
		return "HTTP/1.1 without Host";
	if (request->framing == FRAMING_CHUNKED && request->has_length)
		return "both Content-Length and Transfer-Encoding";
	if (request->has_length)
		request->framing = FRAMING_LENGTH;
	if (request->upgrade.size == 0)
		request->wants_upgrade = false;
	if (authority.at[0] != '/' && authority.at[0] != '*') {
		authority.at += 7;
		authority.size = (size_t)(request->path.at - authority.at);
		if (request->has_host && !text_same_nocase(authority, request->host))
			return "Host differs from the absolute target";
	}
	return NULL;
}

static const char *head_parse(struct text head, struct request *request)
{
	struct text line = { 0 }, name, value;
	const char *why;

	line_next(&head, &line);
	why = line_parse(request, line);
	request->fields = (struct text){ head.at, head.size - 2 };
	while (!why && line_next(&head, &line) && line.size > 0) {
		why = field_split(line, &name, &value);
		if (!why)
			why = field_known(request, name, value);
	}
	return why ? why : head_check(request);
}

enum request_step request_parse(const char *data, size_t size, size_t *scanned, struct request *ret,
				const char **ret_why)
{
	struct request request = { 0 };
	size_t at = *scanned;
	const char *why = NULL;

	for (;;) {
		const char *lf = memchr(data + at, '\n', size - at);
		size_t line_end;

		if (!lf) {
			*scanned = at;
			return size >= REQUEST_MAX_BYTES ? REQUEST_TOO_LARGE : REQUEST_MORE;
		}
		line_end = (size_t)(lf - data);
		if (line_end == at || lf[-1] != '\r')
			why = "line ends with a bare LF";
		else if (memchr(data + at, '\r', line_end - at) != lf - 1)
			why = "CR that is not part of a line end";
		else if (line_end == at + 1 && at == 0)
			why = "blank line before the request line";
		if (why)
			break;
		if (line_end == at + 1) {
			request.size = line_end + 1;
			why = head_parse((struct text){ data, request.size }, &request);
			break;
		}
		at = line_end + 1;
	}
	if (why) {
		*ret_why = why;
		return REQUEST_BAD;
	}
	*ret = request;
	return REQUEST_READY;
}
