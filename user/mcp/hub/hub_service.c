/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "user/base/mem.h"
#include "user/mcp/hub/hub_internal.h"

const struct backend *hub_service_backend(const struct mcp_hub *hub, struct span name)
{
	const struct snapshot *snapshot = hub->snapshot;

	for (uint32_t i = 0; snapshot && i < snapshot->backend_count; i++) {
		const struct backend *backend = &snapshot->backend_list[i];

		if (backend->kind == BACKEND_MCP && span_eq(backend->endpoint_list[0].text, name))
			return backend;
	}
	return NULL;
}

static struct hub_service *service_create(struct mcp_hub *hub, struct span name)
{
	struct hub_service *service = hg_calloc(1, sizeof(*service) + name.len);

	if (!service)
		return NULL;
	memcpy(service + 1, name.data, name.len);
	service->name = span_of(service + 1, name.len);
	list_add_tail(&hub->services, &service->node);
	return service;
}

void hub_service_free_unused(struct hub_service *service)
{
	if (service->users || service->backend)
		return;
	list_remove(&service->node);
	hg_free(service);
}

void hub_service_leave(struct mcp_hub *hub, struct hub_service *service)
{
	(void)hub;
	service->users--;
	hub_service_free_unused(service);
}

struct hub_service *hub_service_find(struct mcp_hub *hub, struct span name)
{
	struct hub_service *service;
	const struct backend *backend;

	list_each(node, next, &hub->services) {
		service = list_entry(node, struct hub_service, node);
		if (span_eq(service->name, name))
			return service;
	}
	backend = hub_service_backend(hub, name);
	service = backend ? service_create(hub, name) : NULL;
	if (service)
		service->backend = backend;
	return service;
}
