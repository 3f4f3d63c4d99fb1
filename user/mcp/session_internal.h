/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/backlog.h"
#include "user/mcp/ids.h"
#include "user/mcp/owners.h"
#include "user/mcp/session.h"
#include "user/mcp/patch.h"

/* What the files of the session share. */

/* What becomes of the answers to a request. */
enum mcp_gather {
	MCP_PASS, /* of one target, passed on */
	MCP_GATHER_INITIALIZE,
	MCP_GATHER_DISCOVER,
	MCP_GATHER_LIST,
	MCP_GATHER_LISTEN,
	MCP_GATHER_EMPTY, /* of all targets, nobody looks at what they say */
	MCP_GATHER_OPEN, /* our own initialize */
	MCP_GATHER_REJOIN, /* the same of one target that was lost */
	MCP_GATHER_OWNER, /* our own lists, to find out whose a name is */
};

/* A request as one target has it. */
struct mcp_sub_request {
	struct mcp_request *request;
	uint64_t id; /* ours towards the target; 0: it was not sent, or has its answer */
	uint32_t target;
	uint32_t pages; /* of MCP_GATHER_OWNER */
	bool is_error; /* the answer is one, or there is none */
	bool is_unknown_method; /* the target has nothing of this kind */
	bool is_malformed; /* the answer is not what was asked for */
	bool has_name; /* MCP_GATHER_OWNER: it has what is looked for */
	struct span answer; /* owner of the data: its message; of MCP_GATHER_LISTEN what it acknowledged */
};

/* A request of the client, or of our own. */
struct mcp_request {
	struct list node; /* of its sink, or of the session's orphans */
	struct list all; /* of the session */
	struct mcp_sink *sink; /* NULL: its stream broke, or it is ours */
	enum mcp_method method;
	enum mcp_gather gather;
	uint32_t stream; /* where answers are resumed */
	uint32_t waiting; /* parts without an answer */
	uint32_t sub_request_count;
	bool is_acknowledged; /* MCP_GATHER_LISTEN */
	bool is_plain; /* the client named a URI without prefix, so its result has none */
	uint64_t started_ms;
	uint64_t detached_ms; /* 0: it has its sink */
	size_t bytes; /* of this object and of the answers it keeps */
	struct span id; /* of the client; inside this object like the next three */
	struct span token; /* empty: no progress is wanted */
	struct span method_text;
	struct span name; /* of a tool, prompt or resource, as the client says it; inner text */
	struct span held; /* MCP_GATHER_OWNER: owner of the data, the message that waits for the owner */
	struct span why; /* owner of the data: why the first target that failed has not answered */
	struct mcp_sub_request sub_requests[];
};

/* A request of a target to the client. */
struct mcp_server_request {
	uint64_t id; /* ours towards the client */
	uint32_t target;
	struct span target_id; /* inside this object like the token */
	struct span token;
	char text[];
};

/* What a target has to have announced before it is asked along with others. */
enum mcp_capability {
	MCP_CAN_TOOLS = 1,
	MCP_CAN_PROMPTS = 2,
	MCP_CAN_RESOURCES = 4,
	MCP_CAN_TASKS = 8,
	MCP_CAN_LOG = 16,
	MCP_CAN_ALL = 31, /* also of a target that has announced nothing, because it was not asked */
};

struct mcp_session_target {
	uint8_t capabilities; /* of enum mcp_capability */
	bool is_lost;
	bool is_failing; /* the link took no message: lost at the end of this turn */
	bool is_joining; /* it is being initialized in a session that is READY: nothing else is asked of it */
	enum mcp_version version;
};

struct mcp_session {
	struct mcp_session_setup setup;
	enum mcp_session_state state;
	enum mcp_version version;
	struct list sinks; /* attached */
	struct list settling; /* attached ones of which nothing more is wanted, or that broke */
	struct list requests;
	struct list detached;
	struct mcp_sink *stream; /* of the GET that takes what belongs to no request */
	struct mcp_ids sub_requests;
	struct mcp_ids server_requests;
	struct mcp_owners owners;
	struct mcp_backlog backlog;
	uint32_t calls; /* requests of the client */
	uint32_t streams; /* numbers given */
	uint32_t events;
	size_t bytes; /* of requests and what they keep */
	uint64_t now_ms; /* when something was last told */
	bool is_failing; /* a target is */
	uint64_t open_ms; /* when the last target has to have answered initialize; 0: no limit */
	struct span held; /* MCP_SESSION_SINGLE: owner of the data, the post that waits for initialize */
	struct mcp_sink *held_sink;
	struct span opening; /* owner of the data: params of initialize, for targets that come back */
	const struct mcp_sink *speaker; /* whose messages are being passed on; NULL: our own, or a target's */
	struct mcp_session_target targets[];
};

/* The stream of what belongs to no request; those of requests have numbers of their own. */
enum { MCP_STREAM_OWN = 1 };

/* ---- requests: request.c ---- */

struct mcp_request *mcp_request_create(struct mcp_session *s, struct mcp_sink *sink,
				       const struct mcp_message *m, uint32_t sub_requests, uint64_t now_ms);
/* Forgets what is still open at the targets, without a word to them. */
void mcp_request_free(struct mcp_session *s, struct mcp_request *r);
/* Its answers are nobody's business any more: the targets are told why, in the inner text of a string. */
void mcp_request_cancel(struct mcp_session *s, struct mcp_request *r, struct span reason);
/* Takes back what only the first `sent` of its targets have got, and frees it: it was never a request. */
void mcp_request_recall(struct mcp_session *s, struct mcp_request *r, uint32_t sent);
/* The first reason why a target has not answered is kept; without memory there is none. */
void mcp_request_note(struct mcp_session *s, struct mcp_request *r, struct span why);
/* Keeps a copy. -ENOMEM, -ENOBUFS. */
int mcp_sub_request_keep(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span answer);
struct mcp_server_request *mcp_server_request_create(struct mcp_session *s, uint32_t target,
						     const struct mcp_message *m);
void mcp_server_request_free(struct mcp_session *s, struct mcp_server_request *server_request);

/* ---- sending: session_send.c ---- */

/*
 * Towards a target; *out has its pieces. 0, or -ENOBUFS: too much waits for it, and it can do without this
 * message, which is dropped. What it cannot do without loses it.
 */
int mcp_send_target(struct mcp_session *s, uint32_t target, struct mcp_out *out);
void mcp_send_target_text(struct mcp_session *s, uint32_t target, enum mcp_kind kind, struct span method,
			  struct span text);
/* Towards the client, to the stream of a request or (NULL) to that of the session. */
void mcp_send_client(struct mcp_session *s, const struct mcp_request *r, struct mcp_out *out,
		     uint64_t now_ms);
/* "NAME: REASON", with the name of the target. */
void mcp_session_reason(const struct mcp_session *s, uint32_t target, struct span reason, struct text *to);
/* An answer, without end of the request. */
void mcp_send_result(struct mcp_session *s, const struct mcp_request *r, struct span result, uint64_t now_ms);
/* An error of ours to a request that is not kept. */
void mcp_send_fault(struct mcp_session *s, struct mcp_sink *sink, struct span id, enum mcp_fault fault,
		    struct span detail, uint64_t now_ms);
/* The same to a kept one, which is gone then. */
void mcp_request_fail(struct mcp_session *s, struct mcp_request *r, enum mcp_fault fault, struct span detail,
		      uint64_t now_ms);
/* It has its answer: out of the sink. */
void mcp_request_end(struct mcp_session *s, struct mcp_request *r);

/* ---- requests of the client: session_post.c, session_route.c ---- */

/*
 * Sends a request on its way. What cannot be sent is refused with a fault; MCP_NONE: it is answered, or
 * will be.
 */
enum mcp_fault mcp_session_route(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				 uint64_t now_ms);
/* The same to a target that is known. */
enum mcp_fault mcp_session_route_to(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				    uint32_t target, uint64_t now_ms);
/* Asks the target of a part for a page of its tools or prompts. cursor.data == NULL: the first. 0,
 * -ENOMEM, -ENOBUFS.
 */
int mcp_session_ask_list(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span cursor);
/* What was held back until the targets were initialized. */
void mcp_session_resume_held(struct mcp_session *s, uint64_t now_ms);
void mcp_session_fail_held(struct mcp_session *s, enum mcp_fault fault, struct span detail, uint64_t now_ms);
/* Targets have this time to answer initialize, or less when they have less already. 0: no limit. */
static inline void mcp_session_open_within(struct mcp_session *s, uint64_t ms, uint64_t now_ms)
{
	if (ms && (!s->open_ms || now_ms + ms < s->open_ms))
		s->open_ms = now_ms + ms;
}
/* Our own initialize. 0, -ENOMEM. */
int mcp_session_open_targets(struct mcp_session *s, uint64_t now_ms);
/* The same to one target that was lost. 0, -ENOMEM, -ENOSPC. */
int mcp_session_rejoin(struct mcp_session *s, uint32_t target, uint64_t now_ms);
/* Tells the client that what this target has is there, or not any more. */
void mcp_session_tell_changed(struct mcp_session *s, uint32_t target, uint64_t now_ms);

/* ---- answers: session_answer.c ---- */

/* The answer of one target, a message. */
void mcp_session_take_answer(struct mcp_session *s, struct mcp_sub_request *sub_request,
			     const struct mcp_message *m, uint64_t now_ms);
/* There will be none. */
void mcp_session_lose_sub_request(struct mcp_session *s, struct mcp_sub_request *sub_request,
				  struct span reason, uint64_t now_ms);
/* Sends the merged answer when all are there. */
void mcp_session_finish(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms);
/* Tells the client that it has its subscription, as soon as all targets have said so. */
void mcp_session_check_acknowledged(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms);
/* A part of subscriptions/listen is acknowledged. */
void mcp_session_take_acknowledged(struct mcp_session *s, struct mcp_sub_request *sub_request,
				   const struct mcp_message *m, uint64_t now_ms);

/* ---- the end of a turn: session.c ---- */

/* Ends the targets that took no message, and lets go of the sinks of which nothing more is wanted. */
void mcp_session_settle(struct mcp_session *s, uint64_t now_ms);
