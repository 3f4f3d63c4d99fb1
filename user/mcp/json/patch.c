/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/json/patch.h"

#include "user/base/check.h"

void mcp_patch_edit(struct mcp_patch *s, struct span old, struct span now)
{
	uint32_t at = s->count;

	CHECK(s->count < MCP_SPLICES);
	for (; at > 0 && s->edits[at - 1].old.data > old.data; at--)
		s->edits[at] = s->edits[at - 1];
	s->edits[at].old = old;
	s->edits[at].now = now;
	s->count++;
}

static int add(struct iovec *segments, int count, struct span s, size_t *bytes)
{
	if (s.len == 0)
		return count;
	segments[count].iov_base = (char *)s.data;
	segments[count].iov_len = s.len;
	*bytes += s.len;
	return count + 1;
}

int mcp_patch_segments(const struct mcp_patch *s, struct iovec segments[static MCP_SEGMENTS],
		       size_t *ret_bytes)
{
	const char *at = s->text.data;
	int count = 0;

	*ret_bytes = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		struct span old = s->edits[i].old;

		count = add(segments, count, span_of(at, (size_t)(old.data - at)), ret_bytes);
		count = add(segments, count, s->edits[i].now, ret_bytes);
		at = old.data + old.len;
	}
	return add(segments, count, span_of(at, (size_t)(s->text.data + s->text.len - at)), ret_bytes);
}
