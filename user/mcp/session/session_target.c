/* SPDX-License-Identifier: Apache-2.0 */
#include "user/base/text.h"
#include "user/mcp/session/session_internal.h"

static void odd(const struct mcp_session *s, uint32_t target, enum mcp_protocol_violation protocol_violation)
{
	if (s->setup.watch)
		s->setup.watch->odd(s->setup.context, target, protocol_violation);
}

static bool is_shared(const struct mcp_session *s)
{
	return s->setup.kind == MCP_SESSION_SHARED;
}

/* ---- the request of a message ---- */

/* The sub-request with this id, if it belongs to the target. */
static struct mcp_sub_request *sub_request_of(const struct mcp_session *s, uint32_t target,
					      struct span number)
{
	struct mcp_sub_request *sub_request = mcp_ids_find_text(&s->sub_requests, number);

	return sub_request && sub_request->target == target ? sub_request : NULL;
}

/* Prefers streams with a reader to broken ones; among equals the newest. */
static bool is_nearer(const struct mcp_request *r, const struct mcp_request *than)
{
	return !r->sink == !than->sink ? r->stream > than->stream : r->sink != NULL;
}

/*
 * Finds the request that a message without id belongs to: the one whose response carried the message, or on a
 * pipe the only open request of the target. Of several open requests it is the newest, but NULL in a shared
 * session, where they belong to several clients, and NULL if the session has a GET stream.
 */
static struct mcp_request *request_near(const struct mcp_session *s, uint32_t target, uint64_t call)
{
	struct mcp_sub_request *sub_request = mcp_ids_find(&s->sub_requests, call);
	struct mcp_request *newest = NULL;
	uint32_t cursor = 0;
	uint32_t count = 0;

	if (sub_request && sub_request->target == target)
		return sub_request->request->stream ? sub_request->request : NULL;
	if (call == MCP_CALL_NONE)
		return NULL;
	while ((sub_request = mcp_ids_next(&s->sub_requests, &cursor))) {
		struct mcp_request *r = sub_request->request;

		if (sub_request->target != target || !r->stream || r->method == MCP_METHOD_INITIALIZE ||
		    r->method == MCP_METHOD_LISTEN)
			continue;
		count++;
		if (!newest || is_nearer(r, newest))
			newest = r;
	}
	return count > 1 && (is_shared(s) || s->stream) ? NULL : newest;
}

/* ---- requests of a target ---- */

static void answer_target(struct mcp_session *s, uint32_t target, const struct mcp_message *m,
			  const char *rest)
{
	struct text text;

	text_init(&text);
	text_str(&text, "{\"jsonrpc\":\"2.0\",\"id\":");
	text_add(&text, m->id);
	text_str(&text, rest);
	if (!text_error(&text))
		mcp_send_target_text(s, target, MCP_RESULT, (struct span){ NULL, 0 }, text_span(&text));
	text_done(&text);
}

static void take_server_request(struct mcp_session *s, uint32_t target, uint64_t call,
				const struct mcp_message *m, uint64_t now_ms)
{
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct iovec segments[MCP_SEGMENTS];
	struct mcp_out out = {
		.segments = segments, .kind = m->kind, .method = m->method_text, .status = 200
	};
	char digits[MCP_ID_DIGITS];
	struct mcp_server_request *server_request;
	struct span id;

	if (m->method == MCP_METHOD_PING) {
		answer_target(s, target, m, ",\"result\":{}}");
		return;
	}
	if (s->setup.kind != MCP_SESSION_STATEFUL) {
		odd(s, target, MCP_ODD_WRONG_KIND);
		answer_target(s, target, m, ",\"error\":{\"code\":-32601,\"message\":\"Method not found\"}}");
		return;
	}
	server_request = mcp_server_request_create(s, target, m);
	if (!server_request) {
		answer_target(s, target, m,
			      ",\"error\":{\"code\":-32000,\"message\":\"too many requests\"}}");
		return;
	}
	id = span_of(digits, text_u64(digits, server_request->id));
	mcp_patch_edit(&splice, m->id, id);
	if (m->token.len)
		mcp_patch_edit(&splice, m->token, id);
	out.count = mcp_patch_segments(&splice, segments, &out.bytes);
	mcp_send_client(s, request_near(s, target, call), &out, now_ms);
}

/* ---- notifications ---- */

static void pass_notification(struct mcp_session *s, const struct mcp_request *r, const struct mcp_message *m,
			      const struct mcp_patch *splice, uint64_t now_ms)
{
	struct iovec segments[MCP_SEGMENTS];
	struct mcp_out out = {
		.segments = segments, .kind = m->kind, .method = m->method_text, .status = 200
	};

	out.count = mcp_patch_segments(splice, segments, &out.bytes);
	mcp_send_client(s, r, &out, now_ms);
}

static void take_progress(struct mcp_session *s, uint32_t target, const struct mcp_message *m,
			  uint64_t now_ms)
{
	struct mcp_sub_request *sub_request = sub_request_of(s, target, m->token);
	struct mcp_patch splice = mcp_patch_of(m->text);

	if (!sub_request || sub_request->request->token.len == 0) {
		odd(s, target, MCP_ODD_UNKNOWN_TOKEN);
		return;
	}
	mcp_patch_edit(&splice, m->token, sub_request->request->token);
	pass_notification(s, sub_request->request, m, &splice, now_ms);
}

/* The target no longer needs the response to its own request. */
static void take_cancel(struct mcp_session *s, uint32_t target, uint64_t call, const struct mcp_message *m,
			uint64_t now_ms)
{
	struct mcp_patch splice = mcp_patch_of(m->text);
	char digits[MCP_ID_DIGITS];
	uint32_t cursor = 0;
	struct mcp_server_request *server_request;

	while ((server_request = mcp_ids_next(&s->server_requests, &cursor))) {
		if (server_request->target != target || !span_eq(server_request->target_id, m->request_id))
			continue;
		mcp_patch_edit(&splice, m->request_id, span_of(digits, text_u64(digits, server_request->id)));
		mcp_server_request_free(s, server_request);
		pass_notification(s, request_near(s, target, call), m, &splice, now_ms);
		return;
	}
	odd(s, target, MCP_ODD_UNKNOWN_ID);
}

/* URIs and task ids in notifications get the same prefix as in results. */
static void rename_edit(const struct mcp_session *s, uint32_t target, const struct mcp_message *m,
			struct text *prefix, struct mcp_patch *splice)
{
	struct span value = m->method == MCP_METHOD_RESOURCE_UPDATED ? m->uri
			    : m->method == MCP_METHOD_TASK_STATUS    ? m->task
								     : (struct span){ NULL, 0 };

	if (value.len == 0 || !mcp_names_prefix_uris(&s->setup.names))
		return;
	text_add(prefix, s->setup.names.targets[target]);
	text_char(prefix, '+');
	mcp_patch_edit(splice, span_of(value.data + 1, 0), text_span(prefix));
}

static void take_event(struct mcp_session *s, uint32_t target, const struct mcp_message *m, uint64_t now_ms)
{
	struct mcp_sub_request *sub_request = sub_request_of(s, target, m->subscription);
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct mcp_request *r = sub_request ? sub_request->request : NULL;
	struct text prefix;

	if (!r || r->method != MCP_METHOD_LISTEN) {
		odd(s, target, MCP_ODD_UNKNOWN_TOKEN);
		return;
	}
	if (r->gather == MCP_GATHER_LISTEN && m->method == MCP_METHOD_ACKNOWLEDGED) {
		mcp_session_take_acknowledged(s, sub_request, m, now_ms);
		return;
	}
	/* Drop events until the client has got the acknowledgement of its subscription. */
	if (r->gather == MCP_GATHER_LISTEN && !r->is_acknowledged)
		return;
	text_init(&prefix);
	mcp_patch_edit(&splice, m->subscription, r->id);
	rename_edit(s, target, m, &prefix, &splice);
	if (!text_error(&prefix))
		pass_notification(s, r, m, &splice, now_ms);
	text_done(&prefix);
}

static bool is_list_changed(const struct mcp_message *m)
{
	return span_ends(m->method_text, SPAN("/list_changed"));
}

/*
 * These concern the whole session: on the stream of a call they would only turn its response into an event
 * stream.
 */
static bool is_of_session(const struct mcp_message *m)
{
	return is_list_changed(m) || m->method == MCP_METHOD_RESOURCE_UPDATED;
}

static void take_other(struct mcp_session *s, uint32_t target, uint64_t call, const struct mcp_message *m,
		       uint64_t now_ms)
{
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct mcp_request *r = request_near(s, target, call);
	struct text prefix;

	if (is_shared(s) && !r) {
		/* It is for one of several clients, but does not tell for which. */
		odd(s, target, MCP_ODD_DROPPED);
		return;
	}
	if (!is_shared(s) && is_of_session(m))
		r = NULL;
	text_init(&prefix);
	rename_edit(s, target, m, &prefix, &splice);
	if (!text_error(&prefix))
		pass_notification(s, r, m, &splice, now_ms);
	text_done(&prefix);
}

static void take_notification(struct mcp_session *s, uint32_t target, uint64_t call,
			      const struct mcp_message *m, uint64_t now_ms)
{
	if (is_list_changed(m))
		mcp_owners_forget(&s->owners, target);
	if (m->method == MCP_METHOD_PROGRESS)
		take_progress(s, target, m, now_ms);
	else if (m->method == MCP_METHOD_CANCELLED)
		take_cancel(s, target, call, m, now_ms);
	else if (m->subscription.len)
		take_event(s, target, m, now_ms);
	else
		take_other(s, target, call, m, now_ms);
}

/* ---- a message ---- */

/*
 * An error without one of our ids concerns the request whose response carried it: a server that cannot read
 * a message, or refuses it early, does not know the id.
 */
static bool take_refusal(struct mcp_session *s, uint32_t target, uint64_t call, const struct mcp_message *m,
			 uint64_t now_ms)
{
	struct mcp_sub_request *sub_request = mcp_ids_find(&s->sub_requests, call);
	struct text why;
	uint64_t number;

	if (!sub_request || sub_request->target != target || span_parse_u63(m->id, &number) == 0)
		return false;
	text_init(&why);
	mcp_json_unescape(&why, mcp_json_string(mcp_json_member(m->error, SPAN("message"))));
	mcp_session_lose_sub_request(s, sub_request, text_span(&why), now_ms);
	text_done(&why);
	return true;
}

static void take_message(struct mcp_session *s, uint32_t target, uint64_t call, const struct mcp_message *m,
			 uint64_t now_ms)
{
	struct mcp_sub_request *sub_request;

	switch (m->kind) {
	case MCP_RESULT:
	case MCP_ERROR:
		sub_request = sub_request_of(s, target, m->id);
		if (sub_request)
			mcp_session_take_answer(s, sub_request, m, now_ms);
		else if (m->kind != MCP_ERROR || !take_refusal(s, target, call, m, now_ms))
			odd(s, target, MCP_ODD_UNKNOWN_ID);
		break;
	case MCP_REQUEST:
		take_server_request(s, target, call, m, now_ms);
		break;
	case MCP_NOTIFICATION:
		take_notification(s, target, call, m, now_ms);
		break;
	}
}

/* Text with the id of one of our requests and without a method was meant as its response. */
static void take_malformed(struct mcp_session *s, uint32_t target, const struct mcp_post *post,
			   enum mcp_fault fault, uint64_t now_ms)
{
	struct mcp_sub_request *sub_request = post->is_batch || post->first.method_text.len
						      ? NULL
						      : sub_request_of(s, target, post->first.id);

	odd(s, target, MCP_ODD_NOT_JSON);
	if (sub_request)
		mcp_session_lose_sub_request(s, sub_request, mcp_fault_text(fault), now_ms);
	mcp_session_settle(s, now_ms);
}

enum mcp_fault mcp_session_on_target(struct mcp_session *s, uint32_t target, uint64_t call, struct span text,
				     uint64_t now_ms)
{
	struct mcp_post post;
	struct mcp_message m;
	enum mcp_fault fault;
	size_t at = 0;

	if (s->state == MCP_SESSION_OVER || s->targets[target].is_lost)
		return MCP_NONE;
	s->now_ms = now_ms;
	fault = mcp_post_read(s->setup.checker, text, &post);
	if (fault) {
		take_malformed(s, target, &post, fault, now_ms);
		return fault;
	}
	while (s->state != MCP_SESSION_OVER && mcp_post_next(&post, &at, &m))
		take_message(s, target, call, &m, now_ms);
	mcp_session_settle(s, now_ms);
	return MCP_NONE;
}
