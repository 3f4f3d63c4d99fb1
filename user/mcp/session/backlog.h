/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "user/base/list.h"
#include "user/base/span.h"
#include "user/mcp/protocol/message.h"

/*
 * Messages for a client that has no stream to read them from just now, and those it may ask for again with
 * Last-Event-ID. Bounded: what was sent already goes first, then the oldest.
 */
struct mcp_buffered_event {
	struct list node;
	uint64_t event;
	uint64_t since_ms;
	bool was_sent;
	enum mcp_kind kind;
	size_t len;
	char text[];
};

struct mcp_backlog {
	struct list list; /* by event number within a stream */
	size_t bytes;
	uint32_t count;
};

void mcp_backlog_init(struct mcp_backlog *b);
void mcp_backlog_done(struct mcp_backlog *b);
/* How many that had not been sent were dropped to make room (this one, if it is too large), or -ENOMEM. */
int mcp_backlog_add(struct mcp_backlog *b, uint64_t event, bool was_sent, enum mcp_kind kind,
		    const struct iovec *segments, int count, uint64_t now_ms);
void mcp_backlog_drop(struct mcp_backlog *b, struct mcp_buffered_event *buffered);
/* Drops what is older than LIMIT_MCP_RESUME_MS; returns when the next one is, 0: never. */
uint64_t mcp_backlog_tick(struct mcp_backlog *b, uint64_t now_ms);
