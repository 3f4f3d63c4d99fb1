/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/front_serve.h"

#include <string.h>

#include "user/base/limits.h"
#include "user/mcp/front_check.h"
#include "user/mcp/front_legacy.h"

/* ------------------------------------------------------------------------------------ answers */

static struct span requested_version(const struct mcp_front *front, const struct mcp_message *m)
{
	const struct field *field = fields_find(&front->head.fields, SPAN("mcp-protocol-version"));

	return m && m->version_text.len ? m->version_text : field ? field->value : SPAN("");
}

/* m: what it was about, or NULL. */
static void refuse(struct mcp_front *front, const struct mcp_message *m, enum mcp_fault fault)
{
	struct text text, data;
	struct iovec piece;

	text_init(&text);
	text_init(&data);
	front->why = mcp_fault_text(fault);
	if (fault == MCP_VERSION)
		mcp_merge_version_data(&data, requested_version(front, m));
	mcp_fault_write(&text, m ? m->id : SPAN(""), fault, SPAN(""), text_span(&data));
	piece = (struct iovec){ (void *)(uintptr_t)text_span(&text).data, text_span(&text).len };
	/*
	 * A fault of one call is an answer like others; here nothing was begun, so its status is the
	 * response's.
	 */
	front_answer(front, mcp_fault_status(fault), SPAN("application/json"),
		     fault == MCP_NOT_ALLOWED ? SPAN("GET, POST, DELETE") : SPAN(""), fault, &piece,
		     text_error(&text) ? 0 : 1);
	text_done(&data);
	text_done(&text);
}

/*
 * ------------------------------------------------------------------------------------ what the stream says
 */

static void learn_stream(struct mcp_front *front)
{
	const struct field *field = fields_find(&front->head.fields, SPAN("headgate-request"));
	struct span rest, pair, key = SPAN("deadline-ms="), client = SPAN("client=");

	if (!field)
		return;
	front->has_stream = true;
	rest = field->value;
	while (span_split(&rest, ';', &pair)) {
		pair = span_trim(pair);
		if (span_starts(pair, key))
			(void)span_parse_u63(span_from(pair, key.len), &front->deadline_ms);
		else if (span_starts(pair, client))
			front->client = span_from(pair, client.len);
	}
}

void front_serve_refused(struct mcp_front *front, enum mcp_fault fault)
{
	front_set_state(front, FRONT_WAIT);
	learn_stream(front);
	refuse(front, NULL, fault);
}

/* For notes; without memory there are none. */
static void learn_message(struct mcp_front *front, const struct mcp_message *m)
{
	struct span inner = mcp_json_string(m->name.len ? m->name : m->uri);
	struct text plain;

	if (!front->has_stream || (m->kind != MCP_REQUEST && m->kind != MCP_NOTIFICATION))
		return;
	text_init(&plain);
	mcp_json_unescape(&plain, span_first(inner, LIMIT_MCP_NAME_BYTES));
	front->method = arena_copy(&front->arena, m->method_text);
	if (plain.len && !text_error(&plain))
		front->name = arena_copy(&front->arena, text_span(&plain));
	text_done(&plain);
}

/* ------------------------------------------------------------------------------------ sessions */

static const struct mcp_servers *servers_of(const struct mcp_front *front)
{
	return front->service->backend ? front->service->backend->mcp : NULL;
}

static bool is_stateless(const struct mcp_front *front)
{
	const struct mcp_servers *servers = servers_of(front);

	return servers && servers->states == MCP_STATES_NONE;
}

/* The one that the request names. */
static enum mcp_fault find_session(struct mcp_front *front, struct hub_session **ret_session)
{
	const struct field *id = fields_find(&front->head.fields, SPAN("mcp-session-id"));

	if (!id)
		return MCP_NO_SESSION_ID;
	*ret_session = hub_session_find(front->hub, front->service, id->value);
	return *ret_session ? MCP_NONE : MCP_NO_SESSION;
}

static void use_session(struct mcp_front *front, struct hub_session *session)
{
	front->session = session;
	session->posts++;
	session->used_ms = loop_now_ms(front->hub->loop);
}

/* After a function of the session: it may be over by now. */
static void leave_session(struct mcp_front *front)
{
	struct hub_session *session = front->session;

	if (!front->sink.session)
		front->session = NULL;
	hub_session_settle(session);
}

/* ------------------------------------------------------------------------------------ POST */

static void hand_post(struct mcp_front *front, struct hub_session *session, const struct mcp_post *post)
{
	struct mcp_verdict verdict;

	front->is_single = !post->is_batch;
	use_session(front, session);
	verdict = mcp_session_on_post(session->mux, &front->sink, post, loop_now_ms(front->hub->loop));
	switch (verdict.turn) {
	case MCP_ACCEPTED:
		front_answer(front, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
		break;
	case MCP_REFUSED:
		front->is_initialize = false;
		refuse(front, &post->first, verdict.fault);
		break;
	case MCP_WAITING:
		if (front->state == FRONT_WAIT && front->has_stream)
			front_send_notes(front);
		break;
	}
	leave_session(front);
}

/*
 * The session of a request of the generations with sessions; new ones are ended when nothing comes of them.
 */
static enum mcp_fault session_of_post(struct mcp_front *front, const struct mcp_post *post,
				      enum mcp_version version, struct hub_session **ret_session)
{
	struct hub_opening opening = { .kind = MCP_SESSION_STATEFUL, .client = front->client };
	enum mcp_fault fault = MCP_NONE;

	if (is_stateless(front)) {
		opening.kind = MCP_SESSION_SINGLE;
		opening.version = version;
		*ret_session = hub_session_open(front->hub, front->service, &opening, &fault);
		return *ret_session ? MCP_NONE : fault;
	}
	front->is_initialize =
		mcp_post_is_initialize(post) && !fields_find(&front->head.fields, SPAN("mcp-session-id"));
	if (!front->is_initialize)
		return find_session(front, ret_session);
	*ret_session = hub_session_open(front->hub, front->service, &opening, &fault);
	return *ret_session ? MCP_NONE : fault;
}

static void serve_with_session(struct mcp_front *front, const struct mcp_post *post, enum mcp_version version)
{
	struct hub_session *session = NULL;
	enum mcp_fault fault;
	bool is_new;

	/* What asks for nothing needs no session that is made for it. */
	if (is_stateless(front) && post->requests == 0) {
		front_answer(front, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
		return;
	}
	fault = session_of_post(front, post, version, &session);
	is_new = session && session->posts == 0;
	if (fault) {
		front->is_initialize = false;
		refuse(front, &post->first, fault);
		return;
	}
	hand_post(front, session, post);
	if (is_new && !front->session && mcp_session_state(session->mux) == MCP_SESSION_NEW)
		hub_session_end(session, MCP_ENDED);
}

static void serve_without_session(struct mcp_front *front, const struct mcp_post *post)
{
	enum mcp_fault fault =
		post->is_batch ? MCP_BATCH : front_check_mirrors(&front->head.fields, &post->first);
	struct hub_session *session = NULL;

	if (!fault && post->requests == 0) {
		front_answer(front, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
		return;
	}
	if (!fault)
		session = hub_session_shared(front->hub, front->service, &fault);
	if (session)
		hand_post(front, session, post);
	else
		refuse(front, &post->first, fault);
}

static void serve_post(struct mcp_front *front)
{
	const struct fields *fields = &front->head.fields;
	enum mcp_fault fault = front_check_types(fields);

	if (!fault)
		fault = front_check_coding(fields);
	struct mcp_post post = { 0 };
	enum mcp_version version;

	if (!fault)
		fault = mcp_post_read(front->hub->checker, buf_span(&front->body), &post);
	if (!fault)
		learn_message(front, &post.first);
	if (!fault && !front_version(fields, &version))
		fault = MCP_VERSION;
	if (fault)
		refuse(front, &post.first, fault);
	else if (version == MCP_2026_07_28 || mcp_message_is_modern(&post.first))
		serve_without_session(front, &post);
	else
		serve_with_session(front, &post, version);
}

/* ------------------------------------------------------------------------------------ GET and DELETE */

static void serve_stream(struct mcp_front *front)
{
	const struct fields *fields = &front->head.fields;
	const struct field *last = fields_find(fields, SPAN("last-event-id"));
	struct hub_session *session = NULL;
	struct mcp_verdict verdict;
	enum mcp_fault fault = MCP_NONE;
	enum mcp_version version;
	uint64_t event = 0;

	if (!front_version(fields, &version))
		fault = MCP_VERSION;
	else if (is_stateless(front) || version == MCP_2026_07_28)
		fault = MCP_NOT_ALLOWED;
	else if (!front_accepts(fields, SPAN("text/event-stream")))
		fault = MCP_NOT_ACCEPTABLE;
	if (!fault)
		fault = find_session(front, &session);
	if (fault) {
		refuse(front, NULL, fault);
		return;
	}
	/* One that is not ours is one that we do not know: the stream begins with what waits. */
	if (last)
		(void)mcp_event_id_read(last->value, &event);
	use_session(front, session);
	verdict = mcp_session_on_stream(session->mux, &front->sink, event);
	if (verdict.turn == MCP_REFUSED)
		refuse(front, NULL, verdict.fault);
	else if (front->state == FRONT_WAIT)
		front_begin_events(front);
	leave_session(front);
}

static void serve_legacy(struct mcp_front *front)
{
	enum mcp_fault fault = MCP_NOT_ALLOWED;
	struct mcp_post post = { 0 };

	if (front->head.method == METHOD_GET && !is_stateless(front)) {
		fault = front_legacy_begin(front);
	} else if (front->head.method == METHOD_POST && !is_stateless(front)) {
		fault = front_check_coding(&front->head.fields);
		if (!fault)
			fault = mcp_post_read(front->hub->checker, buf_span(&front->body), &post);
		if (!fault) {
			learn_message(front, &post.first);
			fault = front_legacy_post(front, &post);
		}
		if (!fault)
			front_answer(front, 202, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
	}
	if (fault)
		refuse(front, &post.first, fault);
	if (!front->sink.session)
		front->session = NULL;
}

static void serve_delete(struct mcp_front *front)
{
	struct hub_session *session = NULL;
	enum mcp_fault fault = is_stateless(front) ? MCP_NOT_ALLOWED : find_session(front, &session);

	if (fault) {
		refuse(front, NULL, fault);
		return;
	}
	front->session = session;
	front_answer(front, 204, SPAN(""), SPAN(""), MCP_NONE, NULL, 0);
	front->session = NULL;
	hub_session_end(session, MCP_ENDED);
}

static bool asks_for_authorization(struct span path)
{
	static const char place[] = "/.well-known/oauth-";

	return path.len && memmem(path.data, path.len, place, sizeof(place) - 1);
}

void front_serve(struct mcp_front *front)
{
	const struct mcp_servers *servers = servers_of(front);
	enum mcp_fault fault = front_check_once(&front->head.fields);

	learn_stream(front);
	front->sink.fields = &front->head.fields;
	if (!fault && servers)
		fault = front_check_site(&front->head, servers, front->client);
	/* Clients look for an authorization server beside an endpoint, and take any other answer for one. */
	if (!fault && asks_for_authorization(front->head.path))
		fault = MCP_NOT_HERE;
	if (fault)
		refuse(front, NULL, fault);
	else if (front_legacy_is_meant(front))
		serve_legacy(front);
	else if (front->head.method == METHOD_POST)
		serve_post(front);
	else if (front->head.method == METHOD_GET)
		serve_stream(front);
	else if (front->head.method == METHOD_DELETE)
		serve_delete(front);
	else
		refuse(front, NULL, MCP_NOT_ALLOWED);
}
