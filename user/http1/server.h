/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/text.h"
#include "user/http/body.h"
#include "user/relay/head_reader.h"

/*
 * The server's side of one HTTP/1.1 connection: keep-alive, pipelining (answered in order, one at a time),
 * 100 Continue. It is a member of its owner's object, and nothing here blocks; server_states.def has the
 * deadlines.
 *
 *   http1_server_start() -> HEAD -> BODY -> ANSWER [-> STREAM] -> SEND -> IDLE -> BODY …   (keep-alive)
 *                                                                   '-> LINGER -> CLOSED  (otherwise)
 *
 * The owner gets a request when it is complete, and answers now or later:
 * http1_server_send_head(), bytes of the body, http1_server_end().
 * A close has two steps: on_closed() at once, and on_free() at the end of the turn.
 */
enum http1_server_state {
#define SERVER_STATE(id, deadline_ms, next) HTTP1_SERVER_##id,
#include "user/http1/server_states.def"
#undef SERVER_STATE
	HTTP1_SERVER_STATE_COUNT,
};

struct http1_server;

/* Functions may answer the request, but not close the connection. NULL: nothing to do, unless said. */
struct http1_server_ops {
	struct head_limits limits;
	/*
	 * The client is in this process: it has deadlines of its own, so there are none here; with FIN it has
	 * left, and gets no rest of a response.
	 */
	bool is_internal;
	void (*on_head)(struct http1_server *server, const struct body_framing *framing);
	/* A decoded part of the body. An answer refuses the request. Required. */
	void (*on_body)(struct http1_server *server, struct span payload);
	/* The request is complete: answer it once, now or later. Required. */
	void (*on_request)(struct http1_server *server);
	/*
	 * The request is malformed or late, and server->head is empty: answer with this status. NULL: the
	 * connection closes.
	 */
	void (*on_error)(struct http1_server *server, uint16_t status, const char *why);
	/* Nothing waits to be sent. False: the owner still needs the request. NULL: true. */
	bool (*on_sent)(struct http1_server *server);
	/* The connection leaves its loop. */
	void (*on_closed)(struct http1_server *server);
	/* Frees the owner's object. Required. */
	void (*on_free)(struct http1_server *server);
};

struct http1_server {
	struct conn conn;
	const struct http1_server_ops *ops; /* borrowed */
	enum http1_server_state state;
	struct timer timer;
	struct loop_deferred again;
	struct loop_deferred release;
	struct head_scan scan;
	struct body_decoder decoder;
	struct arena arena; /* owner: of the request, until its response is complete */
	struct request_head head; /* in arena */
	struct text rest; /* owner: of the body of the response, see http1_server_send_text() */
	size_t rest_sent;
	uint64_t progress_bytes; /* conn.sent_bytes when the timer was armed */
	uint64_t linger_end; /* limit for conn.received_bytes in LINGER */
	bool keeps; /* the connection stays open after this exchange (RFC 9112 9.3) */
	bool is_broken; /* closes in the next turn */
};

bool http1_server_allows(enum http1_server_state from, enum http1_server_state to);
/*
 * Takes fd, also on failure: 0, -ENOMEM, -ENOSPC or -errno of epoll, and on_free() is not called then. The
 * members must be zero. Calls back in a later turn.
 */
int http1_server_start(struct http1_server *server, struct loop *loop, int fd,
		       const struct http1_server_ops *ops);
void http1_server_close(struct http1_server *server); /* idempotent */
/* Time in the current state; in SEND: since the last byte was sent. Not for internal clients. */
uint64_t http1_server_waits_ms(const struct http1_server *server);

/*
 * Sends a head, interim or final, and the segments. After an error in this function or the next ones the
 * connection closes in the next turn.
 */
void http1_server_send_head(struct http1_server *server, const struct response_head *head,
			    const struct body_framing *framing, const struct iovec *segments, int count);
/* Sends bytes of the body, framed by the caller, and queues at most `most` bytes. False: after an error. */
bool http1_server_send(struct http1_server *server, const struct iovec *segments, int count, size_t most);
/* The owner sends the body over several turns. */
void http1_server_begin_stream(struct http1_server *server);
/* The response is complete, except for `rest` (may be NULL), which it takes: the last bytes of the body. */
void http1_server_end(struct http1_server *server, struct text *rest);
/* Closes the connection in the next turn. */
void http1_server_break(struct http1_server *server);
