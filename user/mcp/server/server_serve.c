/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/server/server_serve.h"

#include <string.h>

#include "policy/guard/mcp_access.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/mcp/server/server_check.h"
#include "user/mcp/server/server_legacy.h"

/* ------------------------------------------------------------------------------------ answers */

static struct span requested_version(const struct mcp_server_conn *server, const struct mcp_message *m)
{
	const struct field *field = fields_find(&server->http.head.fields, SPAN("mcp-protocol-version"));

	return m && m->version_text.len ? m->version_text : field ? field->value : SPAN("");
}

/* m: the refused message, or NULL. */
static void refuse(struct mcp_server_conn *server, const struct mcp_message *m, enum mcp_fault fault)
{
	struct text text, data;
	struct iovec segment;

	text_init(&text);
	text_init(&data);
	server->why = mcp_fault_text(fault);
	if (fault == MCP_VERSION)
		mcp_merge_version_data(&data, requested_version(server, m));
	mcp_fault_write(&text, m ? m->id : SPAN(""), fault, SPAN(""), text_span(&data));
	segment = (struct iovec){ (void *)(uintptr_t)text_span(&text).data, text_span(&text).len };
	/*
	 * The status of the fault: here the whole response is the error, whereas the fault of a single call
	 * is sent with 200.
	 */
	server_answer(server, mcp_fault_status(fault), SPAN("application/json"),
		      fault == MCP_NOT_ALLOWED ? SPAN("GET, POST, DELETE") : SPAN(""), fault, &segment,
		      text_error(&text) ? 0 : 1);
	text_done(&data);
	text_done(&text);
}

/* ------------------------------------------------------------------------------------ request metadata */

/* The stream may have ended meanwhile, and its access with it. */
static void learn_access(struct mcp_server_conn *server, struct span text)
{
	struct mcp_access_table *table = server->hub->inner.accesses;
	uint64_t number;

	if (table && span_parse_u63(text, &number) == 0)
		server->access = mcp_access_table_find(table, number);
	server->lacks_access = !server->access;
}

static void learn_stream(struct mcp_server_conn *server)
{
	const struct field *field = fields_find(&server->http.head.fields, SPAN("headgate-request"));
	struct span rest, pair, key = SPAN("deadline-ms="), client = SPAN("client="),
				access = SPAN("access=");

	if (!field)
		return;
	server->has_stream = true;
	rest = field->value;
	while (span_split(&rest, ';', &pair)) {
		pair = span_trim(pair);
		if (span_starts(pair, key))
			(void)span_parse_u63(span_from(pair, key.len), &server->deadline_ms);
		else if (span_starts(pair, client))
			server->client = span_from(pair, client.len);
		else if (span_starts(pair, access))
			learn_access(server, span_from(pair, access.len));
	}
}

void server_serve_refused(struct mcp_server_conn *server, enum mcp_fault fault)
{
	learn_stream(server);
	refuse(server, NULL, fault);
}

/* Stores method and name for the internal fields; without memory there are none. */
static void learn_message(struct mcp_server_conn *server, const struct mcp_message *m)
{
	struct span inner = mcp_json_string(m->name.len ? m->name : m->uri);
	struct text plain;

	if (!server->has_stream || (m->kind != MCP_REQUEST && m->kind != MCP_NOTIFICATION))
		return;
	text_init(&plain);
	mcp_json_unescape(&plain, span_first(inner, LIMIT_MCP_NAME_BYTES));
	server->method = arena_copy(&server->http.arena, m->method_text);
	if (plain.len && !text_error(&plain))
		server->name = arena_copy(&server->http.arena, text_span(&plain));
	text_done(&plain);
}

/* ------------------------------------------------------------------------------------ sessions */

static const struct mcp_servers *servers_of(const struct mcp_server_conn *server)
{
	return server->service->backend ? server->service->backend->mcp : NULL;
}

static bool is_stateless(const struct mcp_server_conn *server)
{
	const struct mcp_servers *servers = servers_of(server);

	return servers && servers->states == MCP_STATES_NONE;
}

/* Finds the session that the request names. */
static enum mcp_fault find_session(struct mcp_server_conn *server, struct hub_session **ret_session)
{
	const struct field *id = fields_find(&server->http.head.fields, SPAN("mcp-session-id"));

	if (!id)
		return MCP_NO_SESSION_ID;
	*ret_session = hub_session_find(server->hub, server->service, id->value);
	return *ret_session ? MCP_NONE : MCP_NO_SESSION;
}

static void use_session(struct mcp_server_conn *server, struct hub_session *session)
{
	server->session = session;
	session->posts++;
	session->used_ms = loop_now_ms(server->hub->loop);
}

/* Call after a function of the session: the session may have ended. */
static void leave_session(struct mcp_server_conn *server)
{
	struct hub_session *session = server->session;

	if (!server->sink.session)
		server->session = NULL;
	hub_session_settle(session);
}

/* ------------------------------------------------------------------------------------ POST */

static void hand_post(struct mcp_server_conn *server, struct hub_session *session,
		      const struct mcp_post *post)
{
	struct mcp_verdict verdict;

	server->is_single = !post->is_batch;
	use_session(server, session);
	verdict = mcp_session_on_post(session->mcp_session, &server->sink, post, server->access,
				      loop_now_ms(server->hub->loop));
	switch (verdict.turn) {
	case MCP_ACCEPTED:
		server_answer(server, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
		break;
	case MCP_REFUSED:
		server->is_initialize = false;
		refuse(server, &post->first, verdict.fault);
		break;
	case MCP_WAITING:
		if (server->http.state == HTTP1_SERVER_ANSWER && server->has_stream)
			server_send_internal_fields(server);
		break;
	}
	leave_session(server);
}

/*
 * The session for a request of the protocol versions with sessions. The caller ends a new session that was
 * not used.
 */
static enum mcp_fault session_of_post(struct mcp_server_conn *server, const struct mcp_post *post,
				      enum mcp_version version, struct hub_session **ret_session)
{
	struct hub_opening opening = { .kind = MCP_SESSION_STATEFUL, .client = server->client };
	enum mcp_fault fault = MCP_NONE;

	if (is_stateless(server)) {
		opening.kind = MCP_SESSION_SINGLE;
		opening.version = version;
		*ret_session = hub_session_open(server->hub, server->service, &opening, &fault);
		return *ret_session ? MCP_NONE : fault;
	}
	server->is_initialize = mcp_post_is_initialize(post) &&
				!fields_find(&server->http.head.fields, SPAN("mcp-session-id"));
	if (!server->is_initialize)
		return find_session(server, ret_session);
	*ret_session = hub_session_open(server->hub, server->service, &opening, &fault);
	return *ret_session ? MCP_NONE : fault;
}

static void serve_with_session(struct mcp_server_conn *server, const struct mcp_post *post,
			       enum mcp_version version)
{
	struct hub_session *session = NULL;
	enum mcp_fault fault;
	bool is_new;

	/* Notifications and responses need no temporary session. */
	if (is_stateless(server) && post->requests == 0) {
		server_answer(server, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
		return;
	}
	fault = session_of_post(server, post, version, &session);
	is_new = session && session->posts == 0;
	if (fault) {
		server->is_initialize = false;
		refuse(server, &post->first, fault);
		return;
	}
	hand_post(server, session, post);
	if (is_new && !server->session && mcp_session_state(session->mcp_session) == MCP_SESSION_NEW)
		hub_session_end(session, MCP_ENDED);
}

static void serve_without_session(struct mcp_server_conn *server, const struct mcp_post *post)
{
	enum mcp_fault fault =
		post->is_batch ? MCP_BATCH : server_check_mirrors(&server->http.head.fields, &post->first);
	struct hub_session *session = NULL;

	if (!fault && post->requests == 0) {
		server_answer(server, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
		return;
	}
	if (!fault)
		session = hub_session_shared(server->hub, server->service, &fault);
	if (session)
		hand_post(server, session, post);
	else
		refuse(server, &post->first, fault);
}

static void serve_post(struct mcp_server_conn *server)
{
	const struct fields *fields = &server->http.head.fields;
	enum mcp_fault fault = server_check_types(fields);

	if (!fault)
		fault = server_check_coding(fields);
	struct mcp_post post = { 0 };
	enum mcp_version version;

	if (!fault)
		fault = mcp_post_read(server->hub->checker, buf_span(&server->body), &post);
	if (!fault)
		learn_message(server, &post.first);
	if (!fault && !server_version(fields, &version))
		fault = MCP_VERSION;
	if (fault)
		refuse(server, &post.first, fault);
	else if (version == MCP_2026_07_28 || mcp_message_is_modern(&post.first))
		serve_without_session(server, &post);
	else
		serve_with_session(server, &post, version);
}

/* ------------------------------------------------------------------------------------ GET and DELETE */

static void serve_stream(struct mcp_server_conn *server)
{
	const struct fields *fields = &server->http.head.fields;
	const struct field *last = fields_find(fields, SPAN("last-event-id"));
	struct hub_session *session = NULL;
	struct mcp_verdict verdict;
	enum mcp_fault fault = MCP_NONE;
	enum mcp_version version;
	uint64_t event = 0;

	if (!server_version(fields, &version))
		fault = MCP_VERSION;
	else if (is_stateless(server) || version == MCP_2026_07_28)
		fault = MCP_NOT_ALLOWED;
	else if (!server_accepts(fields, SPAN("text/event-stream")))
		fault = MCP_NOT_ACCEPTABLE;
	if (!fault)
		fault = find_session(server, &session);
	if (fault) {
		refuse(server, NULL, fault);
		return;
	}
	/* An unknown event id is ignored: the stream starts with the queued messages. */
	if (last)
		(void)mcp_event_id_read(last->value, &event);
	use_session(server, session);
	verdict = mcp_session_on_stream(session->mcp_session, &server->sink, event);
	if (verdict.turn == MCP_REFUSED)
		refuse(server, NULL, verdict.fault);
	else if (server->http.state == HTTP1_SERVER_ANSWER)
		server_begin_events(server);
	leave_session(server);
}

static void serve_legacy(struct mcp_server_conn *server)
{
	enum mcp_fault fault = MCP_NOT_ALLOWED;
	struct mcp_post post = { 0 };

	if (server->http.head.method == METHOD_GET && !is_stateless(server)) {
		fault = server_legacy_begin(server);
	} else if (server->http.head.method == METHOD_POST && !is_stateless(server)) {
		fault = server_check_coding(&server->http.head.fields);
		if (!fault)
			fault = mcp_post_read(server->hub->checker, buf_span(&server->body), &post);
		if (!fault) {
			learn_message(server, &post.first);
			fault = server_legacy_post(server, &post);
		}
		if (!fault)
			server_answer(server, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
	}
	if (fault)
		refuse(server, &post.first, fault);
	if (!server->sink.session)
		server->session = NULL;
}

static void serve_delete(struct mcp_server_conn *server)
{
	struct hub_session *session = NULL;
	enum mcp_fault fault = is_stateless(server) ? MCP_NOT_ALLOWED : find_session(server, &session);

	if (fault) {
		refuse(server, NULL, fault);
		return;
	}
	server->session = session;
	server_answer(server, 204, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
	server->session = NULL;
	hub_session_end(session, MCP_ENDED);
}

static bool asks_for_authorization(struct span path)
{
	static const char place[] = "/.well-known/oauth-";

	return path.len && memmem(path.data, path.len, place, sizeof(place) - 1);
}

void server_serve(struct mcp_server_conn *server)
{
	const struct mcp_servers *servers = servers_of(server);
	enum mcp_fault fault = server_check_once(&server->http.head.fields);

	learn_stream(server);
	server->sink.fields = &server->http.head.fields;
	server->sink.client = hash_bytes(server->client);
	if (!fault && server->lacks_access)
		fault = MCP_NO_MEMORY;
	if (!fault && servers)
		fault = server_check_site(&server->http.head, servers, server->client);
	/*
	 * Clients look for an authorization server next to an endpoint, and mistake any other response for
	 * one.
	 */
	if (!fault && asks_for_authorization(server->http.head.path))
		fault = MCP_NOT_HERE;
	if (fault)
		refuse(server, NULL, fault);
	else if (server_legacy_is_meant(server))
		serve_legacy(server);
	else if (server->http.head.method == METHOD_POST)
		serve_post(server);
	else if (server->http.head.method == METHOD_GET)
		serve_stream(server);
	else if (server->http.head.method == METHOD_DELETE)
		serve_delete(server);
	else
		refuse(server, NULL, MCP_NOT_ALLOWED);
}
