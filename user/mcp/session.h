/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/list.h"
#include "user/mcp/merge.h"
#include "user/mcp/message.h"
#include "user/mcp/names.h"

/*
 * The session between one client and its targets, as a state machine without clock and socket. Ids of
 * requests and progress tokens are our own towards every target and are put back on the way to the client, so
 * no answer can reach anybody but the one who asked. All sessions of a process belong to one thread.
 *
 * No function here may be called from inside mcp_sink_ops or mcp_link_ops: what these learn (a client that
 * does not read, a target that ends) is told in a later turn.
 */
struct fields;
struct mcp_session;
struct mcp_sink;

/* A message on its way out. Everything is valid during the call only. */
struct mcp_out {
	const struct iovec *segments; /* together one JSON text without a line feed */
	int count;
	size_t bytes;
	enum mcp_kind kind;
	/* Towards a target, what the headers of an HTTP target say; towards a client, for counters. */
	struct span method; /* of a request or notification; of an answer: of its request */
	struct span name; /* params.name or params.uri without prefix, inner text of the string, or empty */
	enum mcp_version version; /* that the message is written for; MCP_VERSION_NONE before it is known */
	uint64_t call; /* towards a target: our id of this request; 0 for anything else */
	const struct fields *fields; /* towards a target: of the client's HTTP request; NULL: of no client */
	uint64_t event; /* towards a client: number for `id:` (mcp_event_id), 0: cannot be resumed */
	unsigned int status; /* of an answer: what the response says when it is all of it */
	enum mcp_fault fault; /* of an MCP_ERROR of ours */
	struct span why; /* of an MCP_ERROR, for the log: plain text, may be empty */
};

struct mcp_sink_ops {
	/*
	 * A message for the client. false: it cannot be taken (too much is waiting). The session lets go of
	 * the sink then before its function returns, done() is not called, and the server ends the exchange.
	 */
	bool (*send)(struct mcp_sink *sink, const struct mcp_out *out);
	/*
	 * Nothing more comes: the session has let go of the sink. Nothing may have come at all, when the
	 * client cancelled its request: an event stream without events.
	 */
	void (*done)(struct mcp_sink *sink);
};

/*
 * What waits for messages: the exchange of a POST, or the stream of a GET. Embedded in the server's object.
 */
struct mcp_sink {
	const struct mcp_sink_ops *ops;
	struct mcp_session *session; /* NULL: attached to none. The session sets it. */
	struct list requests; /* of the session */
	uint32_t open; /* requests without an answer */
	uint32_t stream; /* number in the session, for event ids */
	/* The server's: of a client of 2024-11-05, which has one stream for everything it asks. */
	bool is_only;
	const struct fields *fields; /* the server's: of its HTTP request; NULL: none, or not any more */
	bool is_resumable; /* the server's: set once it has written an event with an id */
	bool is_broken; /* the session's: send() said no */
	struct list node; /* of the session */
};

void mcp_sink_init(struct mcp_sink *sink, const struct mcp_sink_ops *ops);

/* The way to the targets of a session. */
struct mcp_link_ops {
	/*
	 * 0; -ENOBUFS: the target does not take messages fast enough, and too many wait for it already; else
	 * it cannot take it and counts as lost (mcp_session_on_target_lost may follow).
	 */
	int (*send)(void *context, uint32_t target, const struct mcp_out *out);
	/* Our request of that id needs no answer: an HTTP target closes its exchange. May be NULL. */
	void (*forget)(void *context, uint32_t target, uint64_t call);
};

/* What is worth counting, by the hub. May be NULL. */
enum mcp_protocol_violation {
	MCP_ODD_NOT_JSON, /* a target sent something that is no message */
	MCP_ODD_UNKNOWN_ID, /* an answer to nothing, or a second one */
	MCP_ODD_UNKNOWN_TOKEN, /* progress, or an event of a subscription, of nothing */
	MCP_ODD_WRONG_KIND, /* what this protocol version does not have */
	MCP_ODD_DROPPED, /* the queue for a client without a stream is full */
	MCP_ODD_COUNT,
};

struct mcp_watch {
	void (*odd)(void *context, uint32_t target, enum mcp_protocol_violation protocol_violation);
	/* The session gives a target up, or serves without it. why: plain text, may hold what it wrote. */
	void (*gave_up)(void *context, uint32_t target, struct span why);
	/* A target that was lost takes part again. */
	void (*came_back)(void *context, uint32_t target);
	/* A target has listed tools (or prompts): the array of its answer. */
	void (*listed)(void *context, uint32_t target, bool is_prompts, struct span list);
	/* A target that is not lost does not answer a request. why: plain text. */
	void (*failed)(void *context, uint32_t target, struct span why);
	/* A request of the client ended: answered, failed, cancelled. name: as the client said it. */
	void (*ended)(void *context, uint32_t target, struct span method, struct span name,
		      uint64_t started_ms, bool is_error);
};

enum mcp_session_kind {
	MCP_SESSION_STATEFUL, /* one client, initialize, until DELETE: up to 2025-11-25 */
	/* The same, initialized by us for one POST of a client without sessions (statefulMode: stateless). */
	MCP_SESSION_SINGLE,
	MCP_SESSION_SHARED, /* 2026-07-28: requests of any number of clients, no initialize */
};

struct mcp_session_setup {
	enum mcp_session_kind kind;
	struct mcp_names names; /* borrowed */
	bool fail_open; /* targets that are lost are left out as long as one is there */
	struct mcp_json_checker *checker; /* borrowed */
	const struct mcp_link_ops *link;
	const struct mcp_watch *watch; /* NULL: none */
	void *context; /* of link and watch */
	struct span
		server_name; /* serverInfo of merged answers, clientInfo of our own initialize; borrowed */
	struct span server_version;
	enum mcp_version version; /* of MCP_SESSION_SINGLE: what its client said; NONE: 2025-03-26 */
	uint64_t open_ms; /* a target answers initialize in this time, or is lost; 0: no limit */
};

enum mcp_session_state {
	MCP_SESSION_NEW, /* before initialize */
	MCP_SESSION_OPENING, /* initialize is with the targets */
	MCP_SESSION_READY,
	MCP_SESSION_OVER, /* nothing goes through it any more: free it */
};

struct mcp_session *mcp_session_create(const struct mcp_session_setup *setup);
/* Lets go of every sink without a word: end it with mcp_session_end() first. */
void mcp_session_free(struct mcp_session *s);

enum mcp_turn {
	MCP_ACCEPTED, /* 202: nothing comes back, the sink is not attached */
	MCP_WAITING, /* answers come to the sink, or came already and done() was called */
	MCP_REFUSED, /* nothing of the post was done: fault says status and error */
};

struct mcp_verdict {
	enum mcp_turn turn;
	enum mcp_fault fault; /* of MCP_REFUSED */
};

/*
 * A POST of the client. A sink that is the only one of its session stays attached, and done() comes with the
 * end of the session: whatever is wrong with a request is answered there.
 */
struct mcp_verdict mcp_session_on_post(struct mcp_session *s, struct mcp_sink *sink,
				       const struct mcp_post *post, uint64_t now_ms);
/*
 * A GET: the stream for what belongs to no request. last_event: of Last-Event-ID, 0: none. What waited is
 * sent at once. MCP_WAITING or MCP_REFUSED.
 */
struct mcp_verdict mcp_session_on_stream(struct mcp_session *s, struct mcp_sink *sink, uint64_t last_event);

/* The only stream of a client of 2024-11-05 (is_only), before anything else. The session ends with it. */
void mcp_session_begin_stream(struct mcp_session *s, struct mcp_sink *sink);

enum mcp_gone {
	MCP_GONE_CLIENT, /* closed by the client: its requests are cancelled */
	MCP_GONE_TIMEOUT, /* the deadline of its stream: cancelled with "request timeout" */
	/* Broken, but the client has an event id: answers wait for it (LIMIT_MCP_RESUME_MS). */
	MCP_GONE_RESUMABLE,
};

/* The sink cannot take anything any more. */
void mcp_session_sink_gone(struct mcp_session *s, struct mcp_sink *sink, enum mcp_gone why, uint64_t now_ms);

/* `call` of a message that came on a stream of its own: it belongs to no request. */
#define MCP_CALL_NONE UINT64_MAX

/*
 * One line or event of a target. call: on whose answer stream it came (HTTP targets), 0: not known (a pipe).
 * MCP_NONE, or why the text is no message: then the request that it claims to answer has an error, if there
 * is one.
 */
enum mcp_fault mcp_session_on_target(struct mcp_session *s, uint32_t target, uint64_t call, struct span text,
				     uint64_t now_ms);
/* Somebody waits for the answer of the target to this request of ours. */
bool mcp_session_waits(const struct mcp_session *s, uint32_t target, uint64_t call);
/* An exchange of an HTTP target failed without an answer: only that request has an error. */
void mcp_session_on_call_lost(struct mcp_session *s, uint32_t target, uint64_t call, struct span reason,
			      uint64_t now_ms);
/* The target is gone. reason: plain text, for the error of requests that were under way. */
void mcp_session_on_target_lost(struct mcp_session *s, uint32_t target, struct span reason, uint64_t now_ms);
/*
 * It is there again. A session of one client (failOpen) initializes it as its client did; from its answer on
 * it takes part, and the client is told that lists have changed.
 */
void mcp_session_on_target_back(struct mcp_session *s, uint32_t target, uint64_t now_ms);

/* DELETE, TTL, shutdown, end of the configuration: answers what is open with the fault and is over. */
void mcp_session_end(struct mcp_session *s, enum mcp_fault fault, uint64_t now_ms);
/* Gives up what waits for a client that does not come back. Returns when to be called again, 0: never. */
uint64_t mcp_session_tick(struct mcp_session *s, uint64_t now_ms);

enum mcp_session_state mcp_session_state(const struct mcp_session *s);
/* Of the client: what was agreed upon in initialize; MCP_VERSION_NONE before. */
enum mcp_version mcp_session_version(const struct mcp_session *s);
/* Of a target: what it said in its answer to initialize. */
enum mcp_version mcp_session_target_version(const struct mcp_session *s, uint32_t target);
bool mcp_session_is_lost(const struct mcp_session *s, uint32_t target);
/* Requests of the client that are under way, and what a list shows of them. */
uint32_t mcp_session_calls(const struct mcp_session *s);
/* The stream of a GET, for what belongs to no request, or NULL. */
struct mcp_sink *mcp_session_stream(const struct mcp_session *s);
size_t mcp_session_bytes(const struct mcp_session *s); /* all memory it holds */

struct mcp_call_view {
	uint32_t target;
	struct span method;
	struct span name; /* as the client said it, inner text of the JSON string */
	struct span id;
	uint64_t started_ms;
	const struct mcp_sink *sink; /* that waits for the answer; NULL: none now */
};

/* *cursor begins at 0; false at the end. Spans live until something changes. */
bool mcp_session_next_call(const struct mcp_session *s, uint32_t *cursor, struct mcp_call_view *ret);

/* "12-7": stream and number. At least MCP_EVENT_ID_BYTES of room; returns the length. */
enum { MCP_EVENT_ID_BYTES = 24 };
size_t mcp_event_id_write(char *out, uint64_t event);
int mcp_event_id_read(struct span text, uint64_t *ret_event);
