/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/outbound.h"

#include <errno.h>
#include <sys/random.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/upstream/upstream.h"

void outbound_init(struct outbound *outbound, struct loop *loop, struct resolver *resolver)
{
	*outbound = (struct outbound){ .loop = loop, .resolver = resolver };
}

/* The main thread issues no tickets: the secret does not matter. */
static uint64_t ticket_s(void *context)
{
	(void)context;
	return 0;
}

static void outbound_free(struct outbound *outbound)
{
	slab_free(outbound->pool.upstreams);
	hg_free(outbound->relay.scratch);
	buf_done(&outbound->relay.frames);
}

int outbound_open(struct outbound *outbound)
{
	uint8_t secret[TICKET_SECRET_BYTES] = { 0 };
	struct upstream_pool *pool = &outbound->pool;

	if (outbound->is_open)
		return 0;
	*pool = (struct upstream_pool){ .loop = outbound->loop,
					.counters = &outbound->counters,
					.relay = &outbound->relay,
					.tls = &outbound->tls };
	pool->resolver = resolver_client_create(outbound->resolver, outbound->loop);
	pool->upstreams = slab_create(sizeof(struct upstream), LIMIT_OUTBOUND_CONNECTIONS);
	outbound->relay.scratch = hg_malloc(LIMIT_READ_BYTES);
	outbound->relay.counters = &outbound->counters;
	if (!pool->resolver || !pool->upstreams || !outbound->relay.scratch) {
		resolver_client_free(pool->resolver);
		outbound_free(outbound);
		return -ENOMEM;
	}
	if (getrandom(&pool->random, sizeof(pool->random), 0) != (ssize_t)sizeof(pool->random) ||
	    !pool->random)
		pool->random = 1;
	upstream_pool_init(pool);
	tls_worker_init(&outbound->tls, secret, ticket_s, NULL);
	outbound->is_open = true;
	return 0;
}

void outbound_follow(struct outbound *outbound, const struct static_config *config)
{
	if (!outbound->is_open)
		return;
	outbound->pool.config = config;
	tls_worker_forget(&outbound->tls);
}

void outbound_close(struct outbound *outbound)
{
	if (!outbound->is_open)
		return;
	upstream_pool_done(&outbound->pool);
	resolver_client_free(outbound->pool.resolver);
	tls_worker_done(&outbound->tls);
}

/* Closed connections are freed with the loop. */
void outbound_done(struct outbound *outbound)
{
	if (outbound->is_open)
		outbound_free(outbound);
	outbound->is_open = false;
}
