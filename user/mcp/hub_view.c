/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/hub_view.h"

#include "user/mcp/front.h"

/* As much of an id as tells sessions apart: whoever knows all of it can use the session. */
enum { ID_SHOWN_BYTES = 8 };

static void add_text(struct text *out, const char *key, struct span value)
{
	text_fmt(out, ",\"%s\":", key);
	mcp_json_quote(out, value);
}

static void add_number(struct text *out, const char *key, uint64_t value)
{
	text_fmt(out, ",\"%s\":%llu", key, (unsigned long long)value);
}

static const char *state_name(const struct hub_session *session)
{
	static const char *const names[] = { [MCP_SESSION_NEW] = "new",
					     [MCP_SESSION_OPENING] = "opening",
					     [MCP_SESSION_READY] = "ready",
					     [MCP_SESSION_OVER] = "over" };

	return names[mcp_session_state(session->mux)];
}

static void write_target(const struct hub_link *link, struct text *out)
{
	const struct mcp_server *server = &link->session->servers->server_list[link->index];
	static const char *const transports[] = {
		[MCP_STDIO] = "stdio", [MCP_HTTP] = "mcp", [MCP_SSE] = "sse"
	};
	struct mcp_target_view view = { .state = "lost" };

	if (link->target && !mcp_session_is_lost(link->session->mux, link->index))
		mcp_target_describe(link->target, &view);
	text_str(out, "{\"name\":");
	mcp_json_quote(out, server->name);
	add_text(out, "transport", span_str(transports[server->transport]));
	add_text(out, "state", span_str(view.state));
	add_text(out, "version",
		 mcp_version_text(mcp_session_target_version(link->session->mux, link->index)));
	if (view.pid)
		add_number(out, "pid", (uint64_t)view.pid);
	add_number(out, "sent", view.sent);
	add_number(out, "received", view.received);
	add_number(out, "queuedBytes", view.queued_bytes);
	text_char(out, '}');
}

static void write_call(const struct hub_session *session, const struct mcp_call_view *call, uint64_t now_ms,
		       struct text *out)
{
	uint64_t deadline_ms;

	text_str(out, "{\"method\":");
	mcp_json_quote(out, call->method);
	if (call->name.len)
		text_fmt(out, ",\"name\":\"%.*s\"", SPAN_FMT(call->name));
	if (call->target < session->servers->server_count)
		add_text(out, "target", session->servers->server_list[call->target].name);
	add_number(out, "ms", now_ms - call->started_ms);
	deadline_ms = call->sink ? front_deadline_ms(call->sink) : 0;
	if (deadline_ms)
		add_number(out, "leftMs", deadline_ms > now_ms ? deadline_ms - now_ms : 0);
	text_char(out, '}');
}

static void write_session(const struct hub_session *session, struct text *out)
{
	uint64_t now_ms = loop_now_ms(session->hub->loop);
	struct mcp_call_view call;
	uint32_t cursor = 0;
	bool is_first = true;

	text_str(out, "{\"backend\":");
	mcp_json_quote(out, session->service->name);
	add_text(out, "id", span_first(hub_session_id(session), ID_SHOWN_BYTES));
	add_text(out, "state", span_str(state_name(session)));
	add_text(out, "version", mcp_version_text(mcp_session_version(session->mux)));
	add_number(out, "ageMs", now_ms - session->created_ms);
	add_number(out, "idleMs", now_ms - session->used_ms);
	add_number(out, "posts", session->posts);
	add_number(out, "bytes", mcp_session_bytes(session->mux));
	text_str(out, ",\"targets\":[");
	for (uint32_t i = 0; i < session->link_count; i++) {
		if (i)
			text_char(out, ',');
		write_target(&session->links[i], out);
	}
	text_str(out, "],\"calls\":[");
	while (mcp_session_next_call(session->mux, &cursor, &call)) {
		if (!is_first)
			text_char(out, ',');
		is_first = false;
		write_call(session, &call, now_ms, out);
	}
	text_str(out, "]}");
}

void hub_view_write(struct mcp_hub *hub, struct text *out)
{
	bool is_first = true;

	text_char(out, '[');
	list_each(node, next, &hub->sessions) {
		const struct hub_session *session = list_entry(node, const struct hub_session, node);

		if (!is_first)
			text_str(out, ",\n");
		is_first = false;
		write_session(session, out);
	}
	text_str(out, "]\n");
}
