/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/resources.h"

#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

#include "user/base/clock.h"
#include "user/net/descriptors.h"

void resources_set_connections(struct snapshot *snapshot, uint32_t workers)
{
	struct static_config *config = &snapshot->config;
	uint64_t limit = descriptors_limit();
	struct descriptor_plan plan;

	descriptors_plan(limit, descriptors_fixed(workers, snapshot->bind_count), &plan);
	if (config->max_connections > plan.connections)
		log_warn("config.limits.maxConnections is %llu: the descriptor limit of %llu allows "
			 "%llu connections with a backend each, beyond that idle clients are closed; "
			 "raise the limit (ulimit -n, LimitNOFILE=)",
			 (unsigned long long)config->max_connections, (unsigned long long)limit,
			 (unsigned long long)plan.connections);
	if (config->max_connections == 0)
		config->max_connections = plan.connections;
	if (config->connections_per_client == 0)
		config->connections_per_client = plan.connections_of_client;
	if (config->requests_per_client == 0)
		config->requests_per_client = plan.requests_of_client;
	if (config->connections_per_backend == 0)
		config->connections_per_backend = plan.connections;
}

void resources_name(struct proxy_shared *shared)
{
	uint64_t id = clock_wall_us() ^ (uint64_t)getpid() << 44;

	(void)!getrandom(&id, sizeof(id), 0);
	/* Without random bytes no session ticket is safe. */
	CHECK(getrandom(shared->ticket_secret, sizeof(shared->ticket_secret), 0) ==
	      (ssize_t)sizeof(shared->ticket_secret));
	shared->ticket_start_ms = clock_now_ns() / NS_PER_MS;
	CHECK(getrandom(&shared->hash_key, sizeof(shared->hash_key), 0) == (ssize_t)sizeof(shared->hash_key));
	(void)!getrandom(&shared->clients.secret, sizeof(shared->clients.secret), 0);
	(void)!getrandom(&shared->backends.secret, sizeof(shared->backends.secret), 0);
	snprintf(shared->loop_id, sizeof(shared->loop_id), "headgate-%016llx", (unsigned long long)id);
}

static enum lookup_family family_of(const struct static_config *config)
{
	static const enum lookup_family families[] = {
		[DNS_ALL] = LOOKUP_ALL,
		[DNS_V4_PREFERRED] = LOOKUP_V4_FIRST,
		[DNS_V4_ONLY] = LOOKUP_V4_ONLY,
		[DNS_V6_ONLY] = LOOKUP_V6_ONLY,
	};

	if (config->dns_family == DNS_AUTO)
		return config->ipv6_enabled ? LOOKUP_ALL : LOOKUP_V4_ONLY;
	return families[config->dns_family];
}

static enum lookup_edns edns_of(const struct static_config *config)
{
	if (!config->dns_has_edns0)
		return LOOKUP_EDNS_SYSTEM;
	return config->dns_edns0_is_on ? LOOKUP_EDNS_ON : LOOKUP_EDNS_OFF;
}

struct resolver_options resources_resolver(const struct static_config *config)
{
	return (struct resolver_options){ .refresh_ms = ns_to_ms(config->dns_refresh_ns),
					  .lookup.family = family_of(config),
					  .lookup.edns = edns_of(config) };
}
