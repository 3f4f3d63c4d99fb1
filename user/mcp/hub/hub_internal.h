/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "user/base/log.h"
#include "user/loop/mailbox.h"
#include "user/mcp/hub/call_metrics.h"
#include "user/mcp/hub/hub_session.h"
#include "user/obs/counters.h"
#include "user/relay/relay.h"
#include "user/tls/context.h"
#include "user/upstream/inner.h"
#include "user/upstream/upstream_pool.h"

enum { HUB_BUCKETS = 1024 };

/* What was learned of a target of a backend, beyond the sessions that met it. */
struct hub_health {
	uint64_t retry_ms; /* loop time: not to be started before; 0: at once */
	uint64_t pause_ms; /* that was waited last */
	struct log_rate malformed; /* of lines about what it writes, like the next one */
	struct log_rate failed; /* about requests that it does not answer */
};

/* One MCP backend. Stays while it is configured, or has sessions or connections. */
struct hub_service {
	struct list node;
	struct span name; /* behind the object */
	const struct backend *backend; /* of hub->snapshot; NULL: not configured any more */
	struct hub_session *shared; /* of the protocol without sessions; NULL: none yet */
	uint32_t users; /* sessions and connections */
	struct hub_health health[LIMIT_MCP_TARGETS];
};

struct mcp_hub {
	pthread_t thread;
	struct inner inner;
	struct loop *loop;
	struct mailbox *mailbox;
	struct mailbox *owner; /* borrowed */
	struct message stop; /* here, so that the end needs no memory */
	struct resolver_client *resolver;
	struct counters counters;
	struct mcp_call_metrics calls;
	struct relay_shared relay;
	struct upstream_pool pool;
	struct tls_worker tls; /* for targets; no tickets of its own */
	struct mcp_targets targets;
	struct mcp_json_checker *checker;
	struct snapshot *snapshot; /* one reference; NULL before the first */
	struct list services;
	struct list sessions; /* of struct hub_session */
	uint32_t session_count;
	struct list buckets[HUB_BUCKETS]; /* of those with an id */
	struct list server_conns; /* of struct mcp_server_conn */
	size_t body_bytes; /* that they hold of requests */
	struct buf frame; /* of an event that is being written; empty between calls */
	struct timer sweep; /* idle sessions; runs while there are any */
	struct timer end; /* the longest that the end may take */
	bool is_draining;
	bool is_stopping;
};

/* ---- services: hub_service.c ---- */

/* The backend of this name in the configuration in force, or NULL. */
const struct backend *hub_service_backend(const struct mcp_hub *hub, struct span name);
/* The one of this name, made when the configuration has it; NULL: it has not, or no memory. */
struct hub_service *hub_service_find(struct mcp_hub *hub, struct span name);
/* One user less. */
void hub_service_leave(struct mcp_hub *hub, struct hub_service *service);
/* Frees one that is not configured any more and has no users. */
void hub_service_free_unused(struct hub_service *service);

/* ---- connections: server.c ---- */

/* A connection to a service; takes fd. */
void mcp_server_open(struct mcp_hub *hub, struct hub_service *service, int fd);
/* All of them, at once. */
void mcp_server_stop(struct mcp_hub *hub);

/* ---- sessions ---- */

/*
 * Ends the sessions (of one service) that nothing is under way of: their streams end, their clients begin
 * anew.
 */
void hub_end_unused(struct mcp_hub *hub, const struct hub_service *only);
/* After the loop: whatever is left. */
void hub_sessions_free(struct mcp_hub *hub);
