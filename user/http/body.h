/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/http/framing.h"

/*
 * Body bytes on the wire <-> payload. The decoder is resumable at any byte, strict (RFC 9112 7.1 without
 * any leniency), and never looks past the end of its message. The chunk state is plain data, so that a
 * walk in another place can take over at a chunk boundary and hand it back.
 *
 * Stricter than the RFC, on purpose:
 *   - no blanks around chunk extensions outside of quoted strings (RFC 9112 7.1.1 calls them "bad");
 *   - a trailer section that names Content-Length, Transfer-Encoding or Host is refused as TRAILER; other
 *     names that RFC 9110 6.5.1 forbids there are dropped by body_trailers().
 */
enum body_step {
	BODY_DATA, /* *ret_payload is set (never empty); call again with what is left */
	BODY_MORE, /* everything given was consumed; the message goes on */
	BODY_END, /* the message is complete; bytes not consumed belong to the next one */
	BODY_BAD, /* bad says why */
};

/*
 * Where a chunked body stands. The numbers are fixed: other code that walks the same bytes shares them.
 * `left` means: the size read so far in SIZE to SIZE_LF, payload to come in DATA, else 0.
 *
 *	SIZE_FIRST -> SIZE [-> EXT_*] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF -> SIZE_FIRST ...
 *	                                 \ size 0
 *	                                  -> TRAILER_LINE [-> _NAME -> _VALUE -> _LF ->] -> END_LF -> END
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
	CHUNK_EXT_QUOTED = 10, /* inside of a quoted string */
	CHUNK_EXT_ESCAPED = 11, /* behind a backslash in it */
	CHUNK_EXT_QUOTED_END = 12,
	CHUNK_TRAILER_LINE = 13, /* at the first byte of a line behind the last chunk */
	CHUNK_TRAILER_NAME = 14,
	CHUNK_TRAILER_VALUE = 15,
	CHUNK_TRAILER_LF = 16,
	CHUNK_END_LF = 17, /* CR of the empty line was read */
	CHUNK_END = 18,
};

struct body_decoder {
	enum body_kind kind : 8;
	enum http_bad bad : 8;
	uint8_t chunk_state; /* enum chunk_state */
	bool is_done;
	uint32_t line_bytes; /* of the running chunk line or trailer section */
	uint64_t left; /* LENGTH: of the body; CHUNKED: of the chunk */
	uint64_t payload_bytes; /* delivered */
	uint64_t framing_bytes; /* of chunk lines, CRLFs and trailers */
	struct buf *trailers; /* raw trailer section without the empty line, owner; NULL: none */
};

void body_decoder_init(struct body_decoder *d, const struct body_framing *framing);
void body_decoder_done(struct body_decoder *d);
/* The raw trailer section so far; may be empty. */
static inline struct span body_trailer_bytes(const struct body_decoder *d)
{
	return d->trailers && d->trailers->data ? buf_span(d->trailers) : SPAN("");
}
/*
 * One step. *ret_consumed counts payload too; *ret_payload is empty but for BODY_DATA, and points into
 * `in`. `in` may be empty: reports END of a body of length 0. END and BAD are repeated by every further
 * call.
 */
enum body_step body_decode(struct body_decoder *d, struct span in, size_t *ret_consumed,
			   struct span *ret_payload);
/*
 * The end of the connection, or of an HTTP/2 stream. 0 when that ends the body (UNTIL_CLOSE, TUNNEL,
 * FRAMED), -EPROTO when bytes are missing.
 */
int body_decode_eof(struct body_decoder *d);
/*
 * Parsed and filtered trailer fields after BODY_END (forbidden names dropped); the bytes are copied into
 * `arena`. BAD_NONE or the reason.
 */
enum http_bad body_trailers(const struct body_decoder *d, struct arena *arena, struct fields *ret_trailers);

/* "1a2b\r\n" into out (at least CHUNK_HEAD_BYTES); returns its length. payload_bytes > 0. */
#define CHUNK_HEAD_BYTES 20
size_t chunk_write_head(char *out, uint64_t payload_bytes);
/*
 * Last chunk, trailers, final CRLF. trailers may be NULL; forbidden names are left out. 0, -ENOMEM, -ENOBUFS,
 * -EINVAL for a name or value that would break the framing.
 */
int chunk_write_end(struct buf *out, const struct fields *trailers, size_t max_bytes);
