/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/server/server_legacy.h"

#include "user/mcp/server/server_check.h"

static const char parameter[] = "sessionId=";

bool server_legacy_is_meant(const struct mcp_server_conn *server)
{
	return span_ends(server->http.head.path, SPAN("/sse"));
}

/* The URL is relative, so it is right even if the path was rewritten. */
static bool send_endpoint(struct mcp_server_conn *server)
{
	struct span id = hub_session_id(server->session);
	struct iovec segments[] = {
		{ (char[]){ "?" }, 1 },
		{ (void *)(uintptr_t)parameter, sizeof(parameter) - 1 },
		{ (void *)(uintptr_t)id.data, id.len },
	};

	return server_send_event(server, SPAN("endpoint"), SPAN(""), segments, ARRAY_LEN(segments));
}

enum mcp_fault server_legacy_begin(struct mcp_server_conn *server)
{
	struct hub_opening opening = { .kind = MCP_SESSION_STATEFUL, .client = server->client };
	enum mcp_fault fault = MCP_NONE;
	struct hub_session *session;

	if (!server_accepts(&server->http.head.fields, SPAN("text/event-stream")))
		return MCP_NOT_ACCEPTABLE;
	session = hub_session_open(server->hub, server->service, &opening, &fault);
	if (!session)
		return fault;
	server->session = session;
	server->sink.is_only = true;
	mcp_session_begin_stream(session->mcp_session, &server->sink);
	server_begin_events(server);
	/*
	 * Without this event the client cannot post: then the connection is closed in the next turn, and the
	 * session with it.
	 */
	(void)send_endpoint(server);
	hub_session_settle(session);
	return MCP_NONE;
}

static struct span session_of(struct span query)
{
	struct span pair;

	while (span_split(&query, '&', &pair)) {
		if (span_starts(pair, span_str(parameter)))
			return span_from(pair, sizeof(parameter) - 1);
	}
	return (struct span){ NULL, 0 };
}

enum mcp_fault server_legacy_post(struct mcp_server_conn *server, const struct mcp_post *post)
{
	struct span id = session_of(server->http.head.query);
	struct hub_session *session = hub_session_find(server->hub, server->service, id);
	struct mcp_sink *stream = session ? mcp_session_stream(session->mcp_session) : NULL;
	uint64_t now_ms = loop_now_ms(server->hub->loop);
	struct mcp_verdict verdict;

	if (id.len == 0)
		return MCP_NO_SESSION_ID;
	if (!stream || !stream->is_only)
		return MCP_NO_SESSION;
	session->posts++;
	session->used_ms = now_ms;
	stream->fields = &server->http.head.fields;
	verdict = mcp_session_on_post(session->mcp_session, stream, post, server->access, now_ms);
	server->is_denied = verdict.denied != MCP_NONE;
	stream->fields = NULL;
	/* For the internal fields of the response; the session lives at least until the end of the turn. */
	server->session = session;
	hub_session_settle(session);
	return verdict.turn == MCP_REFUSED ? verdict.fault : MCP_NONE;
}
