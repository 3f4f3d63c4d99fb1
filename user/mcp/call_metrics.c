/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/call_metrics.h"

#include "user/base/limits.h"
#include "user/mcp/message.h"

enum { TOOL_BYTES = 128 };

struct series_table *mcp_call_metrics_create(void)
{
	struct series_table *table = series_table_create(LIMIT_MCP_SERIES);
	struct span labels[SERIES_LABELS] = { 0 };

	for (int i = 0; i < CALL_LABEL_COUNT; i++)
		labels[i] = SPAN("overflow");
	if (table && series_get(table, 0, labels))
		return table;
	series_table_free(table);
	return NULL;
}

static struct span method_label(struct span method)
{
	for (int i = MCP_METHOD_OTHER + 1; i < MCP_METHOD_COUNT; i++) {
		if (span_eq(method, mcp_method_text((enum mcp_method)i)))
			return method;
	}
	return SPAN("other");
}

/* URIs are of any number: things that have a name are tools and prompts. */
static bool has_tool(struct span method, struct span tool)
{
	return tool.len > 0 && tool.len <= TOOL_BYTES &&
	       (span_eq(method, mcp_method_text(MCP_METHOD_TOOLS_CALL)) ||
		span_eq(method, mcp_method_text(MCP_METHOD_PROMPTS_GET)));
}

void mcp_call_metrics_add(struct series_table *table, struct span backend, struct span target,
			  struct span method, struct span tool, bool is_error, uint64_t duration_ns)
{
	struct span labels[SERIES_LABELS] = {
		[CALL_BACKEND] = backend,
		[CALL_TARGET] = target,
		[CALL_METHOD] = method_label(method),
		[CALL_TOOL] = has_tool(method, tool) ? tool : SPAN(""),
		[CALL_STATUS] = SPAN("ok"),
	};
	struct series *series;

	/* Who has served it once is known to have it. */
	if (is_error && labels[CALL_TOOL].len && !series_find(table, 0, labels))
		labels[CALL_TOOL] = SPAN("other");
	if (is_error)
		labels[CALL_STATUS] = SPAN("error");
	series = series_get(table, 0, labels);
	if (!series)
		series = series_table_at(table, 0);
	histogram_add(&series->duration, &histogram_http, duration_ns);
}
