/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/splice.h"

#include "user/base/check.h"

void mcp_splice_edit(struct mcp_splice *s, struct span old, struct span now)
{
	uint32_t at = s->count;

	CHECK(s->count < MCP_SPLICES);
	for (; at > 0 && s->edits[at - 1].old.data > old.data; at--)
		s->edits[at] = s->edits[at - 1];
	s->edits[at].old = old;
	s->edits[at].now = now;
	s->count++;
}

static int add(struct iovec *pieces, int count, struct span s, size_t *bytes)
{
	if (s.len == 0)
		return count;
	pieces[count].iov_base = (char *)s.data;
	pieces[count].iov_len = s.len;
	*bytes += s.len;
	return count + 1;
}

int mcp_splice_pieces(const struct mcp_splice *s, struct iovec pieces[static MCP_PIECES], size_t *ret_bytes)
{
	const char *at = s->text.data;
	int count = 0;

	*ret_bytes = 0;
	for (uint32_t i = 0; i < s->count; i++) {
		struct span old = s->edits[i].old;

		count = add(pieces, count, span_of(at, (size_t)(old.data - at)), ret_bytes);
		count = add(pieces, count, s->edits[i].now, ret_bytes);
		at = old.data + old.len;
	}
	return add(pieces, count, span_of(at, (size_t)(s->text.data + s->text.len - at)), ret_bytes);
}
