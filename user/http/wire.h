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

enum { WIRE_SHORT_BYTES = 16 };

/* Most pieces are so short that a call of memcpy() costs more than the copy: two words that may overlap. */
static inline void wire_put_short(char *at, struct span s)
{
	if (s.len >= 8) {
		memcpy(at, s.data, 8);
		memcpy(at + s.len - 8, s.data + s.len - 8, 8);
	} else if (s.len >= 4) {
		memcpy(at, s.data, 4);
		memcpy(at + s.len - 4, s.data + s.len - 4, 4);
	} else if (s.len) {
		at[0] = s.data[0];
		at[s.len / 2] = s.data[s.len / 2];
		at[s.len - 1] = s.data[s.len - 1];
	}
}

/* Functions return the position after the bytes they put. */
static inline char *wire_put(char *at, struct span s)
{
	if (s.len > WIRE_SHORT_BYTES)
		memcpy(at, s.data, s.len);
	else
		wire_put_short(at, s);
	return at + s.len;
}

static inline char *wire_put_field(char *at, const struct field *field)
{
	at = wire_put(at, field->name);
	at = wire_put(at, SPAN(": "));
	at = wire_put(at, field->value);
	return wire_put(at, SPAN("\r\n"));
}
