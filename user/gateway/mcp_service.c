/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/mcp_service.h"

#include <errno.h>
#include <unistd.h>

#include "config/snapshot.h"
#include "policy/guard/mcp_access.h"
#include "user/base/log.h"

static struct mcp_hub *hub_of(const struct mcp_service *service)
{
	return atomic_load_explicit(&service->hub, memory_order_acquire);
}

/* Called by any worker. */
static int service_open(void *context, struct span name, int fd)
{
	const struct mcp_service *service = context;
	struct mcp_hub *hub = hub_of(service);

	if (hub)
		return mcp_hub_inner(hub)->open(mcp_hub_inner(hub)->context, name, fd);
	close(fd);
	return -ENOENT;
}

void mcp_service_init(struct mcp_service *service)
{
	*service = (struct mcp_service){ .inner = { .context = service, .open = service_open } };
	atomic_init(&service->hub, NULL);
	/* Without memory, requests to which rules of mcpAuthorization apply are refused. */
	service->inner.accesses = mcp_access_table_create();
	service->options.accesses = service->inner.accesses;
}

int mcp_service_set_snapshot(struct mcp_service *service, struct snapshot *snapshot)
{
	struct mcp_hub *hub = hub_of(service);
	int error;

	if (!snapshot || (!hub && !mcp_hub_is_wanted(snapshot)))
		return 0;
	if (!hub) {
		hub = mcp_hub_start(&service->options);
		if (!hub)
			return -ENOMEM;
	}
	error = mcp_hub_set_snapshot(hub, snapshot_ref(snapshot));
	if (error)
		snapshot_unref(snapshot);
	atomic_store_explicit(&service->hub, hub, memory_order_release);
	return error;
}

void mcp_service_drain(struct mcp_service *service)
{
	struct mcp_hub *hub = hub_of(service);

	if (hub && mcp_hub_drain(hub) < 0)
		log_error("no memory to notify the MCP sessions of the shutdown");
}

void mcp_service_stop(struct mcp_service *service)
{
	struct mcp_hub *hub = hub_of(service);

	if (hub)
		mcp_hub_stop(hub);
	atomic_store_explicit(&service->hub, NULL, memory_order_release);
	mcp_access_table_free(service->inner.accesses);
	service->inner.accesses = NULL;
}

void mcp_service_list(struct mcp_service *service, void (*done)(void *argument, struct text *json),
		      void *argument)
{
	struct mcp_hub *hub = hub_of(service);
	struct text none;

	if (hub && mcp_hub_list(hub, done, argument) == 0)
		return;
	text_init(&none);
	text_str(&none, "[]\n");
	done(argument, hub ? NULL : &none);
	text_done(&none);
}

const struct counters *mcp_service_counters(const struct mcp_service *service)
{
	struct mcp_hub *hub = hub_of(service);

	return hub ? mcp_hub_counters(hub) : NULL;
}

const struct series_table *mcp_service_calls(const struct mcp_service *service)
{
	struct mcp_hub *hub = hub_of(service);

	return hub ? mcp_hub_calls(hub) : NULL;
}
