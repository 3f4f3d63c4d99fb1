/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/head.h"
#include "user/http/refusal.h"

/*
 * The only place that decides how long a body is (RFC 9112 6.3). No other code reads Content-Length or
 * Transfer-Encoding.
 *
 * Refuses what two servers could read in two ways: both fields at once, either of them twice, any transfer
 * coding but one plain "chunked", a transfer coding in HTTP/1.0, in a 1xx or in a 204, a length in a 1xx, a
 * body on CONNECT or TRACE.
 */

enum body_kind {
	BODY_NONE,
	BODY_LENGTH,
	BODY_CHUNKED,
	BODY_UNTIL_CLOSE, /* responses only */
	BODY_TUNNEL, /* after 101, or 2xx to CONNECT */
	BODY_FRAMED, /* HTTP/2 without a length: ends with its stream */
};

struct body_framing {
	enum body_kind kind;
	uint64_t length; /* BODY_LENGTH: 1..2^63-1; a length of 0 is BODY_NONE */
	bool announces_length; /* BODY_NONE: a Content-Length is forwarded nevertheless (HEAD, 304, "0") */
	uint64_t announced; /* its value */
};

/* Of a message with so many bytes, known before its head is written. */
static inline struct body_framing framing_of_length(uint64_t length)
{
	return (struct body_framing){ .kind = length ? BODY_LENGTH : BODY_NONE,
				      .length = length,
				      .announces_length = !length };
}

/*
 * The content of the two fields, before method and status are considered. h1_parse compares it with llhttp.
 */
struct framing_fields {
	bool has_length;
	bool is_chunked;
	uint64_t length; /* 0..2^63-1; 0 without a Content-Length */
};
enum http_error framing_fields_read(const struct fields *fields, uint8_t version_minor,
				    struct framing_fields *ret);

/* For HTTP/1 (HTTP/2: h2_head.h). HTTP_ERROR_NONE, or the reason with *ret_framing unchanged. */
enum http_error framing_request(const struct request_head *head, struct body_framing *ret_framing);
/*
 * `method` is that of the request. A 1xx other than 101 is BODY_NONE. Responses with 204 or 304, and those to
 * HEAD, never have a body. The Content-Length of a 204 (RFC 9110 8.6 forbids it) is dropped, and
 * framing_response_keeps() is false if it was not 0: the sender may also send the bytes.
 */
enum http_error framing_response(const struct response_head *head, enum http_method method,
				 struct body_framing *ret_framing);
/* The same when the fields have been read; only for heads of HTTP/1. */
enum http_error framing_request_of(const struct request_head *head, const struct framing_fields *said,
				   struct body_framing *ret_framing);
enum http_error framing_response_of(const struct response_head *head, const struct framing_fields *said,
				    enum http_method method, struct body_framing *ret_framing);
/*
 * RFC 9112 9.3: whether the sender of this head will keep the connection after the message. "close" overrides
 * "keep-alive". A response with BODY_UNTIL_CLOSE always ends its connection.
 */
bool framing_request_keeps(const struct request_head *head);
bool framing_response_keeps(const struct response_head *head);
/* `Keep-Alive: timeout=N` of a response, in seconds, or 0. */
uint32_t framing_keep_alive_s(const struct response_head *head);
