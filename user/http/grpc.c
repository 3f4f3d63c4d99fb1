/* SPDX-License-Identifier: Apache-2.0 */
#include "user/http/grpc.h"

#include <errno.h>

#include "user/base/text.h"

bool grpc_is_call(const struct fields *request)
{
	static const struct span type = { "application/grpc", 16 };
	const struct field *field = fields_get(request, FIELD_CONTENT_TYPE);
	struct span rest;

	if (!field || !span_eq_nocase(span_first(field->value, type.len), type))
		return false;
	rest = span_from(field->value, type.len);
	if (rest.len && rest.data[0] == '+')
		return true;
	rest = span_trim(rest);
	return rest.len == 0 || rest.data[0] == ';';
}

enum grpc_status grpc_status_of_http(uint16_t status)
{
	switch (status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
	case 407:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

/* Not in the middle of a character of UTF-8. */
static struct span beginning_of(struct span text)
{
	size_t len = GRPC_MESSAGE_BYTES;

	if (text.len <= len)
		return text;
	for (int i = 0; i < 3 && ((unsigned char)text.data[len] & 0xc0) == 0x80; i++)
		len--;
	return span_first(text, len);
}

/* Status-Message: all bytes are percent-encoded except visible ASCII without '%'. */
static struct span grpc_message(struct arena *arena, struct span text)
{
	static const char digits[] = "0123456789ABCDEF";
	char *out = arena_bytes(arena, text.len * 3 + 1);
	size_t len = 0;

	if (!out)
		return (struct span){ 0 };
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.data[i];

		if (byte >= 0x20 && byte <= 0x7e && byte != '%') {
			out[len++] = (char)byte;
			continue;
		}
		out[len++] = '%';
		out[len++] = digits[byte >> 4];
		out[len++] = digits[byte & 15];
	}
	return span_of(out, len);
}

int grpc_answer(struct fields *fields, enum grpc_status status, struct span text)
{
	char digits[24];
	struct span number = arena_copy(fields->arena, span_of(digits, text_u64(digits, (uint64_t)status)));
	struct span message = grpc_message(fields->arena, beginning_of(text));
	int error = number.data && message.data ? 0 : -ENOMEM;

	if (!error)
		error = fields_set(fields, SPAN("content-type"), SPAN("application/grpc"));
	if (!error)
		error = fields_set(fields, SPAN("grpc-status"), number);
	if (!error && message.len)
		error = fields_set(fields, SPAN("grpc-message"), message);
	return error;
}

int grpc_status_read(const struct fields *fields)
{
	const struct field *field = fields_find(fields, SPAN("grpc-status"));
	int status = 0;

	if (!field || field->value.len == 0 || field->value.len > 3)
		return -1;
	for (size_t i = 0; i < field->value.len; i++) {
		if (field->value.data[i] < '0' || field->value.data[i] > '9')
			return -1;
		status = status * 10 + (field->value.data[i] - '0');
	}
	return status;
}
