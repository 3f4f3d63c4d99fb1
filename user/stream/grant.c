/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/grant.h"

#include <errno.h>

#include "policy/guard/mcp_access.h"
#include "user/stream/facts.h"
#include "user/upstream/inner.h"

static struct mcp_access_table *table_of(const struct stream *stream)
{
	const struct inner *inner = stream->proxy->pool.inner;

	return inner ? inner->accesses : NULL;
}

void grant_drop(struct stream *stream)
{
	struct exchange *exchange = stream->exchange;

	if (exchange->access)
		mcp_access_table_drop(table_of(stream), exchange->access);
	exchange->access = 0;
}

int grant_make(struct stream *stream)
{
	const struct authorization_policy *rules = stream->backend->mcp_rules;
	struct exchange *exchange = stream->exchange;
	struct mcp_access_table *table = table_of(stream);
	struct mcp_access *access;
	struct stream_facts facts;
	int error;

	grant_drop(stream);
	if (!rules)
		return 0;
	error = stream_facts_fill(&facts, stream, rules->needs, &exchange->arena);
	if (error || !table)
		return -ENOMEM;
	access = mcp_access_create(rules, &facts.facts, exchange->identity.claims, stream->lease->snapshot);
	if (!access)
		return -ENOMEM;
	exchange->access = mcp_access_table_put(table, access);
	return 0;
}
