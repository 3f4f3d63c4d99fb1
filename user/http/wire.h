/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/fields.h"
#include "user/base/char_class.h"

/*
 * Bytes of a message to be sent, for code that writes heads, trailers and replies: measure first, reserve
 * once, then put. Names and values may come from the configuration or from a peer with another protocol, so
 * each is checked before the first byte is put: a CR, LF or NUL in a value would let its author write the
 * rest of the message.
 */

static inline bool wire_field_is_clean(const struct field *field)
{
	/* A known name is a token. */
	return (field->id != FIELD_OTHER || char_class_is_token(field->name)) &&
	       char_class_is_text(field->value);
}

/* "name: value CRLF" */
static inline size_t wire_field_bytes(const struct field *field)
{
	return field->name.len + 2 + field->value.len + 2;
}

/* All functions return the position after the bytes they put. */
static inline char *wire_put(char *at, struct span s)
{
	if (s.len)
		memcpy(at, s.data, s.len);
	return at + s.len;
}

static inline char *wire_put_field(char *at, const struct field *field)
{
	at = wire_put(at, field->name);
	at = wire_put(at, SPAN(": "));
	at = wire_put(at, field->value);
	return wire_put(at, SPAN("\r\n"));
}
