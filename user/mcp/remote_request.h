/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/http1/client.h"
#include "user/mcp/events.h"
#include "user/mcp/target.h"

/*
 * One HTTP request to a target, and its response: nothing, one JSON text, or a stream of events. It goes over
 * a connection of the pool or a new one, HTTP/1.1. A redirect is its owner's business.
 *
 * Life: remote_request_start() -> on_head() -> on_event()... or on_text() -> on_end(), or
 * remote_request_stop() at any time, also from a callback; nothing is called back from within these two. The
 * memory is given back at the end of the turn.
 */
struct remote_request;

/* Where it goes. Lives as long as its requests. */
struct remote_peer {
	struct mcp_targets *targets; /* borrowed */
	struct arena arena; /* of the texts below */
	struct endpoint where;
	struct upstream_endpoint *endpoint; /* one user count */
	const struct tls_client_settings *tls; /* in snapshot; NULL: plain text */
	const struct header_modifier *modifier; /* in snapshot; NULL: none */
	struct snapshot *snapshot; /* one reference; NULL without these two */
	struct span authority;
	uint64_t connect_ms; /* 0: LIMIT_MCP_CONNECT_MS */
};

struct remote_place {
	const struct endpoint *where; /* copied, but for its health record */
	struct span authority; /* for Host; copied */
	const struct keepalive_policy *keepalive; /* borrowed for the call */
	const struct tls_client_settings *tls; /* in snapshot; NULL: plain text */
	const struct header_modifier *modifier; /* in snapshot; NULL: none */
	struct snapshot *snapshot; /* of these two: the peer takes a reference of its own */
	uint64_t connect_ms;
};

/* 0 or -ENOMEM. */
int remote_peer_init(struct remote_peer *peer, struct mcp_targets *targets, const struct remote_place *place);
/* Without requests. Idempotent on a zeroed one. */
void remote_peer_done(struct remote_peer *peer);

/*
 * The path that a reference of a server means, relative to that of `base` (RFC 3986 5.2), in `arena`: of an
 * `endpoint` event, or a Location. Empty: it is not of this authority, or no path.
 */
struct remote_base {
	struct span authority;
	struct span path; /* with its query */
	bool is_tls;
};
struct span remote_reference(struct arena *arena, const struct remote_base *base, struct span reference);

struct remote_request_ops {
	/* The final head. False: the rest is of no use, the request ends here without on_end(). */
	bool (*on_head)(struct remote_request *request, const struct response_head *head);
	void (*on_event)(struct remote_request *request, const struct events_event *event);
	/* A body of JSON, whole. */
	void (*on_text)(struct remote_request *request, struct span text);
	/* why: empty when the response was complete. */
	void (*on_end)(struct remote_request *request, struct span why);
};

struct remote_ask {
	enum http_method method; /* GET, POST or DELETE */
	struct span path; /* with its query */
	const struct fields *fields; /* besides Host and framing; borrowed for the call, like the next one */
	const struct fields *client; /* of the client in whose name it is; NULL: none */
	const struct iovec *segments; /* of the body; borrowed for the call */
	int count;
	size_t bytes;
	uint64_t head_ms; /* for the final head, from now on; 0: no limit */
};

struct remote_request {
	struct list node; /* its owner's */
	void *owner;
	uint64_t call; /* its owner's */
	uint32_t kind; /* its owner's */
	const struct remote_request_ops *ops;
	struct http1_client client;
	struct events_reader events;
	struct buf text;
	size_t message_bytes; /* limit of text */
	bool is_events; /* the body is an event stream */
	bool is_text; /* the body is JSON */
	bool is_over;
	struct loop_deferred release;
};

/* NULL without memory, or when the head cannot be written (a value that no header can hold). */
struct remote_request *remote_request_start(struct remote_peer *peer, const struct remote_ask *ask,
					    const struct remote_request_ops *ops, void *owner);
/* What the peer has not taken of them yet. */
size_t remote_requests_bytes(const struct list *requests);
/* The response is to be complete in this time, or it is as good as broken. */
void remote_request_limit(struct remote_request *request, uint64_t ms);
/* Nothing is read while held. */
void remote_request_hold(struct remote_request *request, bool is_held);
/* Nobody wants more of it. A response that is not complete ends with its connection. */
void remote_request_stop(struct remote_request *request);
