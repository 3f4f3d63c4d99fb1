/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/framing.h"
#include "user/http/head.h"

/*
 * A header section of HTTP/2: pseudo-header fields and fields, in an arena of its own. It is built field by
 * field while a peer's block is decoded, with the checks that a downgrade to HTTP/1 needs (RFC 9113 8.2, 8.3,
 * 10.3), and converted to and from the heads that the rest of the program uses.
 *
 * Checked here, even if nghttp2 checks it, too: no CR, LF, NUL or other control byte, no upper case, no
 * connection-specific field, TE only "trailers"; pseudo-header fields are known, unique, and before the
 * others; `:authority` is host[:port] without userinfo and agrees with Host; `:path` is an origin-form, or
 * "*" for OPTIONS; `:method` a token; `:scheme` http or https; bytes and fields within their limits, which
 * SETTINGS_MAX_HEADER_LIST_SIZE only announces.
 */
struct h2_head_limits {
	uint32_t bytes; /* name + value + 32 of each field, RFC 9113 6.5.2 */
	uint32_t fields; /* the cookie of a request counts once, in however many fields it comes (8.2.3) */
};

enum h2_head_kind {
	H2_HEAD_REQUEST,
	H2_HEAD_RESPONSE,
	H2_HEAD_TRAILERS,
};

struct h2_head {
	struct h2_head *next; /* in a queue */
	enum h2_head_kind kind;
	struct arena arena;
	struct span method;
	struct span scheme;
	struct span authority;
	struct span path;
	struct span protocol; /* RFC 8441: ":protocol" of an extended CONNECT */
	uint16_t status;
	struct fields fields; /* without pseudo-header fields; names in lower case */
	uint32_t list_bytes;
	uint32_t crumbs; /* cookie fields of a request but the first */
	bool has_cookie;
	uint32_t seen; /* pseudo-header fields so far */
	bool has_end; /* END_STREAM came with it */
	enum http_error http_error; /* the first violation; nothing is stored after it */
};

struct h2_head *h2_head_create(enum h2_head_kind kind); /* NULL without memory */
void h2_head_free(struct h2_head *head); /* NULL allowed */
/* Adds a copy of one decoded field. Violations are stored in head->bad. 0 or -ENOMEM. */
int h2_head_add(struct h2_head *head, struct span name, struct span value,
		const struct h2_head_limits *limits);
/*
 * Adds one field of our own: its name in any case, without limits, but with the same checks, because values
 * come from HTTP/1 peers and from the configuration. The bytes are borrowed for the life of the head; those
 * of trailers, which wait for the end of a body, are copied. 0 or -ENOMEM.
 */
int h2_head_put(struct h2_head *head, const struct field *field);
void h2_head_put_pseudo(struct h2_head *head, struct span name, struct span value);
/*
 * Checks a complete section, with has_end set, for required fields. Returns the result, also in head->bad.
 * Call it before the functions below.
 */
enum http_error h2_head_finish(struct h2_head *head);

/*
 * Converts the head as if it had been parsed from HTTP/1.1: cookie fields joined by "; " (RFC 9113 8.2.3),
 * Host first, the target from :path, version 2.0. Spans borrow from `head` and `arena`. Returns
 * HTTP_ERROR_NONE or the reason. An extended CONNECT for websocket becomes a GET with *ret_protocol set; the
 * caller adds the key.
 */
enum http_error h2_head_to_request(const struct h2_head *head, struct arena *arena,
				   struct request_head *ret_request, struct span *ret_protocol);
enum http_error h2_head_to_response(const struct h2_head *head, struct arena *arena,
				    struct response_head *ret_response);
/*
 * The length of the body, RFC 9113 8.1.1. Without Content-Length and with `!head->has_end`, the body ends
 * with its stream (BODY_FRAMED).
 */
enum http_error h2_head_request_framing(const struct h2_head *head, const struct request_head *request,
					struct body_framing *ret_framing);
enum http_error h2_head_response_framing(const struct h2_head *head, const struct response_head *response,
					 enum http_method method, struct body_framing *ret_framing);

/*
 * Converts a head of ours, after hop_by_hop_strip_*(), whose bytes it borrows (those of trailers are copied):
 * names in lower case, Host becomes :authority, Content-Length by the framing, no field that HTTP/2 forbids.
 * `:scheme` is "http"; the caller may set another. NULL without memory. A forbidden byte, or the status 101,
 * is stored in head->bad, and the session does not send such a head.
 */
struct h2_head *h2_head_from_request(const struct request_head *request, const struct body_framing *framing);
struct h2_head *h2_head_from_response(const struct response_head *response,
				      const struct body_framing *framing);
/* Leaves out forbidden names (known_fields.def: NO_TRAILER) and pseudo-header fields. */
struct h2_head *h2_head_from_trailers(const struct fields *fields);
