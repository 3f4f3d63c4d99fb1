/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/front_legacy.h"

#include "user/mcp/front_check.h"

static const char parameter[] = "sessionId=";

bool front_legacy_is_meant(const struct mcp_front *front)
{
	return span_ends(front->head.path, SPAN("/sse"));
}

/* Relative, so it is right whatever rewrote the path in front of us. */
static bool send_endpoint(struct mcp_front *front)
{
	struct span id = hub_session_id(front->session);
	struct iovec pieces[] = {
		{ (char[]){ "?" }, 1 },
		{ (void *)(uintptr_t)parameter, sizeof(parameter) - 1 },
		{ (void *)(uintptr_t)id.data, id.len },
	};

	return front_send_event(front, SPAN("endpoint"), SPAN(""), pieces, ARRAY_LEN(pieces));
}

enum mcp_fault front_legacy_begin(struct mcp_front *front)
{
	struct hub_opening opening = { .kind = MCP_SESSION_STATEFUL, .client = front->client };
	enum mcp_fault fault = MCP_NONE;
	struct hub_session *session;

	if (!front_accepts(&front->head.fields, SPAN("text/event-stream")))
		return MCP_NOT_ACCEPTABLE;
	session = hub_session_open(front->hub, front->service, &opening, &fault);
	if (!session)
		return fault;
	front->session = session;
	front->sink.is_only = true;
	mcp_session_begin_stream(session->mux, &front->sink);
	front_begin_events(front);
	/* Without it nobody can post: the connection is closed in a turn of its own, the session with it. */
	(void)send_endpoint(front);
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

enum mcp_fault front_legacy_post(struct mcp_front *front, const struct mcp_post *post)
{
	struct span id = session_of(front->head.query);
	struct hub_session *session = hub_session_find(front->hub, front->service, id);
	struct mcp_sink *stream = session ? mcp_session_stream(session->mux) : NULL;
	uint64_t now_ms = loop_now_ms(front->hub->loop);
	struct mcp_verdict verdict;

	if (id.len == 0)
		return MCP_NO_SESSION_ID;
	if (!stream || !stream->is_only)
		return MCP_NO_SESSION;
	session->posts++;
	session->used_ms = now_ms;
	stream->fields = &front->head.fields;
	verdict = mcp_session_on_post(session->mux, stream, post, now_ms);
	stream->fields = NULL;
	/* For the notes of the response; the session is freed at the end of the turn at the earliest. */
	front->session = session;
	hub_session_settle(session);
	return verdict.turn == MCP_REFUSED ? verdict.fault : MCP_NONE;
}
