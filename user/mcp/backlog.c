/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/backlog.h"

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
		mcp_backlog_drop(b, list_entry(node, struct mcp_kept, node));
}

void mcp_backlog_drop(struct mcp_backlog *b, struct mcp_kept *kept)
{
	list_remove(&kept->node);
	b->bytes -= sizeof(*kept) + kept->len;
	b->count--;
	hg_free(kept);
}

static struct mcp_kept *backlog_victim(struct mcp_backlog *b)
{
	list_each(node, next, &b->list) {
		struct mcp_kept *kept = list_entry(node, struct mcp_kept, node);

		if (kept->was_sent)
			return kept;
	}
	return list_entry(b->list.next, struct mcp_kept, node);
}

int mcp_backlog_add(struct mcp_backlog *b, uint64_t event, bool was_sent, enum mcp_kind kind,
		    const struct iovec *pieces, int count, uint64_t now_ms)
{
	struct mcp_kept *kept;
	size_t len = 0;
	int lost = 0;

	for (int i = 0; i < count; i++)
		len += pieces[i].iov_len;
	if (sizeof(*kept) + len > LIMIT_MCP_QUEUE_BYTES)
		return !was_sent;
	kept = hg_malloc(sizeof(*kept) + len);
	if (!kept)
		return -ENOMEM;
	*kept = (struct mcp_kept){ .event = event, .since_ms = now_ms, .was_sent = was_sent, .kind = kind };
	for (int i = 0; i < count; i++) {
		memcpy(kept->text + kept->len, pieces[i].iov_base, pieces[i].iov_len);
		kept->len += pieces[i].iov_len;
	}
	while (b->bytes + sizeof(*kept) + len > LIMIT_MCP_QUEUE_BYTES ||
	       b->count == LIMIT_MCP_QUEUE_MESSAGES) {
		struct mcp_kept *victim = backlog_victim(b);

		lost += !victim->was_sent;
		mcp_backlog_drop(b, victim);
	}
	list_add_tail(&b->list, &kept->node);
	b->bytes += sizeof(*kept) + len;
	b->count++;
	return lost;
}

uint64_t mcp_backlog_tick(struct mcp_backlog *b, uint64_t now_ms)
{
	list_each(node, next, &b->list) {
		struct mcp_kept *kept = list_entry(node, struct mcp_kept, node);

		if (now_ms < kept->since_ms + LIMIT_MCP_RESUME_MS)
			return kept->since_ms + LIMIT_MCP_RESUME_MS;
		mcp_backlog_drop(b, kept);
	}
	return 0;
}
