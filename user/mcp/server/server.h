/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http1/server.h"
#include "user/mcp/hub/hub_internal.h"

/*
 * An internal connection: HTTP/1.1 from the streams of a worker (user/upstream/inner.h), one request after
 * another. Serves complete requests (server_serve.h), and is the sink for the messages of a session: one JSON
 * text, or an event stream. The peer closes it when the client leaves, or when a deadline of the stream
 * passes.
 */
struct mcp_server_conn {
	struct list node; /* in hub->server_conns */
	struct mcp_hub *hub; /* borrowed */
	struct hub_service *service; /* counted in its users */
	struct http1_server http;
	/* The current request. */
	struct buf body; /* owner */
	struct span method; /* in http.arena, like the next three; for internal fields */
	struct span name;
	struct span why; /* text of an error, for internal fields */
	struct span client; /* address of the client, empty: unknown */
	struct mcp_access *access; /* one reference: what the client may use; NULL: everything */
	uint64_t deadline_ms; /* deadline of the stream, loop time; 0: none */
	bool is_denied; /* rules of the access have refused a message */
	bool lacks_access; /* the access that the request names does not exist any more */
	bool has_stream; /* sent by a stream, which reads internal fields */
	bool is_single; /* only one answer can come, so it may be the whole response */
	bool is_initialize;
	bool is_holding; /* holds the targets of its session */
	struct mcp_sink sink;
	/* borrowed; valid while serving a request, or while sink.session is set */
	struct hub_session *session;
};

/* Sends the whole response. `type` empty: no body. `allow` (may be empty) is the Allow field. */
void server_answer(struct mcp_server_conn *server, unsigned int status, struct span type, struct span allow,
		   enum mcp_fault fault, const struct iovec *segments, int count);
/* Sends the response head of an event stream. */
void server_begin_events(struct mcp_server_conn *server);
/* Sends method, name and session to the stream before the response (status 199). */
void server_send_internal_fields(struct mcp_server_conn *server);
/* Deadline of the stream behind a sink, loop time; 0: none. */
uint64_t server_deadline_ms(const struct mcp_sink *sink);
/* While held, the session does not read from its targets. */
void server_hold(struct mcp_server_conn *server, bool is_held);
/* False: the event cannot be queued; the connection is closed in the next turn. */
bool server_send_event(struct mcp_server_conn *server, struct span name, struct span id,
		       const struct iovec *segments, int count);
extern const struct mcp_sink_ops server_sink_ops;
