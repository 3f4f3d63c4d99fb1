/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/hub_view.h"

#include "user/mcp/server/server.h"

/* As much of an id as tells sessions apart: whoever knows all of it can use the session. */
enum { ID_SHOWN_BYTES = 8 };

static const char *state_name(const struct hub_session *session)
{
	static const char *const names[] = { [MCP_SESSION_NEW] = "new",
					     [MCP_SESSION_OPENING] = "opening",
					     [MCP_SESSION_READY] = "ready",
					     [MCP_SESSION_OVER] = "over" };

	return names[mcp_session_state(session->mcp_session)];
}

static void write_target(const struct hub_link *link, struct json_writer *w)
{
	const struct mcp_server *server = &link->session->servers->server_list[link->index];
	static const char *const transports[] = {
		[MCP_STDIO] = "stdio", [MCP_HTTP] = "mcp", [MCP_SSE] = "sse"
	};
	struct mcp_target_view view = { .state = "lost" };

	if (link->target && !mcp_session_is_lost(link->session->mcp_session, link->index))
		mcp_target_describe(link->target, &view);
	json_open_object(w, NULL);
	json_string(w, "name", server->name);
	json_str(w, "transport", transports[server->transport]);
	json_str(w, "state", view.state);
	json_string(w, "version",
		    mcp_version_text(mcp_session_target_version(link->session->mcp_session, link->index)));
	if (view.pid)
		json_u64(w, "pid", (uint64_t)view.pid);
	json_u64(w, "sent", view.sent);
	json_u64(w, "received", view.received);
	json_u64(w, "queuedBytes", view.queued_bytes);
	json_close(w);
}

static void write_call(const struct hub_session *session, const struct mcp_call_view *call, uint64_t now_ms,
		       struct json_writer *w)
{
	uint64_t deadline_ms = call->sink ? server_deadline_ms(call->sink) : 0;
	struct text name;

	text_init(&name);
	mcp_json_unescape(&name, call->name);
	json_open_object(w, NULL);
	json_string(w, "method", call->method);
	if (name.len)
		json_string(w, "name", text_span(&name));
	if (call->target < session->servers->server_count)
		json_string(w, "target", session->servers->server_list[call->target].name);
	json_u64(w, "ms", now_ms - call->started_ms);
	if (deadline_ms)
		json_u64(w, "leftMs", deadline_ms > now_ms ? deadline_ms - now_ms : 0);
	json_close(w);
	text_done(&name);
}

static void write_session(const struct hub_session *session, struct json_writer *w)
{
	uint64_t now_ms = loop_now_ms(session->hub->loop);
	struct mcp_call_view call;
	uint32_t cursor = 0;

	json_open_object(w, NULL);
	json_string(w, "backend", session->service->name);
	json_string(w, "id", span_first(hub_session_id(session), ID_SHOWN_BYTES));
	json_str(w, "state", state_name(session));
	json_string(w, "version", mcp_version_text(mcp_session_version(session->mcp_session)));
	json_u64(w, "ageMs", now_ms - session->created_ms);
	json_u64(w, "idleMs", now_ms - session->used_ms);
	json_u64(w, "posts", session->posts);
	json_u64(w, "bytes", mcp_session_bytes(session->mcp_session));
	json_open_array(w, "targets");
	for (uint32_t i = 0; i < session->link_count; i++)
		write_target(&session->links[i], w);
	json_close(w);
	json_open_array(w, "calls");
	while (mcp_session_next_call(session->mcp_session, &cursor, &call))
		write_call(session, &call, now_ms, w);
	json_close(w);
	json_close(w);
}

void hub_view_write(struct mcp_hub *hub, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_array(&w, NULL);
	list_each(node, next, &hub->sessions)
		write_session(list_entry(node, const struct hub_session, node), &w);
	json_close(&w);
}
