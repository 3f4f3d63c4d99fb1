/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/session/backlog.h"

#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

void mcp_backlog_init(struct mcp_backlog *b)
{
	*b = (struct mcp_backlog){ 0 };
	list_init(&b->list);
}

void mcp_backlog_done(struct mcp_backlog *b)
{
	list_each(node, next, &b->list)
		mcp_backlog_drop(b, list_entry(node, struct mcp_buffered_event, node));
}

void mcp_backlog_drop(struct mcp_backlog *b, struct mcp_buffered_event *buffered)
{
	list_remove(&buffered->node);
	b->bytes -= sizeof(*buffered) + buffered->len;
	b->count--;
	hg_free(buffered);
}

static struct mcp_buffered_event *backlog_victim(struct mcp_backlog *b)
{
	list_each(node, next, &b->list) {
		struct mcp_buffered_event *buffered = list_entry(node, struct mcp_buffered_event, node);

		if (buffered->was_sent)
			return buffered;
	}
	return list_entry(b->list.next, struct mcp_buffered_event, node);
}

int mcp_backlog_add(struct mcp_backlog *b, uint64_t event, bool was_sent, enum mcp_kind kind,
		    const struct iovec *segments, int count, uint64_t now_ms)
{
	struct mcp_buffered_event *buffered;
	size_t len = 0;
	int lost = 0;

	for (int i = 0; i < count; i++)
		len += segments[i].iov_len;
	if (sizeof(*buffered) + len > LIMIT_MCP_QUEUE_BYTES)
		return !was_sent;
	buffered = hg_malloc(sizeof(*buffered) + len);
	if (!buffered)
		return -ENOMEM;
	*buffered = (struct mcp_buffered_event){
		.event = event, .since_ms = now_ms, .was_sent = was_sent, .kind = kind
	};
	for (int i = 0; i < count; i++) {
		memcpy(buffered->text + buffered->len, segments[i].iov_base, segments[i].iov_len);
		buffered->len += segments[i].iov_len;
	}
	while (b->bytes + sizeof(*buffered) + len > LIMIT_MCP_QUEUE_BYTES ||
	       b->count == LIMIT_MCP_QUEUE_MESSAGES) {
		struct mcp_buffered_event *victim = backlog_victim(b);

		lost += !victim->was_sent;
		mcp_backlog_drop(b, victim);
	}
	list_add_tail(&b->list, &buffered->node);
	b->bytes += sizeof(*buffered) + len;
	b->count++;
	return lost;
}

uint64_t mcp_backlog_tick(struct mcp_backlog *b, uint64_t now_ms)
{
	list_each(node, next, &b->list) {
		struct mcp_buffered_event *buffered = list_entry(node, struct mcp_buffered_event, node);

		if (now_ms < buffered->since_ms + LIMIT_MCP_RESUME_MS)
			return buffered->since_ms + LIMIT_MCP_RESUME_MS;
		mcp_backlog_drop(b, buffered);
	}
	return 0;
}
