/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/span.h"

/* A writer of TLS ClientHellos, honest and otherwise. */

struct bytes {
	size_t len;
	unsigned char data[40000];
};

static inline void put(struct bytes *b, const void *data, size_t len)
{
	memcpy(b->data + b->len, data, len);
	b->len += len;
}

static inline void put_number(struct bytes *b, uint32_t value, unsigned int size)
{
	while (size-- > 0)
		b->data[b->len++] = (unsigned char)(value >> 8 * size);
}

/* Reserves a length of `size` bytes; put_end() fills it in. */
static inline size_t put_begin(struct bytes *b, unsigned int size)
{
	put_number(b, 0, size);
	return b->len;
}

static inline void put_end(struct bytes *b, size_t begin, unsigned int size)
{
	uint32_t len = (uint32_t)(b->len - begin);

	for (unsigned int i = 0; i < size; i++)
		b->data[begin - size + i] = (unsigned char)(len >> 8 * (size - 1 - i));
}

static inline void put_server_name(struct bytes *b, struct span name)
{
	size_t extension, list;

	put_number(b, 0, 2);
	extension = put_begin(b, 2);
	list = put_begin(b, 2);
	put_number(b, 0, 1);
	put_number(b, (uint32_t)name.len, 2);
	put(b, name.data, name.len);
	put_end(b, list, 2);
	put_end(b, extension, 2);
}

/* "h2,http/1.1" */
static inline void put_alpn(struct bytes *b, const char *protocols)
{
	struct span rest = span_str(protocols), protocol;
	size_t extension, list;

	put_number(b, 16, 2);
	extension = put_begin(b, 2);
	list = put_begin(b, 2);
	while (span_split(&rest, ',', &protocol)) {
		put_number(b, (uint32_t)protocol.len, 1);
		put(b, protocol.data, protocol.len);
	}
	put_end(b, list, 2);
	put_end(b, extension, 2);
}

static inline void put_padding(struct bytes *b, uint32_t len)
{
	put_number(b, 21, 2);
	put_number(b, len, 2);
	memset(b->data + b->len, 0, len);
	b->len += len;
}

/* A handshake message around extensions; extensions == NULL: without the block. */
static inline void put_message_with_session(struct bytes *b, uint32_t session_len,
					    const struct bytes *extensions)
{
	static const unsigned char bytes[64] = { 1, 2, 3 };
	size_t message;

	put_number(b, 1, 1);
	message = put_begin(b, 3);
	put_number(b, 0x0303, 2);
	put(b, bytes, 32);
	put_number(b, session_len, 1);
	put(b, bytes, session_len);
	put_number(b, 4, 2);
	put(b, "\x13\x01\x13\x02", 4);
	put_number(b, 1, 1);
	put_number(b, 0, 1);
	if (extensions) {
		put_number(b, (uint32_t)extensions->len, 2);
		put(b, extensions->data, extensions->len);
	}
	put_end(b, message, 3);
}

static inline void put_message(struct bytes *b, const struct bytes *extensions)
{
	put_message_with_session(b, 4, extensions);
}

/* Cuts a message into records of at most `most` bytes. */
static inline void put_records(struct bytes *b, const struct bytes *message, size_t most)
{
	for (size_t at = 0; at < message->len;) {
		size_t len = message->len - at < most ? message->len - at : most;

		put(b, "\x16\x03\x01", 3);
		put_number(b, (uint32_t)len, 2);
		put(b, message->data + at, len);
		at += len;
	}
}

static inline void hello_of(struct bytes *ret_stream, const struct bytes *extensions)
{
	static struct bytes message;

	message.len = 0;
	ret_stream->len = 0;
	put_message(&message, extensions);
	put_records(ret_stream, &message, 1 << 14);
}

static inline void hello_named(struct bytes *ret_stream, const char *name, const char *protocols)
{
	static struct bytes extensions;

	extensions.len = 0;
	put_padding(&extensions, 3);
	if (name)
		put_server_name(&extensions, span_str(name));
	put_number(&extensions, 0xff01, 2);
	put(&extensions, "\0\1\0", 3);
	if (protocols)
		put_alpn(&extensions, protocols);
	hello_of(ret_stream, &extensions);
}
