/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "user/mcp/hub.h"

/*
 * The gateway's MCP hub. The first configuration with an MCP backend starts its thread; workers call it as a
 * service of this process from their own start.
 */
struct mcp_service {
	struct inner inner; /* called by workers; lives as long as they do */
	_Atomic(struct mcp_hub *) hub; /* NULL: not started yet */
	struct mcp_hub_options options;
};

void mcp_service_init(struct mcp_service *service);
/*
 * Applies a configuration, before the workers get it. Does not take over the caller's reference. 0, or -errno
 * (no memory or thread), and the previous configuration stays in force.
 */
int mcp_service_set_snapshot(struct mcp_service *service, struct snapshot *snapshot);
/* Accepts no new sessions, and ends idle ones. */
void mcp_service_drain(struct mcp_service *service);
/* After the workers have ended. */
void mcp_service_stop(struct mcp_service *service);
/* Lists the sessions as JSON: calls done once, now or later; json is NULL without memory. */
void mcp_service_list(struct mcp_service *service, void (*done)(void *argument, struct text *json),
		      void *argument);
/* NULL: the hub does not run. */
const struct counters *mcp_service_counters(const struct mcp_service *service);
const struct series_table *mcp_service_calls(const struct mcp_service *service);
