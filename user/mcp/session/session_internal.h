/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/session/backlog.h"
#include "user/mcp/session/ids.h"
#include "user/mcp/session/owners.h"
#include "user/mcp/session/session.h"
#include "user/mcp/json/patch.h"

/* Shared by the files of the session. */

/* How the responses to a request are combined. */
enum mcp_gather {
	MCP_PASS, /* one target; its response is passed on */
	MCP_GATHER_INITIALIZE,
	MCP_GATHER_DISCOVER,
	MCP_GATHER_LIST,
	MCP_GATHER_LISTEN,
	MCP_GATHER_EMPTY, /* all targets; the results are ignored */
	MCP_GATHER_OPEN, /* our own initialize */
	MCP_GATHER_REJOIN, /* our own initialize of one target that was lost */
	MCP_GATHER_OWNER, /* our own lists, to find the owner of a name */
};

/* The part of a request that one target handles. */
struct mcp_sub_request {
	struct mcp_request *request;
	uint64_t id; /* our id, as sent to the target; 0: not sent, or answered */
	uint32_t target;
	uint32_t pages; /* of MCP_GATHER_OWNER */
	bool is_error; /* the response is an error, or missing */
	bool is_unknown_method; /* the target does not know the method */
	bool is_malformed; /* the response has the wrong form */
	bool has_name; /* MCP_GATHER_OWNER: the target has the name */
	/* owner of the data: the response; MCP_GATHER_LISTEN: the params of the acknowledgement */
	struct span answer;
};

/* A request of the client, or one of our own. */
struct mcp_request {
	struct list node; /* in its sink, or in the session's `detached` */
	struct list all; /* in the session's `requests` */
	struct mcp_sink *sink; /* NULL: the stream broke, or it is our own request */
	enum mcp_method method;
	enum mcp_gather gather;
	uint32_t stream; /* the stream on which responses are resumed; 0: our own request */
	uint64_t client; /* as in its sink */
	uint32_t waiting; /* sub-requests without a response */
	uint32_t sub_request_count;
	bool is_acknowledged; /* MCP_GATHER_LISTEN */
	struct mcp_access *access; /* one reference; NULL: everything is allowed */
	bool is_plain; /* the client used a URI without prefix, so the result gets none */
	uint64_t started_ms;
	uint64_t detached_ms; /* when the sink was lost, ms; 0: attached */
	size_t bytes; /* of this object and of the responses that it stores */
	struct span id; /* of the client; stored in this object, like the next three */
	struct span token; /* empty: the client wants no progress */
	struct span method_text;
	struct span name; /* of a tool, prompt or resource, as sent by the client; inner text */
	/* MCP_GATHER_OWNER: owner of the data, the message that waits until the owner is known */
	struct span held;
	struct span why; /* owner of the data: why the first failed target did not answer */
	struct mcp_sub_request sub_requests[];
};

/* A request from a target to the client. */
struct mcp_server_request {
	uint64_t id; /* our id, as sent to the client */
	uint32_t target;
	struct span target_id; /* stored in this object, like the token */
	struct span token;
	char text[];
};

/* The capability that a target must have announced to be included in a request to several targets. */
enum mcp_capability {
	MCP_CAN_TOOLS = 1,
	MCP_CAN_PROMPTS = 2,
	MCP_CAN_RESOURCES = 4,
	MCP_CAN_TASKS = 8,
	MCP_CAN_LOG = 16,
	MCP_CAN_ALL = 31, /* also for a target that has announced nothing, because it was not initialized */
};

struct mcp_session_target {
	uint8_t capabilities; /* of enum mcp_capability */
	bool is_lost;
	bool is_failing; /* it could not take a message: lost at the end of this turn */
	bool is_joining; /* being initialized again in a READY session: gets no other requests */
	enum mcp_version version;
};

struct mcp_session {
	struct mcp_session_setup setup;
	enum mcp_session_state state;
	enum mcp_version version;
	struct list sinks; /* attached */
	struct list settling; /* attached sinks that are done or broken */
	struct list requests;
	struct list detached;
	struct mcp_sink *stream; /* the GET stream, for messages that belong to no request */
	struct mcp_ids sub_requests;
	struct mcp_ids server_requests;
	struct mcp_owners owners;
	struct mcp_backlog backlog;
	uint32_t calls; /* open requests of the client */
	uint32_t streams; /* the last stream number */
	uint32_t events;
	size_t bytes; /* of requests and the data that they store */
	uint64_t now_ms; /* loop time of the last call from outside */
	bool is_failing; /* some target has is_failing set */
	uint64_t open_ms; /* deadline of the targets for initialize, loop time; 0: none */
	/* MCP_SESSION_SINGLE: owner of the data, the post that waits until the targets are initialized */
	struct span held;
	struct mcp_sink *held_sink;
	struct mcp_access *held_access; /* one reference */
	/* owner of the data: params of the client's initialize, for targets that come back */
	struct span opening;
	/* the sink whose messages are being sent to targets; NULL: messages of our own, or of a target */
	const struct mcp_sink *speaker;
	struct mcp_access *access; /* of the message that is being routed; borrowed; NULL: all is allowed */
	enum mcp_fault denied; /* of the running post */
	struct mcp_session_target targets[];
};

/* The number of the GET stream; streams of requests have other numbers. */
enum { MCP_STREAM_OWN = 1 };

/* ---- requests: request.c ---- */

struct mcp_request *mcp_request_create(struct mcp_session *s, struct mcp_sink *sink,
				       const struct mcp_message *m, uint32_t sub_requests, uint64_t now_ms);
/* Frees the request. Its targets are not notified. */
void mcp_request_free(struct mcp_session *s, struct mcp_request *r);
/* Cancels the request at its targets. reason: inner text of a JSON string. */
void mcp_request_cancel(struct mcp_session *s, struct mcp_request *r, struct span reason);
/* Cancels the request at the first `sent` of its targets and frees it, as if it had never been accepted. */
void mcp_request_recall(struct mcp_session *s, struct mcp_request *r, uint32_t sent);
/* Stores the first reason why a target has not answered; without memory it is dropped. */
void mcp_request_note(struct mcp_session *s, struct mcp_request *r, struct span why);
/* Stores a copy of the response. -ENOMEM, or -ENOBUFS: too large. */
int mcp_sub_request_keep(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span answer);
struct mcp_server_request *mcp_server_request_create(struct mcp_session *s, uint32_t target,
						     const struct mcp_message *m);
void mcp_server_request_free(struct mcp_session *s, struct mcp_server_request *server_request);

/* ---- sending: session_send.c ---- */

/*
 * Sends *out, whose segments are set, to a target. 0, or -ENOBUFS: its queue is full, and the message was
 * dropped, because it was dispensable. If any other message cannot be sent, the target is lost.
 */
int mcp_send_target(struct mcp_session *s, uint32_t target, struct mcp_out *out);
void mcp_send_target_text(struct mcp_session *s, uint32_t target, enum mcp_kind kind, struct span method,
			  struct span text);
/* Sends to the client: on the stream of a request, or on that of the session (NULL). */
void mcp_send_client(struct mcp_session *s, const struct mcp_request *r, struct mcp_out *out,
		     uint64_t now_ms);
/* Appends "NAME: REASON", with the name of the target. */
void mcp_session_reason(const struct mcp_session *s, uint32_t target, struct span reason, struct text *to);
/* Sends a result, but does not end the request. */
void mcp_send_result(struct mcp_session *s, const struct mcp_request *r, struct span result, uint64_t now_ms);
/* Sends our own error for a request that has no struct mcp_request. */
void mcp_send_fault(struct mcp_session *s, struct mcp_sink *sink, struct span id, enum mcp_fault fault,
		    struct span detail, uint64_t now_ms);
/* The same for a request that was not routed; an error of authorization names what was refused. */
void mcp_send_refusal(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
		      enum mcp_fault fault, uint64_t now_ms);
/* Sends our own error for a request, and frees the request. */
void mcp_request_fail(struct mcp_session *s, struct mcp_request *r, enum mcp_fault fault, struct span detail,
		      uint64_t now_ms);
/* Removes an answered request from its sink and frees it. */
void mcp_request_end(struct mcp_session *s, struct mcp_request *r);

/* ---- requests of the client: session_post.c, session_route.c ---- */

/*
 * Sends a request to its targets. MCP_NONE: it is answered, or will be; otherwise the fault to refuse it
 * with.
 */
enum mcp_fault mcp_session_route(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				 uint64_t now_ms);
/* The same for a known target. */
enum mcp_fault mcp_session_route_to(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				    uint32_t target, uint64_t now_ms);
/*
 * Requests a page of tools or prompts from the target of a sub-request. cursor.data == NULL: the first page.
 * 0, -ENOMEM, -ENOBUFS.
 */
int mcp_session_ask_list(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span cursor);
/* Takes a page of such a list. True: the next page was requested. */
bool mcp_session_take_page(struct mcp_session *s, struct mcp_sub_request *sub_request,
			   const struct mcp_message *m);
/* Sends the message that waited for the lists to the owner of its name, or refuses it. */
void mcp_session_finish_owner(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms);
/* Handles the post that waited until the targets were initialized. */
void mcp_session_resume_held(struct mcp_session *s, uint64_t now_ms);
void mcp_session_drop_held(struct mcp_session *s);
void mcp_session_fail_held(struct mcp_session *s, enum mcp_fault fault, struct span detail, uint64_t now_ms);
/* Sets the deadline of the targets for initialize, unless the current one is earlier. ms == 0: no change. */
static inline void mcp_session_open_within(struct mcp_session *s, uint64_t ms, uint64_t now_ms)
{
	if (ms && (!s->open_ms || now_ms + ms < s->open_ms))
		s->open_ms = now_ms + ms;
}
/* Sends our own initialize to all targets. 0, or -errno. */
int mcp_session_open_targets(struct mcp_session *s, uint64_t now_ms);
/* Sends initialize to one target that was lost. 0, -ENOMEM, -ENOSPC. */
int mcp_session_rejoin(struct mcp_session *s, uint32_t target, uint64_t now_ms);
/* Notifies the client that the lists of this target have appeared or disappeared. */
void mcp_session_tell_changed(struct mcp_session *s, uint32_t target, uint64_t now_ms);

/* ---- answers: session_answer.c ---- */

/* Handles the response of one target. */
void mcp_session_take_answer(struct mcp_session *s, struct mcp_sub_request *sub_request,
			     const struct mcp_message *m, uint64_t now_ms);
/* Handles that a target will not answer. */
void mcp_session_lose_sub_request(struct mcp_session *s, struct mcp_sub_request *sub_request,
				  struct span reason, uint64_t now_ms);
/* Sends the merged response; all targets have answered. */
void mcp_session_finish(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms);
/* Sends the acknowledgement of a subscription to the client once all targets have acknowledged. */
void mcp_session_check_acknowledged(struct mcp_session *s, struct mcp_request *r, uint64_t now_ms);
/* Handles the acknowledgement of one target for subscriptions/listen. */
void mcp_session_take_acknowledged(struct mcp_session *s, struct mcp_sub_request *sub_request,
				   const struct mcp_message *m, uint64_t now_ms);

/* ---- the end of a turn: session.c ---- */

/* Gives up targets that could not take a message, and detaches sinks that are done or broken. */
void mcp_session_settle(struct mcp_session *s, uint64_t now_ms);
