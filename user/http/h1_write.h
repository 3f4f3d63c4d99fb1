/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/buf.h"
#include "user/http/framing.h"
#include "user/http/head.h"

/*
 * Heads are always generated, never passed through: start line, the fields of the head, then Content-
 * Length or Transfer-Encoding from the framing, then Connection. From the list of fields are left out:
 * every connection-specific one (FIELD_HOP), Content-Length, and in requests Host, so that neither a peer
 * nor a header rule of the configuration can frame or route a message. TE alone is passed on
 * (hop_strip_request left "trailers" in it) and is nominated in Connection, as RFC 9110 10.1.4 demands.
 *
 * All return 0, -ENOMEM, -ENOBUFS (head longer than LIMIT_HEAD_WRITE_BYTES), or -EINVAL: a byte that
 * would end a line or a word early, a name that is no token, or a framing that this message cannot have.
 * `out` is untouched then.
 */
enum h1_connection {
	H1_CONNECTION_DEFAULT, /* say nothing */
	H1_CONNECTION_CLOSE,
	H1_CONNECTION_KEEP_ALIVE, /* for HTTP/1.0 clients that asked for it */
	H1_CONNECTION_UPGRADE, /* "Connection: upgrade" and the Upgrade field given */
};

struct h1_write_options {
	enum h1_connection connection;
	struct span upgrade; /* value of Upgrade with H1_CONNECTION_UPGRADE */
	uint8_t version_minor; /* 1; 0 to answer HTTP/1.0 in kind is not needed: RFC 9110 2.5 */
};

/*
 * Method, origin-form target `path[?query]` (CONNECT: the authority; OPTIONS: also "*"), Host first from
 * head->authority, then fields except Host. Framing: NONE, LENGTH or CHUNKED.
 */
int h1_write_request(struct buf *out, const struct request_head *head, const struct body_framing *framing,
		     const struct h1_write_options *options);
/*
 * An empty reason is replaced by the canonical one. UNTIL_CLOSE always says "Connection: close". A 1xx or
 * 204 never carries Content-Length or Transfer-Encoding (RFC 9110 8.6), with LENGTH or CHUNKED it is
 * -EINVAL.
 */
int h1_write_response(struct buf *out, const struct response_head *head, const struct body_framing *framing,
		      const struct h1_write_options *options);
/* The same, with all of the body behind the head: `body` is not checked against the framing. */
int h1_write_response_whole(struct buf *out, const struct response_head *head,
			    const struct body_framing *framing, const struct h1_write_options *options,
			    struct span body);
