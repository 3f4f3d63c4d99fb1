/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/endpoint_update.h"

#include <errno.h>

#include "config/load.h"
#include "config/snapshot.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/gateway/backend_counts.h"

/* To all workers or to none. */
static int send_to_workers(const struct gateway *gateway, struct snapshot *copy)
{
	struct worker_change *changes[LIMIT_WORKERS] = { NULL };

	for (uint32_t i = 0; i < gateway->worker_count; i++) {
		changes[i] = worker_endpoints_create(snapshot_ref(copy));
		if (changes[i])
			continue;
		snapshot_unref(copy);
		while (i--)
			worker_change_free(changes[i]);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < gateway->worker_count; i++)
		worker_change_send(gateway->workers[i], changes[i]);
	return 0;
}

/* Takes over the copy on success. */
static int put_into_force(struct gateway *gateway, struct snapshot *copy)
{
	int error = health_registry_attach(&gateway->health, copy, clock_now_ms());

	if (!error)
		error = backend_counts_attach(&gateway->shared.backends, copy);
	if (!error)
		error = send_to_workers(gateway, copy);
	if (error)
		return error;
	/* Without memory its new sessions use the endpoints from before, until the next change. */
	(void)mcp_service_set_snapshot(&gateway->mcp, copy);
	outbound_follow(&gateway->outbound, &copy->config);
	fetcher_follow(&gateway->fetcher, copy);
	health_checker_follow(&gateway->checker, copy);
	snapshot_unref(gateway->snapshot);
	gateway->snapshot = copy;
	return 0;
}

static int update(struct gateway *gateway, struct span text)
{
	struct snapshot *copy = snapshot_copy(gateway->snapshot);
	int error = copy ? config_load_endpoints(text, copy) : -ENOMEM;

	if (!error)
		error = put_into_force(gateway, copy);
	if (error)
		snapshot_unref(copy);
	return error;
}

int endpoint_update(struct gateway *gateway)
{
	struct cluster *cluster = gateway->cluster;
	struct text text;
	int error;

	if (gateway->phase != GATEWAY_RUNNING)
		return 0;
	text_init(&text);
	error = cluster_texts_changed(cluster_objects(cluster), gateway->snapshot, &text);
	if (!error && text.len) {
		error = update(gateway, text_span(&text));
		cluster->endpoint_updates += !error;
	}
	if (!error)
		cluster_applied(cluster);
	text_done(&text);
	return error;
}
