/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/http1/client.h"
#include "user/mcp/protocol/events.h"
#include "user/mcp/target/target.h"

/*
 * One HTTP/1.1 request to a target and its response: empty, one JSON text, or an event stream. Uses a pooled
 * or a new connection. Redirects are left to the owner.
 *
 * Life: remote_request_start() -> on_head() -> on_event()... or on_text() -> on_end(), or
 * remote_request_stop() at any time, even from a callback; start() and stop() call no callback. The memory
 * is freed at the end of the turn.
 */
struct remote_request;

/* The server that requests are sent to. Must live longer than its requests. */
struct remote_peer {
	struct mcp_targets *targets; /* borrowed */
	struct arena arena; /* holds the texts below */
	struct endpoint where;
	struct upstream_endpoint *endpoint; /* one user count */
	const struct tls_client_settings *tls; /* in snapshot; NULL: plain text */
	const struct header_modifier *modifier; /* in snapshot; NULL: none */
	struct snapshot *snapshot; /* one reference; NULL if tls and modifier are NULL */
	struct span authority;
	uint64_t connect_ms; /* 0: LIMIT_MCP_CONNECT_MS */
};

struct remote_place {
	const struct endpoint *where; /* copied, except its health record */
	struct span authority; /* for Host; copied */
	const struct keepalive_policy *keepalive; /* borrowed for the call */
	const struct tls_client_settings *tls; /* in snapshot; NULL: plain text */
	unsigned proxy_version; /* as in struct upstream_wants; a target's connections announce no client */
	const struct header_modifier *modifier; /* in snapshot; NULL: none */
	struct snapshot *snapshot; /* owns tls and modifier; the peer takes its own reference */
	uint64_t connect_ms;
};

/* 0 or -ENOMEM. */
int remote_peer_init(struct remote_peer *peer, struct mcp_targets *targets, const struct remote_place *place);
/* Only without requests. Does nothing if the peer is zeroed. */
void remote_peer_done(struct remote_peer *peer);

/*
 * Resolves a reference of the server (an `endpoint` event or a Location) against `base` (RFC 3986 5.2). The
 * result is a path in `arena`. Empty: another authority, or not a path.
 */
struct remote_base {
	struct span authority;
	struct span path; /* with its query */
	bool is_tls;
};
struct span remote_reference(struct arena *arena, const struct remote_base *base, struct span reference);

struct remote_request_ops {
	/* The final head. False: the caller needs no more; the request ends without on_end(). */
	bool (*on_head)(struct remote_request *request, const struct response_head *head);
	void (*on_event)(struct remote_request *request, const struct events_event *event);
	/* A complete JSON body. NULL, like on_event: on_head() clears is_events, on_end() reads `text`. */
	void (*on_text)(struct remote_request *request, struct span text);
	/* why: empty if the response was complete. */
	void (*on_end)(struct remote_request *request, struct span why);
};

struct remote_ask {
	enum http_method method; /* not CONNECT and TRACE */
	struct span path; /* with its query */
	const struct fields *fields; /* without Host and framing; borrowed for the call, like client */
	const struct fields *client; /* of the client that the request is sent for; NULL: none */
	const struct iovec *segments; /* the body; borrowed for the call */
	int count;
	size_t bytes;
	uint64_t head_ms; /* time limit for the final head, from now on; 0: no limit */
	bool may_repeat; /* as of struct http1_client */
};

struct remote_request {
	struct list node; /* in a list of its owner */
	void *owner;
	uint64_t call; /* for the owner */
	uint32_t kind; /* for the owner */
	const struct remote_request_ops *ops;
	struct http1_client client;
	struct events_reader events;
	struct buf text;
	size_t message_bytes; /* limits text */
	bool is_events; /* the body is an event stream */
	bool is_text; /* the body is JSON */
	bool is_over;
	struct loop_deferred release;
};

/* NULL without memory, or if a value does not fit into the head. */
struct remote_request *remote_request_start(struct remote_peer *peer, const struct remote_ask *ask,
					    const struct remote_request_ops *ops, void *owner);
/* Request bytes that the peer has not read yet. */
size_t remote_requests_bytes(const struct list *requests);
/*
 * Whether one more message may be sent, with `waiting` bytes queued elsewhere: by its bytes, and if nobody
 * waits for its response, by the number of such messages.
 */
bool remote_requests_have_room(const struct mcp_targets *targets, const struct list *requests, size_t waiting,
			       const struct mcp_out *out);
/* Fails the request unless its response is complete within this time. */
void remote_request_limit(struct remote_request *request, uint64_t ms);
/* While held, nothing is read. */
void remote_request_hold(struct remote_request *request, bool is_held);
/* Aborts the request. If its response is incomplete, the connection is closed. */
void remote_request_stop(struct remote_request *request);
