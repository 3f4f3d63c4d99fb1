/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/http/body.h"
#include "user/http/head_scan.h"
#include "user/mcp/hub_internal.h"
#include "user/relay/conn.h"

/*
 * An inner connection: HTTP/1.1 from the streams of a worker (user/upstream/inner.h), one request after
 * another. It reads a request whole, has it served (server_serve.h), and is the sink of what a session has to
 * say to it: one JSON text, or a stream of events. Its close by the other end is the client's leaving, or a
 * deadline of its stream.
 */
enum server_state {
#define SERVER_STATE(id, next) SERVER_##id,
#include "user/mcp/server_states.def"
#undef SERVER_STATE
	SERVER_STATE_COUNT,
};

struct mcp_server_conn {
	struct list node; /* of the hub */
	struct mcp_hub *hub; /* borrowed */
	struct hub_service *service; /* one user count */
	enum server_state state;
	struct conn conn;
	struct loop_deferred again;
	struct loop_deferred release;
	struct head_scan scan;
	/* Of the running request. */
	struct arena arena; /* owner: head, notes */
	struct request_head head;
	struct body_decoder decoder;
	struct buf body; /* owner */
	struct span method; /* for notes, like the next one; in arena */
	struct span name;
	struct span why; /* in arena; of an error, for notes */
	struct span client; /* in arena; the address of the client, empty: not known */
	uint64_t deadline_ms; /* loop time at which its stream gives up; 0: none */
	bool has_stream; /* it is from a stream, which takes notes */
	bool keeps; /* the connection, after this exchange */
	bool is_single; /* one answer is all that can come, so it may be the response */
	bool is_initialize;
	bool is_broken; /* to be closed, in a turn of its own */
	bool is_holding; /* the targets of its session */
	struct mcp_sink sink;
	struct hub_session *session; /* borrowed; while it is served, or sink.session is not NULL */
};

void server_set_state(struct mcp_server_conn *server, enum server_state state);
/* The whole response. `type` empty: no body. The head says `allow` where that is not empty. */
void server_answer(struct mcp_server_conn *server, unsigned int status, struct span type, struct span allow,
		   enum mcp_fault fault, const struct iovec *segments, int count);
/* A response head for a stream of events, without any yet. */
void server_begin_events(struct mcp_server_conn *server);
/* Tells the stream what the request is about before there is an answer. */
void server_send_internal_fields(struct mcp_server_conn *server);
/* Of the exchange behind a sink: loop time at which its stream gives up; 0: none. */
uint64_t server_deadline_ms(const struct mcp_sink *sink);
/* Whether the targets of its session wait until it has taken what was sent. */
void server_hold(struct mcp_server_conn *server, bool is_held);
/* False: it cannot be taken; the connection is closed in a turn of its own. */
bool server_send_event(struct mcp_server_conn *server, struct span name, struct span id,
		       const struct iovec *segments, int count);
extern const struct mcp_sink_ops server_sink_ops;
