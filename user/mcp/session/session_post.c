/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/mcp/session/access.h"
#include "user/mcp/session/session_internal.h"

/* ---- requests ---- */

/* The sink waits for one response less. */
static void sink_less(struct mcp_session *s, struct mcp_sink *sink)
{
	if (--sink->open || sink->is_broken || sink == s->stream)
		return;
	list_remove(&sink->node);
	list_add_tail(&s->settling, &sink->node);
}

static bool has_id(const struct mcp_session *s, struct span id)
{
	list_each(node, next, &s->requests) {
		if (span_eq(list_entry(node, struct mcp_request, all)->id, id))
			return true;
	}
	return false;
}

/* Methods that 2026-07-28 has removed. */
static bool is_gone(enum mcp_method method)
{
	return method == MCP_METHOD_INITIALIZE || method == MCP_METHOD_PING ||
	       method == MCP_METHOD_SET_LEVEL || method == MCP_METHOD_SUBSCRIBE ||
	       method == MCP_METHOD_UNSUBSCRIBE;
}

/* Checks a request before it is handled. */
static enum mcp_fault request_check(const struct mcp_session *s, const struct mcp_message *m)
{
	if (s->setup.kind == MCP_SESSION_SHARED) {
		if (!m->is_modern)
			return m->method == MCP_METHOD_INITIALIZE ? MCP_NO_METHOD_HTTP : MCP_BAD_META;
		if (mcp_version_of(m->version_text) != MCP_2026_07_28)
			return MCP_VERSION;
		if (!m->has_capabilities)
			return MCP_BAD_META;
		return is_gone(m->method) ? MCP_NO_METHOD_HTTP : MCP_NONE;
	}
	if (m->method == MCP_METHOD_PING)
		return MCP_NONE;
	if (m->method == MCP_METHOD_INITIALIZE) {
		if (s->state != MCP_SESSION_NEW)
			return MCP_TWICE_READY;
		return m->version_text.len ? MCP_NONE : MCP_BAD_PARAMS;
	}
	if (s->setup.kind == MCP_SESSION_STATEFUL && s->state != MCP_SESSION_READY)
		return MCP_NOT_READY;
	return has_id(s, m->id) ? MCP_DOUBLE_ID : MCP_NONE;
}

static void pong(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m, uint64_t now_ms)
{
	struct mcp_request r = {
		.sink = sink,
		.stream = sink->stream,
		.id = m->id,
		.method_text = m->method_text,
	};

	mcp_send_result(s, &r, SPAN("{}"), now_ms);
	sink_less(s, sink);
}

/*
 * Stores the params of initialize for targets that come back. Without them, we initialize such a target with
 * our own.
 */
static void keep_opening(struct mcp_session *s, struct span params)
{
	char *copy;

	if (!s->setup.fail_open || s->setup.names.count < 2 || params.len > LIMIT_MCP_CAPABILITIES_BYTES)
		return;
	copy = hg_strndup(params.data, params.len);
	s->opening = span_of(copy, copy ? params.len : 0);
}

static enum mcp_fault take_request(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				   uint64_t now_ms)
{
	enum mcp_fault fault = request_check(s, m);

	if (fault)
		return fault;
	if (m->method == MCP_METHOD_PING && s->setup.kind != MCP_SESSION_SHARED) {
		pong(s, sink, m, now_ms);
		return MCP_NONE;
	}
	if (m->method == MCP_METHOD_INITIALIZE) {
		s->state = MCP_SESSION_OPENING;
		keep_opening(s, m->params);
		mcp_session_open_within(s, s->setup.open_ms, now_ms);
	}
	fault = mcp_session_route(s, sink, m, now_ms);
	if (fault && m->method == MCP_METHOD_INITIALIZE)
		s->state = MCP_SESSION_OVER;
	return fault;
}

/* ---- answers and notifications ---- */

static void take_reply(struct mcp_session *s, const struct mcp_message *m)
{
	struct mcp_server_request *server_request = mcp_ids_find_text(&s->server_requests, m->id);
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct iovec segments[MCP_SEGMENTS];
	struct mcp_out out = { .segments = segments, .kind = m->kind };

	if (!server_request)
		return;
	mcp_patch_edit(&splice, m->id, server_request->target_id);
	out.count = mcp_patch_segments(&splice, segments, &out.bytes);
	(void)mcp_send_target(s, server_request->target, &out);
	mcp_server_request_free(s, server_request);
}

static void take_cancel(struct mcp_session *s, const struct mcp_message *m)
{
	struct span reason = mcp_json_string(mcp_json_member(m->params, SPAN("reason")));

	if (reason.len == 0 || reason.len > LIMIT_MCP_NAME_BYTES)
		reason = SPAN("cancelled by the client");
	list_each(node, next, &s->requests) {
		struct mcp_request *r = list_entry(node, struct mcp_request, all);

		/* The protocol does not allow a client to cancel initialize. */
		if (!r->stream || r->method == MCP_METHOD_INITIALIZE || !span_eq(r->id, m->request_id))
			continue;
		mcp_request_cancel(s, r, reason);
		return;
	}
}

/* Progress of a target's request to the client. */
static void take_progress(struct mcp_session *s, const struct mcp_message *m)
{
	struct mcp_server_request *server_request = mcp_ids_find_text(&s->server_requests, m->token);
	struct mcp_patch splice = mcp_patch_of(m->text);
	struct iovec segments[MCP_SEGMENTS];
	struct mcp_out out = { .segments = segments, .kind = m->kind, .method = m->method_text };

	if (!server_request || server_request->token.len == 0)
		return;
	mcp_patch_edit(&splice, m->token, server_request->token);
	out.count = mcp_patch_segments(&splice, segments, &out.bytes);
	(void)mcp_send_target(s, server_request->target, &out);
}

static void take_notification(struct mcp_session *s, const struct mcp_message *m)
{
	/* In a session of many clients, no client may speak for the others. */
	if (s->setup.kind != MCP_SESSION_STATEFUL || s->state != MCP_SESSION_READY)
		return;
	if (m->method == MCP_METHOD_CANCELLED) {
		take_cancel(s, m);
		return;
	}
	if (m->method == MCP_METHOD_PROGRESS) {
		take_progress(s, m);
		return;
	}
	for (uint32_t i = 0; i < s->setup.names.count; i++)
		mcp_send_target_text(s, i, MCP_NOTIFICATION, m->method_text, m->text);
}

/* ---- a post ---- */

static enum mcp_fault take_message(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_message *m,
				   uint64_t now_ms)
{
	enum mcp_fault fault = mcp_access_check_form(s, m);

	if (fault)
		return fault;
	switch (m->kind) {
	case MCP_REQUEST:
		return take_request(s, sink, m, now_ms);
	case MCP_RESULT:
	case MCP_ERROR:
		/* Only stateful sessions pass requests of targets on to the client. */
		if (s->setup.kind == MCP_SESSION_STATEFUL)
			take_reply(s, m);
		break;
	case MCP_NOTIFICATION:
		take_notification(s, m);
		break;
	}
	return MCP_NONE;
}

/*
 * The fault of a single request can be the HTTP response; other faults are sent as responses to their
 * requests.
 */
static enum mcp_fault take_post(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_post *post,
				bool may_refuse, uint64_t now_ms)
{
	struct mcp_message m;
	size_t at = 0;

	while (mcp_post_next(post, &at, &m)) {
		enum mcp_fault fault = take_message(s, sink, &m, now_ms);

		if (!fault)
			continue;
		if (mcp_fault_is_denial(fault))
			s->denied = fault;
		if (m.kind != MCP_REQUEST) {
			/* Nobody waits for a response to one of a batch. */
			if (may_refuse && !post->is_batch)
				return fault;
			continue;
		}
		if (may_refuse && !post->is_batch && mcp_fault_status(fault) != 200 &&
		    !mcp_fault_is_denial(fault))
			return fault;
		mcp_send_refusal(s, sink, &m, fault, now_ms);
		sink_less(s, sink);
	}
	return MCP_NONE;
}

static enum mcp_fault post_check(const struct mcp_session *s, const struct mcp_post *post)
{
	enum mcp_version version = s->setup.kind == MCP_SESSION_SINGLE ? s->setup.version : s->version;

	if (s->state == MCP_SESSION_OVER)
		return MCP_ENDED;
	/* 2025-03-26 added batches, 2025-06-18 removed them; 2024-11-05 does not forbid them. */
	if (post->is_batch && version != MCP_2025_03_26 && version != MCP_2024_11_05 &&
	    version != MCP_VERSION_NONE)
		return MCP_BATCH;
	return MCP_NONE;
}

static int hold(struct mcp_session *s, struct mcp_sink *sink, const struct mcp_post *post, uint64_t now_ms)
{
	char *copy = hg_strndup(post->text.data, post->text.len);

	if (!copy)
		return -ENOMEM;
	s->held = span_of(copy, post->text.len);
	s->held_sink = sink;
	s->held_access = s->access ? s->setup.access->ref(s->access) : NULL;
	s->state = MCP_SESSION_OPENING;
	mcp_session_open_within(s, s->setup.open_ms, now_ms);
	return mcp_session_open_targets(s, now_ms);
}

static void sink_attach(struct mcp_session *s, struct mcp_sink *sink, uint32_t requests)
{
	sink->session = s;
	sink->open = requests;
	sink->stream = ++s->streams;
	sink->is_broken = false;
	list_add_tail(&s->sinks, &sink->node);
}

static void sink_detach(struct mcp_sink *sink)
{
	list_remove(&sink->node);
	sink->session = NULL;
	sink->open = 0;
}

static bool must_hold(const struct mcp_session *s, const struct mcp_post *post)
{
	return s->setup.kind == MCP_SESSION_SINGLE && s->state == MCP_SESSION_NEW && post->requests > 0 &&
	       !mcp_post_is_initialize(post) && !(post->count == 1 && post->first.method == MCP_METHOD_PING);
}

struct mcp_verdict mcp_session_on_post(struct mcp_session *s, struct mcp_sink *sink,
				       const struct mcp_post *post, struct mcp_access *access,
				       uint64_t now_ms)
{
	enum mcp_fault fault = post_check(s, post);

	s->now_ms = now_ms;
	if (fault)
		return (struct mcp_verdict){ MCP_REFUSED, fault, MCP_NONE };
	s->speaker = sink;
	s->access = access;
	s->denied = MCP_NONE;
	if (sink->is_only)
		sink->open += post->requests;
	else if (post->requests)
		sink_attach(s, sink, post->requests);
	if (must_hold(s, post)) {
		fault = hold(s, sink, post, now_ms) == 0 ? MCP_NONE : MCP_NO_MEMORY;
		if (fault) {
			s->held_sink = NULL;
			s->state = MCP_SESSION_OVER;
		}
	} else {
		fault = take_post(s, sink, post, !sink->is_only, now_ms);
	}
	s->speaker = NULL;
	s->access = NULL;
	if (fault)
		sink_detach(sink);
	/* A refused initialize has ended the session: no stream stays open behind its response. */
	if (s->state == MCP_SESSION_OVER)
		list_splice(&s->settling, &s->sinks);
	mcp_session_settle(s, now_ms);
	if (fault)
		return (struct mcp_verdict){ MCP_REFUSED, fault, s->denied };
	return (struct mcp_verdict){ post->requests ? MCP_WAITING : MCP_ACCEPTED, MCP_NONE, s->denied };
}

/* ---- the held post ---- */

/* The post was already validated, so this fails only without memory. */
static bool held_read(struct mcp_session *s, struct mcp_post *ret)
{
	return mcp_post_read(s->setup.checker, s->held, ret) == MCP_NONE;
}

void mcp_session_drop_held(struct mcp_session *s)
{
	hg_free((char *)s->held.data);
	if (s->held_access)
		s->setup.access->unref(s->held_access);
	s->held = (struct span){ NULL, 0 };
	s->held_sink = NULL;
	s->held_access = NULL;
}

void mcp_session_fail_held(struct mcp_session *s, enum mcp_fault fault, struct span detail, uint64_t now_ms)
{
	struct mcp_sink *sink = s->held_sink;
	struct mcp_post post;
	struct mcp_message m;
	size_t at = 0;

	if (held_read(s, &post)) {
		while (mcp_post_next(&post, &at, &m)) {
			if (m.kind != MCP_REQUEST)
				continue;
			mcp_send_fault(s, sink, m.id, fault, detail, now_ms);
			sink_less(s, sink);
		}
	}
	mcp_session_drop_held(s);
}

void mcp_session_resume_held(struct mcp_session *s, uint64_t now_ms)
{
	struct mcp_post post;

	if (!s->held_sink)
		return;
	if (!held_read(s, &post)) {
		mcp_session_fail_held(s, MCP_NO_MEMORY, (struct span){ NULL, 0 }, now_ms);
		return;
	}
	s->speaker = s->held_sink;
	s->access = s->held_access;
	(void)take_post(s, s->held_sink, &post, false, now_ms);
	s->speaker = NULL;
	s->access = NULL;
	mcp_session_drop_held(s);
}
