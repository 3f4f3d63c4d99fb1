/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/series.h"

/*
 * Requests of MCP clients by label; only the hub writes. Past LIMIT_MCP_SERIES, or without memory, the first
 * series, with all labels "overflow", has the rest. Nothing that a client invents makes a series: a method
 * that is not ours is "other", and so is a name that the target has not listed.
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

struct mcp_call_metrics {
	struct series_table *shown; /* owner; any thread may read it */
	struct series_table *listed; /* owner; by the first four labels; only the hub reads it */
};

/* A tool or prompt of a target. Names are inner texts of JSON strings, here and below. */
struct mcp_call_tool {
	struct span backend;
	struct span target;
	struct span method; /* that uses it */
	struct span name; /* as the target calls it; empty: the method has none */
};

bool mcp_call_metrics_init(struct mcp_call_metrics *m); /* false without memory; done() follows even then */
void mcp_call_metrics_done(struct mcp_call_metrics *m);
/* The target has listed this tool. Beyond LIMIT_MCP_LISTED, or without memory, it stays unknown. */
void mcp_call_metrics_learn(struct mcp_call_metrics *m, const struct mcp_call_tool *tool);
/* shown: the name as the client sent it. */
void mcp_call_metrics_add(struct mcp_call_metrics *m, const struct mcp_call_tool *tool, struct span shown,
			  bool is_error, uint64_t duration_ns);
