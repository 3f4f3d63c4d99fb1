/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/list.h"
#include "user/mcp/protocol/merge.h"
#include "user/mcp/protocol/message.h"
#include "user/mcp/protocol/names.h"

/*
 * The session between one client and its targets: a state machine without clock and sockets. Towards
 * targets, request ids and progress tokens are our own; they are mapped back on the way to the client, so a
 * response can only reach the client that sent the request. All sessions of a process belong to one thread.
 *
 * No function here may be called from mcp_sink_ops or mcp_link_ops: events that they detect (a client that
 * does not read, a target that ends) must be reported in a later turn.
 */
struct fields;
struct mcp_access;
struct mcp_session;
struct mcp_sink;

/* An outgoing message. All pointers are valid only during the call. */
struct mcp_out {
	const struct iovec *segments; /* together one JSON text without line feeds */
	int count;
	size_t bytes;
	enum mcp_kind kind;
	/* To a target: values for HTTP headers. To a client: for counters. */
	struct span method; /* of a request or notification; for a response, the method of its request */
	struct span name; /* params.name or params.uri without prefix, inner text of the string, or empty */
	enum mcp_version version; /* version of the receiver; MCP_VERSION_NONE until it is known */
	uint64_t call; /* to a target: our id of this request; 0: not a request */
	/* to a target: of the client's HTTP request; NULL: not sent for a client */
	const struct fields *fields;
	uint64_t event; /* to a client: number for `id:` (mcp_event_id_write()), 0: cannot be resumed */
	unsigned int status; /* of a response: the HTTP status if it is the whole HTTP response */
	enum mcp_fault fault; /* of our own MCP_ERROR */
	struct span why; /* of an MCP_ERROR, for the log: plain text, may be empty */
};

struct mcp_sink_ops {
	/*
	 * Takes a message for the client. False: too much is queued. Then the session detaches the sink
	 * before its function returns and does not call done(); the server ends the exchange.
	 */
	bool (*send)(struct mcp_sink *sink, const struct mcp_out *out);
	/*
	 * The session has detached the sink; no more messages come. If the client cancelled its request,
	 * there may have been none: an event stream without events.
	 */
	void (*done)(struct mcp_sink *sink);
};

/* Receives messages: the exchange of a POST, or the stream of a GET. Embedded in the server's object. */
struct mcp_sink {
	const struct mcp_sink_ops *ops;
	struct mcp_session *session; /* NULL: not attached. Set by the session. */
	struct list requests; /* attached requests of the session */
	uint32_t open; /* number of requests without a response */
	uint32_t stream; /* number in the session, for event ids */
	/* Set by the server: the only stream of a client of 2024-11-05. */
	bool is_only;
	const struct fields *fields; /* set by the server: of its HTTP request; NULL: none, or freed */
	uint64_t client; /* set by the server: hash of the client's address */
	bool is_resumable; /* set by the server once it has written an event with an id */
	bool is_broken; /* set by the session: send() failed */
	struct list node; /* in the session's `sinks` or `settling` */
};

void mcp_sink_init(struct mcp_sink *sink, const struct mcp_sink_ops *ops);

/* How a session sends to its targets. */
struct mcp_link_ops {
	/*
	 * 0; -ENOBUFS: the target reads too slowly and its queue is full; any other error: the target counts
	 * as lost (mcp_session_on_target_lost() may follow).
	 */
	int (*send)(void *context, uint32_t target, const struct mcp_out *out);
	/*
	 * The response to our request with this id is not needed: an HTTP target closes the exchange. May be
	 * NULL.
	 */
	void (*forget)(void *context, uint32_t target, uint64_t call);
};

enum mcp_item_kind {
	MCP_ITEM_TOOL,
	MCP_ITEM_PROMPT,
	MCP_ITEM_RESOURCE,
	MCP_ITEM_TASK,
};

/* Something that a request names, or a list contains. */
struct mcp_item {
	enum mcp_item_kind kind;
	struct span target; /* name of the target */
	struct span name; /* the target's own; plain text */
	struct span method; /* of the client's request */
};

/* The rules for the client of a request, which are not of this directory: access.h. */
struct mcp_access_ops {
	bool (*may)(const struct mcp_access *access, const struct mcp_item *item);
	struct mcp_access *(*ref)(struct mcp_access *access);
	void (*unref)(struct mcp_access *access);
};

/* Violations that the hub counts. */
enum mcp_protocol_violation {
	MCP_ODD_NOT_JSON, /* text that is not a message */
	MCP_ODD_UNKNOWN_ID, /* a response to an unknown or answered request */
	MCP_ODD_UNKNOWN_TOKEN, /* progress with an unknown token, or an event of an unknown subscription */
	MCP_ODD_WRONG_KIND, /* not allowed in this protocol version */
	MCP_ODD_DROPPED, /* the queue for a client without a stream is full */
	MCP_ODD_COUNT,
};

struct mcp_watch {
	void (*odd)(void *context, uint32_t target, enum mcp_protocol_violation protocol_violation);
	/*
	 * The session gives a target up, or continues without it. why: plain text, may contain text of the
	 * target.
	 */
	void (*gave_up)(void *context, uint32_t target, struct span why);
	/* A lost target takes part again. */
	void (*came_back)(void *context, uint32_t target);
	/* A target has listed tools (or prompts): the array of its result. */
	void (*listed)(void *context, uint32_t target, bool is_prompts, struct span list);
	/* A target that is not lost does not answer a request. why: plain text. */
	void (*failed)(void *context, uint32_t target, struct span why);
	/* A request of the client has ended: answered, failed or cancelled. name: as sent by the client. */
	void (*ended)(void *context, uint32_t target, struct span method, struct span name,
		      uint64_t started_ms, bool is_error);
};

enum mcp_session_kind {
	MCP_SESSION_STATEFUL, /* one client, from initialize to DELETE: up to 2025-11-25 */
	/* Initialized by us for one POST of a client without session (statefulMode: stateless). */
	MCP_SESSION_SINGLE,
	MCP_SESSION_SHARED, /* 2026-07-28: requests of many clients, no initialize */
};

struct mcp_session_setup {
	enum mcp_session_kind kind;
	struct mcp_names names; /* borrowed */
	bool fail_open; /* continue without lost targets while one is left */
	struct mcp_json_checker *checker; /* borrowed */
	const struct mcp_link_ops *link;
	const struct mcp_watch *watch; /* NULL: none */
	const struct mcp_access_ops *access; /* of the access of each post; NULL: no post has one */
	void *context; /* for link and watch */
	struct span
		server_name; /* serverInfo of merged answers, clientInfo of our own initialize; borrowed */
	struct span server_version;
	enum mcp_version version; /* MCP_SESSION_SINGLE: the client's version; NONE: 2025-03-26 */
	/* limit for a target to answer initialize, ms, after which it is lost; 0: no limit */
	uint64_t open_ms;
};

enum mcp_session_state {
	MCP_SESSION_NEW, /* before initialize */
	MCP_SESSION_OPENING, /* initialize was sent to the targets */
	MCP_SESSION_READY,
	MCP_SESSION_OVER, /* ended: the owner frees it */
};

struct mcp_session *mcp_session_create(const struct mcp_session_setup *setup);
/* Detaches every sink without notice: call mcp_session_end() first. */
void mcp_session_free(struct mcp_session *s);

enum mcp_turn {
	MCP_ACCEPTED, /* 202: no response follows, the sink is not attached */
	MCP_WAITING, /* responses come to the sink, or have come and done() was called */
	MCP_REFUSED, /* the post had no effect; `fault` has status and error */
};

struct mcp_verdict {
	enum mcp_turn turn;
	enum mcp_fault fault; /* of MCP_REFUSED */
	enum mcp_fault denied; /* why the access refused a message of the post; MCP_NONE: it did not */
};

/*
 * Handles a POST of the client. A sink with is_only stays attached until the session ends, which calls
 * done(); errors of requests are sent on it, too. access: borrowed for the call; NULL: everything is allowed.
 */
struct mcp_verdict mcp_session_on_post(struct mcp_session *s, struct mcp_sink *sink,
				       const struct mcp_post *post, struct mcp_access *access,
				       uint64_t now_ms);
/*
 * Handles a GET: opens the stream for messages that belong to no request, and sends the queued ones at once.
 * last_event: from Last-Event-ID, 0: none. Returns MCP_WAITING or MCP_REFUSED.
 */
struct mcp_verdict mcp_session_on_stream(struct mcp_session *s, struct mcp_sink *sink, uint64_t last_event);

/*
 * Opens the only stream of a client of 2024-11-05 (is_only). Must be the first call; the session ends with
 * the stream.
 */
void mcp_session_begin_stream(struct mcp_session *s, struct mcp_sink *sink);

enum mcp_gone {
	MCP_GONE_CLIENT, /* closed by the client: its requests are cancelled */
	MCP_GONE_TIMEOUT, /* the deadline of the stream passed: cancelled with "request timeout" */
	/* Broken, but the client has an event id: responses are kept for LIMIT_MCP_RESUME_MS. */
	MCP_GONE_RESUMABLE,
};

/* The connection behind the sink is gone. */
void mcp_session_sink_gone(struct mcp_session *s, struct mcp_sink *sink, enum mcp_gone why, uint64_t now_ms);

/* `call` for a message on a GET stream: it belongs to no request. */
#define MCP_CALL_NONE UINT64_MAX

/*
 * Handles one line or event of a target. call: the request whose response carried it (HTTP targets), 0:
 * unknown (a pipe). Returns MCP_NONE, or why the text is not a valid message; if it names an open request,
 * that request fails.
 */
enum mcp_fault mcp_session_on_target(struct mcp_session *s, uint32_t target, uint64_t call, struct span text,
				     uint64_t now_ms);
/* Whether our request `call` to the target still waits for a response. */
bool mcp_session_waits(const struct mcp_session *s, uint32_t target, uint64_t call);
/* The target lives, but will not answer this request: only the request fails. */
void mcp_session_on_call_lost(struct mcp_session *s, uint32_t target, uint64_t call, struct span reason,
			      uint64_t now_ms);
/* The target is gone. reason: plain text, for the errors of open requests. */
void mcp_session_on_target_lost(struct mcp_session *s, uint32_t target, struct span reason, uint64_t now_ms);
/*
 * The target was restarted. A session of one client (failOpen) initializes it with the client's parameters;
 * after its response the target takes part again, and the client is notified that lists have changed.
 */
void mcp_session_on_target_back(struct mcp_session *s, uint32_t target, uint64_t now_ms);

/*
 * DELETE, TTL, shutdown, or a removed backend: answers all open requests with the fault and ends the
 * session.
 */
void mcp_session_end(struct mcp_session *s, enum mcp_fault fault, uint64_t now_ms);
/*
 * Gives up requests and messages of a client that does not return. Returns the time of the next call, 0:
 * none.
 */
uint64_t mcp_session_tick(struct mcp_session *s, uint64_t now_ms);

enum mcp_session_state mcp_session_state(const struct mcp_session *s);
/* The version agreed with the client in initialize; MCP_VERSION_NONE before. */
enum mcp_version mcp_session_version(const struct mcp_session *s);
/* The version from the target's initialize result. */
enum mcp_version mcp_session_target_version(const struct mcp_session *s, uint32_t target);
bool mcp_session_is_lost(const struct mcp_session *s, uint32_t target);
/* Number of open requests of the client. */
uint32_t mcp_session_calls(const struct mcp_session *s);
/* The stream of a GET, or NULL. */
struct mcp_sink *mcp_session_stream(const struct mcp_session *s);
size_t mcp_session_bytes(const struct mcp_session *s); /* all memory of the session */

struct mcp_call_view {
	uint32_t target;
	struct span method;
	struct span name; /* as sent by the client, inner text of the JSON string */
	struct span id;
	uint64_t started_ms;
	const struct mcp_sink *sink; /* the sink that waits for the response; NULL: none at the moment */
};

/* *cursor starts at 0; false at the end. Spans are valid until the session changes. */
bool mcp_session_next_call(const struct mcp_session *s, uint32_t *cursor, struct mcp_call_view *ret);

/* Writes "12-7": stream and number. `out` has at least MCP_EVENT_ID_BYTES; returns the length. */
enum { MCP_EVENT_ID_BYTES = 24 };
size_t mcp_event_id_write(char *out, uint64_t event);
int mcp_event_id_read(struct span text, uint64_t *ret_event);
