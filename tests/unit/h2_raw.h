/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <errno.h>

#include "tests/unit/h2_play.h"

/* HTTP/2 frames by hand, honest and otherwise: what a peer of ours would never send. */

enum h2_raw_type {
	RAW_DATA,
	RAW_HEADERS,
	RAW_PRIORITY,
	RAW_RST_STREAM,
	RAW_SETTINGS,
	RAW_PUSH_PROMISE,
	RAW_PING,
	RAW_GOAWAY,
	RAW_WINDOW_UPDATE,
	RAW_CONTINUATION,
	RAW_PRIORITY_UPDATE = 16,
};

enum h2_raw_flags {
	RAW_ACK = 1,
	RAW_END_STREAM = 1,
	RAW_END_HEADERS = 4,
	RAW_PADDED = 8,
};

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline void h2_raw_bytes(struct buf *out, struct span bytes)
{
	assert_int_equal(buf_append(out, bytes, SIZE_MAX), 0);
}

static inline void h2_raw_u8(struct buf *out, unsigned int value)
{
	h2_raw_bytes(out, span_of(&(char){ (char)value }, 1));
}

static inline void h2_raw_u32(struct buf *out, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		h2_raw_u8(out, value >> shift & 0xff);
}

static inline void h2_raw_head(struct buf *out, size_t len, unsigned int type, unsigned int flags,
			       uint32_t stream)
{
	h2_raw_u8(out, (unsigned int)(len >> 16));
	h2_raw_u8(out, len >> 8 & 0xff);
	h2_raw_u8(out, len & 0xff);
	h2_raw_u8(out, type);
	h2_raw_u8(out, flags);
	h2_raw_u32(out, stream);
}

static inline void h2_raw_frame(struct buf *out, unsigned int type, unsigned int flags, uint32_t stream,
				struct span payload)
{
	h2_raw_head(out, payload.len, type, flags, stream);
	h2_raw_bytes(out, payload);
}

/* A frame whose payload is one number: RST_STREAM, WINDOW_UPDATE. */
static inline void h2_raw_number(struct buf *out, unsigned int type, uint32_t stream, uint32_t value)
{
	h2_raw_head(out, 4, type, 0, stream);
	h2_raw_u32(out, value);
}

/* RFC 7541 5.1, with a prefix of 7 bits. */
static inline void h2_raw_length(struct buf *out, size_t len)
{
	h2_raw_u8(out, len < 127 ? (unsigned int)len : 127);
	if (len < 127)
		return;
	for (len -= 127; len >= 128; len /= 128)
		h2_raw_u8(out, 128 | (len & 127));
	h2_raw_u8(out, (unsigned int)len);
}

/* RFC 7541 6.2.1 and 6.2.2: a literal field, with a new name. */
static inline void h2_raw_field(struct buf *block, struct span name, struct span value, bool is_indexed)
{
	h2_raw_u8(block, is_indexed ? 0x40 : 0);
	h2_raw_length(block, name.len);
	h2_raw_bytes(block, name);
	h2_raw_length(block, value.len);
	h2_raw_bytes(block, value);
}

/* Lines "name=value" as a block. */
static inline void h2_raw_fields(struct buf *block, struct span text)
{
	struct span line;

	while (text.len && span_split(&text, '\n', &line)) {
		ptrdiff_t equals = span_find(line, '=');

		if (equals >= 0)
			h2_raw_field(block, span_first(line, (size_t)equals),
				     span_from(line, (size_t)equals + 1), false);
	}
}

static inline void h2_raw_headers(struct buf *out, uint32_t stream, struct span text, unsigned int flags)
{
	struct buf block = { 0 };

	h2_raw_fields(&block, text);
	h2_raw_frame(out, RAW_HEADERS, flags | RAW_END_HEADERS, stream, buf_span(&block));
	buf_done(&block);
}

/* One end of a connection that is ours, and what the other end says to it. */
struct h2_raw {
	struct h2_session *session;
	struct buf in; /* to be fed */
	struct buf out; /* what it answered */
	uint64_t now_ms;
};

static inline void h2_raw_begin_with(struct h2_raw *raw, const struct h2_options *options)
{
	*raw = (struct h2_raw){ .session = h2_session_create(options), .now_ms = 1000000 };
	assert_non_null(raw->session);
	if (options->role == H2_SERVER)
		h2_raw_bytes(&raw->in, SPAN(H2_PREFACE));
	h2_raw_frame(&raw->in, RAW_SETTINGS, 0, 0, SPAN(""));
}

static inline void h2_raw_begin(struct h2_raw *raw, enum h2_role role)
{
	struct h2_options options = h2_play_options(role);

	h2_raw_begin_with(raw, &options);
}

static inline void h2_raw_end(struct h2_raw *raw)
{
	struct h2_stream *stream;

	while ((stream = h2_session_next(raw->session)))
		h2_stream_release(stream, H2_CANCEL);
	h2_session_free(raw->session);
	buf_done(&raw->in);
	buf_done(&raw->out);
}

/* Feeds what was written; takes no answer. */
static inline int h2_raw_feed(struct h2_raw *raw)
{
	int error = h2_session_feed(raw->session, buf_span(&raw->in), raw->now_ms);

	buf_consume(&raw->in, buf_len(&raw->in));
	return error;
}

/* Feeds, and takes the answer. */
static inline int h2_raw_turn(struct h2_raw *raw)
{
	int error = h2_raw_feed(raw);

	assert_int_equal(h2_session_output(raw->session, &raw->out, SIZE_MAX), 0);
	return error;
}

/* Whether a frame of this type went out, for this stream, with this number at `at` of its payload. */
static inline bool h2_raw_has(const struct h2_raw *raw, unsigned int type, uint32_t stream, size_t at,
			      uint32_t number)
{
	size_t preface = span_starts(buf_span(&raw->out), SPAN(H2_PREFACE)) ? sizeof(H2_PREFACE) - 1 : 0;
	const uint8_t *byte = (const uint8_t *)buf_span(&raw->out).data + preface;
	size_t left = buf_len(&raw->out) - preface;

	while (left >= 9) {
		size_t len = (size_t)byte[0] << 16 | (size_t)byte[1] << 8 | byte[2];
		uint32_t id =
			(uint32_t)byte[5] << 24 | (uint32_t)byte[6] << 16 | (uint32_t)byte[7] << 8 | byte[8];
		const uint8_t *value = byte + 9 + at;

		assert_true(left >= 9 + len);
		if (byte[3] == type && id == stream && len >= at + 4 &&
		    ((uint32_t)value[0] << 24 | (uint32_t)value[1] << 16 | (uint32_t)value[2] << 8 |
		     value[3]) == number)
			return true;
		byte += 9 + len;
		left -= 9 + len;
	}
	return false;
}

static inline bool h2_raw_has_goaway(const struct h2_raw *raw, uint32_t code)
{
	return h2_raw_has(raw, RAW_GOAWAY, 0, 4, code);
}

/* The connection ended because of the peer, and said so. */
static inline void h2_raw_expect_failure(struct h2_raw *raw, uint32_t code, enum h2_flood_kind flood)
{
	if (h2_session_flood(raw->session) != flood)
		fail_msg("flood %s instead of %s", h2_flood_name(h2_session_flood(raw->session)),
			 h2_flood_name(flood));
	assert_int_equal(h2_session_feed(raw->session, SPAN("more"), raw->now_ms), -EPROTO);
	assert_int_equal(h2_session_output(raw->session, &raw->out, SIZE_MAX), 0);
	assert_true(h2_raw_has_goaway(raw, code));
	assert_true(h2_session_is_over(raw->session));
	assert_false(h2_session_wants_output(raw->session));
	assert_int_equal(h2_session_feed(raw->session, SPAN("more"), raw->now_ms), -EPROTO);
}
