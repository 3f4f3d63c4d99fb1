/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/series.h"

/*
 * Requests of MCP clients by label; only the hub writes. Past LIMIT_MCP_SERIES, or without memory, the first
 * series, with all labels "overflow", has the rest. Nothing that a client invents makes a series: a method
 * that is not ours is "other", and so is the name of something that no target has served yet.
 */
/* In the order of the labels in metrics.def. */
enum mcp_call_label {
	CALL_BACKEND,
	CALL_TARGET,
	CALL_METHOD,
	CALL_TOOL,
	CALL_STATUS, /* ok, error */
	CALL_LABEL_COUNT,
};

struct series_table *mcp_call_metrics_create(void);
/* tool: inner text of a JSON string, as the client said it; empty: the method has none. */
void mcp_call_metrics_add(struct series_table *table, struct span backend, struct span target,
			  struct span method, struct span tool, bool is_error, uint64_t duration_ns);
