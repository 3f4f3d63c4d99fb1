/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/body.h"
#include "user/http/head_scan.h"
#include "user/mcp/hub/hub_internal.h"
#include "user/relay/conn.h"

/*
 * An internal connection: HTTP/1.1 from the streams of a worker (user/upstream/inner.h), one request after
 * another. Reads a complete request, serves it (server_serve.h), and is the sink for the messages of a
 * session: one JSON text, or an event stream. The peer closes it when the client leaves, or when a deadline
 * of the stream passes.
 */
enum server_state {
#define SERVER_STATE(id, next) SERVER_##id,
#include "user/mcp/server/server_states.def"
#undef SERVER_STATE
	SERVER_STATE_COUNT,
};

struct mcp_server_conn {
	struct list node; /* in hub->server_conns */
	struct mcp_hub *hub; /* borrowed */
	struct hub_service *service; /* counted in its users */
	enum server_state state;
	struct conn conn;
	struct loop_deferred again;
	struct loop_deferred release;
	struct head_scan scan;
	/* The current request. */
	struct arena arena; /* owner: head, internal fields */
	struct request_head head;
	struct body_decoder decoder;
	struct buf body; /* owner */
	struct span method; /* in arena, like name; for internal fields */
	struct span name;
	struct span why; /* in arena; text of an error, for internal fields */
	struct span client; /* in arena; address of the client, empty: unknown */
	uint64_t deadline_ms; /* deadline of the stream, loop time; 0: none */
	bool has_stream; /* sent by a stream, which reads internal fields */
	bool keeps; /* the connection stays open after this exchange */
	bool is_single; /* only one answer can come, so it may be the whole response */
	bool is_initialize;
	bool is_broken; /* close it in the next turn */
	bool is_holding; /* holds the targets of its session */
	struct mcp_sink sink;
	/* borrowed; valid while serving a request, or while sink.session is set */
	struct hub_session *session;
};

void server_set_state(struct mcp_server_conn *server, enum server_state state);
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
