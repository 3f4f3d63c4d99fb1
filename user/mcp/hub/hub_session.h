/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/mcp/session/session.h"
#include "user/mcp/target/target.h"

/*
 * A session with its targets: what connects the session (session.h) to processes and connections. The id is
 * 128 random bits in hexadecimal digits; a session without clients (SHARED, SINGLE) has none.
 *
 * After every call of a function of session.h follows hub_session_settle().
 */
struct hub_service;
struct hub_session;
struct mcp_hub;

enum { HUB_ID_BYTES = 32, HUB_CLIENT_BYTES = 46 };

struct hub_link {
	struct hub_session *session;
	uint32_t index;
	struct mcp_target *target; /* owner; NULL: lost, or could not be started */
	uint64_t started_ms; /* 0: not yet, for nothing was sent to it */
};

struct hub_session {
	struct list node; /* of the hub */
	struct list bucket; /* by id */
	struct mcp_hub *hub; /* borrowed */
	struct hub_service *service; /* one user count */
	struct snapshot *snapshot; /* one reference: of the servers */
	const struct mcp_servers *servers;
	struct mcp_session *mcp_session; /* owner */
	enum mcp_session_kind kind;
	char id[HUB_ID_BYTES];
	char client[HUB_CLIENT_BYTES]; /* begin of its address; not terminated, like the id */
	uint8_t client_len;
	uint64_t id_number; /* of this process, for lists and logs */
	uint64_t created_ms;
	uint64_t used_ms; /* a client had to do with it */
	uint64_t ready_ms; /* initialize was answered; 0: not yet */
	uint64_t posts;
	struct timer tick;
	struct timer revive; /* failOpen: targets that are lost are started again */
	bool is_retired; /* another one takes what comes now: ends with what is under way */
	bool is_over;
	struct loop_deferred release;
	uint32_t holds; /* hub_session_hold() */
	uint32_t link_count;
	struct hub_link links[];
};

struct hub_opening {
	enum mcp_session_kind kind;
	enum mcp_version version;
	struct span client; /* its address; empty: nobody's */
};

/* A new one; *ret_fault says why there is none. */
struct hub_session *hub_session_open(struct mcp_hub *hub, struct hub_service *service,
				     const struct hub_opening *opening, enum mcp_fault *ret_fault);
/* Its client has not come back since it was opened: nobody may have it. */
bool hub_session_is_unconfirmed(const struct hub_session *session);
/* Such a one, for longer than that. */
bool hub_session_is_abandoned(const struct hub_session *session, uint64_t ttl_ms);
/* The one of this id and service, or NULL. */
struct hub_session *hub_session_find(struct mcp_hub *hub, const struct hub_service *service, struct span id);
/* The session that all clients of 2026-07-28 share, its targets started anew where they were lost. */
struct hub_session *hub_session_shared(struct mcp_hub *hub, struct hub_service *service,
				       enum mcp_fault *ret_fault);
/* Looks at what a call has changed: timers, its end. It is freed at the end of a turn, never from within. */
void hub_session_settle(struct hub_session *session);
/* One more, or one less, of its clients does not read: its targets wait as long as there is any. */
void hub_session_hold(struct hub_session *session, bool is_held);
/* Answers what is open with the fault, and ends the targets. */
void hub_session_end(struct hub_session *session, enum mcp_fault fault);
/* Nobody has used it since `before_ms`, and nothing of it is under way. */
bool hub_session_is_idle(const struct hub_session *session, uint64_t before_ms);
static inline struct span hub_session_id(const struct hub_session *session)
{
	return span_of(session->id, session->kind == MCP_SESSION_STATEFUL ? HUB_ID_BYTES : 0);
}
