/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/http/framing.h"

/*
 * Converts between body bytes on the wire and payload. The decoder can be resumed at any byte, is strict (RFC
 * 9112 7.1 without any leniency), and never reads past the end of its message. The chunk state is plain data,
 * so that another walk can take over at a chunk boundary and hand it back.
 *
 * Stricter than the RFC, on purpose:
 *   - no blanks around chunk extensions outside of quoted strings (RFC 9112 7.1.1 calls them "bad");
 *   - a trailer section that names Content-Length, Transfer-Encoding or Host is refused as TRAILER; other
 *     names that RFC 9110 6.5.1 forbids there are dropped by body_trailers().
 */
enum body_step {
	BODY_DATA, /* *ret_payload is set (never empty); call again with the rest */
	BODY_MORE, /* all input was consumed; the message continues */
	BODY_END, /* the message is complete; unconsumed bytes belong to the next one */
	BODY_BAD, /* reason in bad */
};

/*
 * The position in a chunked body. The numbers are fixed, because other code that walks the same bytes uses
 * them. `left`: the size read so far in SIZE to SIZE_LF, remaining payload in DATA, otherwise 0.
 *
 * SIZE_FIRST -> SIZE [-> EXT_*] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST ...
 *                                  \ size 0
 *                                   -> TRAILER_LINE [-> _NAME -> _VALUE -> _LF ->] -> END_LF -> END
 */
enum chunk_state {
	CHUNK_SIZE_FIRST = 0, /* at the first digit of a size: the chunk boundary */
	CHUNK_SIZE = 1, /* at least one digit was read */
	CHUNK_SIZE_LF = 2, /* CR of the size line was read */
	CHUNK_DATA = 3, /* left > 0 payload bytes follow */
	CHUNK_DATA_CR = 4,
	CHUNK_DATA_LF = 5,
	CHUNK_EXT_NAME_FIRST = 6, /* ';' was read */
	CHUNK_EXT_NAME = 7,
	CHUNK_EXT_VALUE_FIRST = 8, /* '=' was read */
	CHUNK_EXT_VALUE = 9,
	CHUNK_EXT_QUOTED = 10, /* inside a quoted string */
	CHUNK_EXT_ESCAPED = 11, /* after a backslash in it */
	CHUNK_EXT_QUOTED_END = 12,
	CHUNK_TRAILER_LINE = 13, /* at the first byte of a line after the last chunk */
	CHUNK_TRAILER_NAME = 14,
	CHUNK_TRAILER_VALUE = 15,
	CHUNK_TRAILER_LF = 16,
	CHUNK_END_LF = 17, /* CR of the empty line was read */
	CHUNK_END = 18,
};

struct body_decoder {
	enum body_kind kind : 8;
	enum http_error http_error : 8;
	uint8_t chunk_state; /* enum chunk_state */
	bool is_done : 1;
	bool is_limited : 1; /* body_decoder_limit(), until the trailer section begins */
	uint32_t line_bytes; /* of the current chunk line or trailer section */
	uint64_t left; /* LENGTH: of the body; CHUNKED: of the chunk */
	uint64_t payload_bytes; /* delivered */
	uint64_t framing_bytes; /* of chunk lines, CRLFs and trailers */
	/* There are many tunnels, with two of these each, and no payload follows trailers. */
	union {
		struct buf *trailers; /* raw trailer section without the empty line, owner; NULL: none */
		uint64_t most_bytes; /* of payload, if is_limited */
	};
};

void body_decoder_init(struct body_decoder *d, const struct body_framing *framing);
void body_decoder_done(struct body_decoder *d);
/* Right after the start: more than most_bytes of payload are BODY_BAD, HTTP_ERROR_BODY_TOO_LARGE. */
static inline void body_decoder_limit(struct body_decoder *d, uint64_t most_bytes)
{
	d->is_limited = true;
	d->most_bytes = most_bytes;
}
/* The raw trailer section so far; may be empty. */
static inline struct span body_trailer_bytes(const struct body_decoder *d)
{
	return !d->is_limited && d->trailers && d->trailers->data ? buf_span(d->trailers) : SPAN("");
}
/*
 * One step. *ret_consumed includes payload; *ret_payload is empty except for BODY_DATA, and points into `in`.
 * `in` may be empty: a body of length 0 returns END. Further calls repeat END and BAD.
 */
enum body_step body_decode(struct body_decoder *d, struct span in, size_t *ret_consumed,
			   struct span *ret_payload);
/*
 * Call at the end of the connection, or of an HTTP/2 stream. Returns 0 if that ends the body (UNTIL_CLOSE,
 * TUNNEL, FRAMED), -EPROTO if bytes are missing.
 */
int body_decode_eof(struct body_decoder *d);
/*
 * Returns the parsed and filtered trailer fields after BODY_END, without forbidden names; the bytes are
 * copied into `arena`. HTTP_ERROR_NONE or the reason.
 */
enum http_error body_trailers(const struct body_decoder *d, struct arena *arena, struct fields *ret_trailers);

/* Writes "1a2b\r\n" to out (at least CHUNK_HEAD_BYTES); returns its length. payload_bytes > 0. */
#define CHUNK_HEAD_BYTES 20
size_t chunk_write_head(char *out, uint64_t payload_bytes);
/*
 * Writes the last chunk, trailers, and the final CRLF. trailers may be NULL; forbidden names are left out. 0,
 * -ENOMEM, -ENOBUFS, -EINVAL for a name or value that would break the framing.
 */
int chunk_write_end(struct buf *out, const struct fields *trailers, size_t max_bytes);
