/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "user/mcp/hub.h"

/*
 * The MCP hub as the gateway has it: its thread is started by the first configuration that has an MCP
 * backend, while workers call it as a service of this process from their own start on.
 */
struct mcp_service {
	struct inner inner; /* what workers call; lives as long as they do */
	_Atomic(struct mcp_hub *) hub; /* NULL: nobody has asked for it yet */
	struct mcp_hub_options options;
};

void mcp_service_init(struct mcp_service *service);
/*
 * Before the workers know of a configuration. Takes no reference of the caller's. 0, or -errno: no memory or
 * thread, and what was in force before still is.
 */
int mcp_service_set_snapshot(struct mcp_service *service, struct snapshot *snapshot);
/* No new sessions; those with nothing under way end. */
void mcp_service_drain(struct mcp_service *service);
/* After the workers have ended. */
void mcp_service_stop(struct mcp_service *service);
/* JSON of the sessions: calls done once, now or later; NULL: no memory. */
void mcp_service_list(struct mcp_service *service, void (*done)(void *argument, struct text *json),
		      void *argument);
/* NULL: it does not run. */
const struct counters *mcp_service_counters(const struct mcp_service *service);
const struct series_table *mcp_service_calls(const struct mcp_service *service);
