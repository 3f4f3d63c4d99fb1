/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/hub/hub_watch.h"

#include "user/base/limits.h"
#include "user/base/units.h"
#include "user/mcp/hub/call_metrics.h"

enum { TROUBLE_MS = 1000 };

void hub_log_target(const struct hub_link *link, const char *what, struct span why, struct span shown)
{
	const struct mcp_server *server = &link->session->servers->server_list[link->index];
	struct text text;

	text_init(&text);
	text_escaped(&text, why);
	if (shown.len) {
		text_str(&text, ": ");
		text_escaped(&text, span_first(shown, LIMIT_MCP_LOG_BYTES));
	}
	log_warn("mcp backend %.*s: target %.*s %s: %.*s", SPAN_FMT(link->session->service->name),
		 SPAN_FMT(server->name), what, SPAN_FMT(text_span(&text)));
	text_done(&text);
}

void hub_log_trouble(const struct hub_link *link, struct log_rate *rate, const char *what, struct span why,
		     struct span shown)
{
	uint64_t suppressed;

	if (!log_rate_pass(rate, loop_now_ms(link->session->hub->loop), TROUBLE_MS, &suppressed))
		return;
	hub_log_target(link, what, why, shown);
	if (suppressed)
		log_warn("mcp backend %.*s: %llu lines about the same were left out",
			 SPAN_FMT(link->session->service->name), (unsigned long long)suppressed);
}

struct hub_health *hub_health_of(const struct hub_link *link)
{
	return &link->session->service->health[link->index];
}

static void watch_odd(void *context, uint32_t target, enum mcp_protocol_violation violation)
{
	struct hub_session *session = context;

	(void)target;
	(void)violation;
	counter_add(&session->hub->counters, COUNTER_MCP_PROTOCOL_VIOLATIONS, 1);
}

static void watch_gave_up(void *context, uint32_t target, struct span why)
{
	struct hub_session *session = context;

	hub_log_target(&session->links[target], "is left out of a session", why, SPAN(""));
}

static void watch_failed(void *context, uint32_t target, struct span why)
{
	struct hub_session *session = context;
	struct hub_link *link = &session->links[target];

	hub_log_trouble(link, &hub_health_of(link)->failed, "has not answered a request", why, SPAN(""));
}

struct mcp_names hub_names_of(const struct mcp_servers *servers)
{
	return (struct mcp_names){ .targets = servers->name_list,
				   .count = servers->server_count,
				   .mode = (enum mcp_prefix_mode)servers->prefixes };
}

static struct mcp_call_tool tool_of(const struct hub_session *session, uint32_t target, struct span method,
				    struct span name)
{
	return (struct mcp_call_tool){ .backend = session->service->name,
				       .target = session->servers->server_list[target].name,
				       .method = method,
				       .name = name };
}

static void watch_listed(void *context, uint32_t target, bool is_prompts, struct span list)
{
	struct hub_session *session = context;
	struct span method = mcp_method_text(is_prompts ? MCP_METHOD_PROMPTS_GET : MCP_METHOD_TOOLS_CALL);
	struct mcp_json_walk walk = mcp_json_walk_of(list);
	struct span key, value;

	for (uint32_t left = LIMIT_MCP_OWNERS; left && !walk.is_object && mcp_json_next(&walk, &key, &value);
	     left--) {
		struct mcp_call_tool tool = tool_of(session, target, method,
						    mcp_json_string(mcp_json_member(value, SPAN("name"))));

		mcp_call_metrics_learn(&session->hub->calls, &tool);
	}
}

static void watch_ended(void *context, uint32_t target, struct span method, struct span name,
			uint64_t started_ms, bool is_error)
{
	struct hub_session *session = context;
	struct mcp_names names = hub_names_of(session->servers);
	struct mcp_call_tool tool = tool_of(session, target, method, name);
	uint32_t named;

	if (mcp_names_prefix_tools(&names) && mcp_names_find(&names, name, '_', &named, &tool.name) != 0)
		tool.name = name;
	mcp_call_metrics_add(&session->hub->calls, &tool, name, is_error,
			     (loop_now_ms(session->hub->loop) - started_ms) * NS_PER_MS);
}

static void watch_came_back(void *context, uint32_t target)
{
	struct hub_session *session = context;

	log_info("mcp backend %.*s: target %.*s is back in a session", SPAN_FMT(session->service->name),
		 SPAN_FMT(session->servers->server_list[target].name));
}

const struct mcp_watch hub_watch = {
	.odd = watch_odd,
	.gave_up = watch_gave_up,
	.failed = watch_failed,
	.came_back = watch_came_back,
	.listed = watch_listed,
	.ended = watch_ended,
};
