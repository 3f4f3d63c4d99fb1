/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/framing.h"
#include "user/http/head.h"

/*
 * A header section as HTTP/2 carries it: pseudo-header fields and fields, in an arena of its own. Built name
 * by name while a peer's block is decoded, with the checks that a downgrade to HTTP/1 needs (RFC 9113 8.2,
 * 8.3, 10.3), and turned into the heads the rest of the program works with; and the other way round.
 *
 * Checked here, whatever the library below checks as well: no CR, LF, NUL or other control byte, no upper
 * case, no connection-specific field, TE only "trailers"; pseudo-header fields known, once, before the
 * others; `:authority` is host[:port] without userinfo and agrees with Host; `:path` is an origin-form, or
 * "*" for OPTIONS; `:method` a token; `:scheme` http or https; bytes and fields within their limits, which
 * SETTINGS_MAX_HEADER_LIST_SIZE only asks for.
 */
struct h2_head_limits {
	uint32_t bytes; /* name + value + 32 of each field, RFC 9113 6.5.2 */
	uint32_t fields;
};

enum h2_head_kind {
	H2_HEAD_REQUEST,
	H2_HEAD_RESPONSE,
	H2_HEAD_TRAILERS,
};

struct h2_head {
	struct h2_head *next; /* of a queue */
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
	uint32_t seen; /* pseudo-header fields so far */
	bool has_end; /* END_STREAM came with it */
	enum http_bad bad; /* the first violation; then nothing more is stored */
};

struct h2_head *h2_head_create(enum h2_head_kind kind); /* NULL on no memory */
void h2_head_free(struct h2_head *head); /* NULL is fine */
/* One decoded field; copies. Violations are noted in head->bad. 0 or -ENOMEM. */
int h2_head_add(struct h2_head *head, struct span name, struct span value,
		const struct h2_head_limits *limits);
/*
 * One field of our own making: its name in any case, without limits, but with the same checks, because values
 * come from HTTP/1 peers and from the configuration. The bytes are borrowed for the life of the head; of
 * trailers, which wait for the end of a body, they are copied. 0 or -ENOMEM.
 */
int h2_head_put(struct h2_head *head, const struct field *field);
void h2_head_put_pseudo(struct h2_head *head, struct span name, struct span value);
/*
 * The section is complete, and has_end is set: what must be there is there. The result, also in head->bad.
 * To be asked before anything below.
 */
enum http_bad h2_head_finish(struct h2_head *head);

/*
 * As if it had been parsed from HTTP/1.1: cookie fields joined by "; " (RFC 9113 8.2.3), Host first, the
 * target from :path, version 2.0. Spans borrow from `head` and `arena`. BAD_NONE, or why not.
 * An extended CONNECT for websocket becomes a GET with *ret_protocol set; the caller adds the key.
 */
enum http_bad h2_head_to_request(const struct h2_head *head, struct arena *arena,
				 struct request_head *ret_request, struct span *ret_protocol);
enum http_bad h2_head_to_response(const struct h2_head *head, struct arena *arena,
				  struct response_head *ret_response);
/*
 * How long the body is: RFC 9113 8.1.1. Without a Content-Length and with `!head->has_end` it ends with its
 * stream (BODY_FRAMED).
 */
enum http_bad h2_head_request_framing(const struct h2_head *head, const struct request_head *request,
				      struct body_framing *ret_framing);
enum http_bad h2_head_response_framing(const struct h2_head *head, const struct response_head *response,
				       enum http_method method, struct body_framing *ret_framing);

/*
 * From a head of ours, after hop_strip_*(), whose bytes it borrows, but for trailers: names in lower case,
 * Host becomes :authority, Content-Length as the framing says, no field that HTTP/2 forbids. `:scheme` is
 * "http"; the caller may set another. NULL on no memory. What may not stand where it does, a byte or a status
 * 101, is noted in head->bad, and the session does not send such a head.
 */
struct h2_head *h2_head_from_request(const struct request_head *request, const struct body_framing *framing);
struct h2_head *h2_head_from_response(const struct response_head *response,
				      const struct body_framing *framing);
/* Forbidden names (known_fields.def: NO_TRAILER) and pseudo-header fields are left out. */
struct h2_head *h2_head_from_trailers(const struct fields *fields);
