/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/hub/call_metrics.h"

#include "user/base/limits.h"
#include "user/mcp/protocol/message.h"

enum { TOOL_BYTES = 128 };

bool mcp_call_metrics_init(struct mcp_call_metrics *m)
{
	struct span labels[SERIES_LABELS] = { 0 };

	m->shown = series_table_create(LIMIT_MCP_SERIES, 0);
	m->listed = series_table_create(LIMIT_MCP_LISTED, 0);
	for (int i = 0; i < CALL_LABEL_COUNT; i++)
		labels[i] = SPAN("overflow");
	return m->shown && m->listed && series_get(m->shown, SERIES_CALL, labels);
}

void mcp_call_metrics_done(struct mcp_call_metrics *m)
{
	series_table_free(m->shown);
	series_table_free(m->listed);
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

static void tool_labels(const struct mcp_call_tool *tool, struct span labels[SERIES_LABELS])
{
	labels[CALL_BACKEND] = tool->backend;
	labels[CALL_TARGET] = tool->target;
	labels[CALL_METHOD] = tool->method;
	labels[CALL_TOOL] = tool->name;
}

void mcp_call_metrics_learn(struct mcp_call_metrics *m, const struct mcp_call_tool *tool)
{
	struct span labels[SERIES_LABELS] = { 0 };

	if (!has_tool(tool->method, tool->name))
		return;
	tool_labels(tool, labels);
	(void)series_get(m->listed, SERIES_CALL, labels);
}

static bool is_listed(const struct mcp_call_metrics *m, const struct mcp_call_tool *tool)
{
	struct span labels[SERIES_LABELS] = { 0 };

	tool_labels(tool, labels);
	return series_find(m->listed, SERIES_CALL, labels) != NULL;
}

void mcp_call_metrics_add(struct mcp_call_metrics *m, const struct mcp_call_tool *tool, struct span shown,
			  bool is_error, uint64_t duration_ns)
{
	struct span labels[SERIES_LABELS] = {
		[CALL_BACKEND] = tool->backend,
		[CALL_TARGET] = tool->target,
		[CALL_METHOD] = method_label(tool->method),
		[CALL_STATUS] = is_error ? SPAN("error") : SPAN("ok"),
	};
	struct series *series;

	if (has_tool(tool->method, tool->name))
		labels[CALL_TOOL] = is_listed(m, tool) ? shown : SPAN("other");
	series = series_get(m->shown, SERIES_CALL, labels);
	if (!series)
		series = series_table_at(m->shown, 0);
	tally_add(&series->count, 1);
	histogram_add(&series->duration, &histogram_http, duration_ns);
}
