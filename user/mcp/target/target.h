/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/limits.h"
#include "user/loop/loop.h"
#include "user/mcp/session/session.h"

/*
 * An MCP server, as the session sees it: messages go in, messages come out, and it can be lost. It is a
 * child process (child.h), an HTTP endpoint (remote.h), an HTTP+SSE endpoint (legacy.h), or a REST API
 * (api.h).
 *
 * Life: child_open(), remote_open(), legacy_open() or api_open(); sends; on_lost() at most once;
 * mcp_target_close().
 * mcp_target_send() calls no callback, and no callback follows mcp_target_close(). The target frees itself
 * when its process or connection has ended, which may take seconds.
 */
struct mcp_target;
struct upstream_pool;

/* Called by the loop. `why` is for clients and the log, `last` only for the log: it is text of the child. */
struct mcp_target_events {
	/*
	 * One message: without line end, not empty, not validated; valid during the call. call: the request
	 * whose response carried it (HTTP), 0: unknown. Returns MCP_NONE, or why it is not a valid message.
	 */
	enum mcp_fault (*on_message)(void *owner, uint64_t call, struct span text);
	/*
	 * The target lives, but will not answer this request; the answer may have come before. call: 0 if
	 * the request is unknown.
	 */
	void (*on_call_lost)(void *owner, uint64_t call, struct span why);
	/* Whether the session still waits for the answer to this request. */
	bool (*is_waited_for)(void *owner, uint64_t call);
	/*
	 * Called once: the target is gone, and its open requests get no answer. `last`: the last text it
	 * wrote.
	 */
	void (*on_lost)(void *owner, struct span why, struct span last);
};

/* For /mcp/sessions. */
struct mcp_target_view {
	const char *state;
	int pid; /* 0: no child */
	uint64_t sent; /* number of messages, like the next one */
	uint64_t received;
	size_t queued_bytes; /* bytes that it has not read yet */
};

struct mcp_target_ops {
	int (*send)(struct mcp_target *target, const struct mcp_out *out);
	void (*forget)(struct mcp_target *target, uint64_t call);
	void (*hold)(struct mcp_target *target, bool is_held);
	void (*describe)(const struct mcp_target *target, struct mcp_target_view *ret_view);
	void (*close)(struct mcp_target *target);
	/* Ends the target at once and frees it, whether closed or not. */
	void (*abort)(struct mcp_target *target);
};

struct mcp_target {
	struct list node; /* in mcp_targets.list, from open until it has ended */
	const struct mcp_target_ops *ops;
	const struct mcp_target_events *events; /* borrowed; NULL: closed */
	void *owner;
	uint64_t sent;
	uint64_t received;
};

/* Shared by the targets of a thread. */
struct mcp_targets {
	struct loop *loop; /* borrowed, like the next two */
	char *scratch; /* LIMIT_READ_BYTES; valid only within one callback */
	struct upstream_pool *pool; /* for HTTP targets */
	struct mcp_json_checker *checker; /* borrowed; for responses that are no messages */
	uint32_t children; /* number of processes */
	uint32_t max_children;
	size_t message_bytes; /* limit of a message, in either direction */
	struct list list; /* all targets that have not ended, including closed ones */
	void (*on_empty)(struct mcp_targets *targets); /* called when the last one has ended; may be NULL */
};

/*
 * Whether a message of `bytes` may be queued after `queued` bytes. The last quarter is for small messages,
 * so that large messages of one client do not lock out the others.
 */
static inline bool mcp_targets_have_room(const struct mcp_targets *targets, size_t queued, size_t bytes)
{
	size_t limit = LIMIT_MCP_QUEUE_FACTOR * targets->message_bytes;

	if (bytes > LIMIT_MCP_SMALL_BYTES)
		limit -= limit / 4;
	return queued + bytes <= limit;
}
/* 0: sent or queued; -ENOBUFS: the queue is full, but the target lives; -EPIPE: it is lost; -ENOMEM. */
static inline int mcp_target_send(struct mcp_target *target, const struct mcp_out *out)
{
	return target->ops->send(target, out);
}
/* The answer of this request is no longer needed. The session itself sends the message that cancels it. */
static inline void mcp_target_forget(struct mcp_target *target, uint64_t call)
{
	target->ops->forget(target, call);
}
/* While held, nothing is read from the target, because a client does not read its messages. */
static inline void mcp_target_hold(struct mcp_target *target, bool is_held)
{
	target->ops->hold(target, is_held);
}
static inline void mcp_target_describe(const struct mcp_target *target, struct mcp_target_view *ret_view)
{
	target->ops->describe(target, ret_view);
}
/* Ends the process or connection in an orderly way. Call once. */
static inline void mcp_target_close(struct mcp_target *target)
{
	target->events = NULL;
	target->ops->close(target);
}
/* Ends all remaining targets at once: the thread ends. */
static inline void mcp_targets_abort(struct mcp_targets *targets)
{
	list_each(node, next, &targets->list) {
		struct mcp_target *target = list_entry(node, struct mcp_target, node);

		target->ops->abort(target);
	}
}
