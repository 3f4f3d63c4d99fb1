/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"
#include "user/obs/histogram.h"

/*
 * Requests of MCP clients by label. Only the hub writes; any thread may read at any time without a lock,
 * because series are only ever added, are complete before they become visible, and never move until the
 * table is freed. Bounded (LIMIT_MCP_SERIES); past that, or without memory, one series with all labels
 * "overflow" has the rest. Nothing that a client invents makes a series: a method that is not ours is
 * "other", and so is the name of something that no target has served yet.
 */
struct mcp_call_metrics;

/* In the order of the labels in metrics.def. */
enum mcp_call_label {
	CALL_BACKEND,
	CALL_TARGET,
	CALL_METHOD,
	CALL_TOOL,
	CALL_STATUS, /* ok, error */
	CALL_LABEL_COUNT,
};

struct mcp_call_series {
	struct span labels[CALL_LABEL_COUNT]; /* bytes behind the series */
	struct histogram duration; /* bounds: histogram_http */
};

struct mcp_call_metrics *mcp_call_metrics_create(void);
void mcp_call_metrics_free(struct mcp_call_metrics *m);
/* tool: inner text of a JSON string, as the client said it; empty: the method has none. */
void mcp_call_metrics_add(struct mcp_call_metrics *m, struct span backend, struct span target,
			  struct span method, struct span tool, bool is_error, uint64_t duration_ns);

/* Reading, from any thread. */
uint32_t mcp_call_metrics_count(const struct mcp_call_metrics *m);
const struct mcp_call_series *mcp_call_metrics_at(const struct mcp_call_metrics *m, uint32_t index);
