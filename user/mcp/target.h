/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/limits.h"
#include "user/loop/loop.h"
#include "user/mcp/session.h"

/*
 * A server of tools, as the session sees it: messages go in, messages come out, and it can be lost. Behind it
 * is a child process (child.h), an HTTP endpoint (remote.h), or one of the older HTTP+SSE kind (legacy.h).
 *
 * Life: made by child_open(), remote_open() or legacy_open(); sends; on_lost() at most once;
 * mcp_target_close(). Nothing is called back from within mcp_target_send(), and nothing at all after
 * mcp_target_close(). The memory is given back by the target itself when what is behind it has ended, which
 * may take seconds.
 */
struct mcp_target;
struct upstream_pool;

/* From the loop. `why` is for clients and the log, `last` for the log alone: it holds what a child wrote. */
struct mcp_target_events {
	/*
	 * One message, without line end, not empty, not checked; valid until the return. call: of the request
	 * on whose answer it came (HTTP), 0: not known. MCP_NONE, or why it is no message.
	 */
	enum mcp_fault (*on_message)(void *owner, uint64_t call, struct span text);
	/*
	 * This request gets no answer from here, but the target lives; it may have got one before. call: 0
	 * for a message of which nobody knows whose answer it was.
	 */
	void (*on_call_lost)(void *owner, uint64_t call, struct span why);
	/* Somebody waits for the answer to this request. */
	bool (*is_waited_for)(void *owner, uint64_t call);
	/* Once. Nothing comes from here any more: what is open gets no answer. `last`: what it wrote last. */
	void (*on_lost)(void *owner, struct span why, struct span last);
};

/* For /mcp/sessions. */
struct mcp_target_view {
	const char *state;
	int pid; /* 0: no child */
	uint64_t sent; /* messages, like the next one */
	uint64_t received;
	size_t queued_bytes; /* that it has not taken yet */
};

struct mcp_target_ops {
	int (*send)(struct mcp_target *target, const struct mcp_out *out);
	void (*forget)(struct mcp_target *target, uint64_t call);
	void (*hold)(struct mcp_target *target, bool is_held);
	void (*describe)(const struct mcp_target *target, struct mcp_target_view *ret_view);
	void (*close)(struct mcp_target *target);
	/* At once, and frees it; closed or not. */
	void (*abort)(struct mcp_target *target);
};

struct mcp_target {
	struct list node; /* in mcp_targets.list, from its begin until it has ended */
	const struct mcp_target_ops *ops;
	const struct mcp_target_events *events; /* borrowed; NULL: nobody listens any more */
	void *owner;
	uint64_t sent;
	uint64_t received;
};

/* What the targets of a thread share. */
struct mcp_targets {
	struct loop *loop; /* borrowed, like the next two */
	char *scratch; /* LIMIT_READ_BYTES, used between two callbacks */
	struct upstream_pool *pool; /* for those behind HTTP */
	uint32_t children; /* processes */
	uint32_t max_children;
	size_t message_bytes; /* of a message, in either direction */
	struct list list; /* of everything that has not ended yet, also of what was closed */
	void (*on_empty)(struct mcp_targets *targets); /* the last one has ended; may be NULL */
};

/*
 * Whether a message of so many bytes may wait behind `queued` others. The last quarter is for small ones:
 * large ones of one client do not keep those of all others out.
 */
static inline bool mcp_targets_have_room(const struct mcp_targets *targets, size_t queued, size_t bytes)
{
	size_t limit = LIMIT_MCP_QUEUE_FACTOR * targets->message_bytes;

	if (bytes > LIMIT_MCP_SMALL_BYTES)
		limit -= limit / 4;
	return queued + bytes <= limit;
}
/* 0: on its way; -ENOBUFS: too much waits for the target, which goes on; -EPIPE: it is lost; -ENOMEM. */
static inline int mcp_target_send(struct mcp_target *target, const struct mcp_out *out)
{
	return target->ops->send(target, out);
}
/*
 * Nobody waits for the answer of this request. (A message that tells the target so is the session's to send.)
 */
static inline void mcp_target_forget(struct mcp_target *target, uint64_t call)
{
	target->ops->forget(target, call);
}
/* Nothing is read from it while held: a client does not take what came. */
static inline void mcp_target_hold(struct mcp_target *target, bool is_held)
{
	target->ops->hold(target, is_held);
}
static inline void mcp_target_describe(const struct mcp_target *target, struct mcp_target_view *ret_view)
{
	target->ops->describe(target, ret_view);
}
/* Ends what is behind it in an orderly way. Once. */
static inline void mcp_target_close(struct mcp_target *target)
{
	target->events = NULL;
	target->ops->close(target);
}
/* Whatever is left, without waiting for it: the thread ends. */
static inline void mcp_targets_abort(struct mcp_targets *targets)
{
	list_each(node, next, &targets->list) {
		struct mcp_target *target = list_entry(node, struct mcp_target, node);

		target->ops->abort(target);
	}
}
