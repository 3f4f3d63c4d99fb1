/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/http/framing.h"
#include "user/http/head.h"

/*
 * Heads are always generated, never passed through: start line, the fields of the head, then Content-Length
 * or Transfer-Encoding from the framing, then Connection. Some fields of the list are left out:
 * connection-specific ones (FIELD_HOP), Content-Length, and in requests Host, so that neither a peer nor a
 * header rule of the configuration can frame or route a message. Only TE is passed on
 * (hop_by_hop_strip_request() has reduced it to "trailers"), and nominated in Connection, as RFC 9110 10.1.4
 * requires.
 *
 * All functions return 0, -ENOMEM, -ENOBUFS (head longer than LIMIT_HEAD_WRITE_BYTES), or -EINVAL: a byte
 * that would end a line or a word early, a name that is no token, or a framing that this message cannot have.
 * `out` is unchanged then.
 */
enum h1_connection {
	H1_CONNECTION_DEFAULT, /* no Connection field */
	H1_CONNECTION_CLOSE,
	H1_CONNECTION_KEEP_ALIVE, /* for HTTP/1.0 clients that requested it */
	H1_CONNECTION_UPGRADE, /* "Connection: upgrade" and the given Upgrade field */
};

struct h1_write_options {
	enum h1_connection connection;
	struct span upgrade; /* value of Upgrade with H1_CONNECTION_UPGRADE */
	uint8_t version_minor; /* 1; a response to HTTP/1.0 need not have 0, RFC 9110 2.5 */
};

/*
 * Writes the method, the origin-form target `path[?query]` (CONNECT: the authority; OPTIONS: also "*"), Host
 * first, from head->authority, then fields except Host. Framing: NONE, LENGTH or CHUNKED.
 */
int h1_write_request(struct buf *out, const struct request_head *head, const struct body_framing *framing,
		     const struct h1_write_options *options);
/*
 * An empty reason is replaced by the canonical one. UNTIL_CLOSE always adds "Connection: close". A 1xx or 204
 * never has Content-Length or Transfer-Encoding (RFC 9110 8.6); with LENGTH or CHUNKED it is -EINVAL.
 */
int h1_write_response(struct buf *out, const struct response_head *head, const struct body_framing *framing,
		      const struct h1_write_options *options);
/* The same, followed by the whole body: `body` is not checked against the framing. */
int h1_write_response_whole(struct buf *out, const struct response_head *head,
			    const struct body_framing *framing, const struct h1_write_options *options,
			    struct span body);
