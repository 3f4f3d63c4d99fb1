/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/mcp/session/session_internal.h"

/* Copies into the memory after an object. */
static struct span put(char **at, struct span s)
{
	struct span copy = span_of(*at, s.len);

	if (s.len)
		memcpy(*at, s.data, s.len);
	*at += s.len;
	return copy;
}

static struct span named_of(const struct mcp_message *m)
{
	struct span value = m->name.len ? m->name : m->uri.len ? m->uri : m->task;

	return mcp_json_string(value);
}

struct mcp_request *mcp_request_create(struct mcp_session *s, struct mcp_sink *sink,
				       const struct mcp_message *m, uint32_t sub_requests, uint64_t now_ms)
{
	struct span name = named_of(m);
	size_t bytes = sizeof(struct mcp_request) + sub_requests * sizeof(struct mcp_sub_request) +
		       m->id.len + m->token.len + m->method_text.len + name.len;
	struct mcp_request *r = hg_calloc(1, bytes);
	char *at;

	if (!r)
		return NULL;
	at = (char *)&r->sub_requests[sub_requests];
	r->bytes = bytes;
	r->sub_request_count = sub_requests;
	r->method = m->method;
	r->started_ms = now_ms;
	r->id = put(&at, m->id);
	r->token = put(&at, m->token);
	r->method_text = put(&at, m->method_text);
	r->name = put(&at, name);
	for (uint32_t i = 0; i < sub_requests; i++)
		r->sub_requests[i].request = r;
	r->sink = sink;
	r->stream = sink ? sink->stream : 0;
	r->client = sink ? sink->client : 0;
	r->access = s->access ? s->setup.access->ref(s->access) : NULL;
	list_add_tail(sink ? &sink->requests : &s->detached, &r->node);
	list_add_tail(&s->requests, &r->all);
	s->calls += sink != NULL;
	s->bytes += bytes;
	return r;
}

static void sub_request_clear(struct mcp_session *s, struct mcp_sub_request *sub_request)
{
	if (sub_request->id)
		mcp_ids_drop(&s->sub_requests, sub_request->id);
	sub_request->id = 0;
	hg_free((char *)sub_request->answer.data);
	sub_request->answer = (struct span){ NULL, 0 };
}

void mcp_request_free(struct mcp_session *s, struct mcp_request *r)
{
	for (uint32_t i = 0; i < r->sub_request_count; i++)
		sub_request_clear(s, &r->sub_requests[i]);
	hg_free((char *)r->held.data);
	hg_free((char *)r->why.data);
	if (r->access)
		s->setup.access->unref(r->access);
	list_remove(&r->node);
	list_remove(&r->all);
	s->calls -= r->stream != 0;
	s->bytes -= r->bytes;
	hg_free(r);
}

void mcp_request_note(struct mcp_session *s, struct mcp_request *r, struct span why)
{
	char *copy = r->why.data ? NULL : hg_strndup(why.data, why.len);

	if (!copy)
		return;
	r->why = span_of(copy, why.len);
	r->bytes += why.len;
	s->bytes += why.len;
}

int mcp_sub_request_keep(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span answer)
{
	struct mcp_request *r = sub_request->request;
	char *copy;

	if (r->bytes + answer.len > LIMIT_MCP_GATHER_BYTES)
		return -ENOBUFS;
	copy = hg_strndup(answer.data, answer.len);
	if (!copy)
		return -ENOMEM;
	r->bytes += answer.len - sub_request->answer.len;
	s->bytes += answer.len - sub_request->answer.len;
	hg_free((char *)sub_request->answer.data);
	sub_request->answer = span_of(copy, answer.len);
	return 0;
}

static void sub_request_cancel(struct mcp_session *s, struct mcp_sub_request *sub_request, struct span reason)
{
	const struct mcp_link_ops *link = s->setup.link;
	struct text text;

	text_init(&text);
	text_fmt(&text,
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%llu",
		 (unsigned long long)sub_request->id);
	text_str(&text, ",\"reason\":\"");
	text_add(&text, reason);
	text_str(&text, "\"}}");
	/* Without memory the target is not notified; its response is then ignored. */
	if (!text_error(&text))
		mcp_send_target_text(s, sub_request->target, MCP_NOTIFICATION,
				     SPAN("notifications/cancelled"), text_span(&text));
	text_done(&text);
	if (link->forget)
		link->forget(s->setup.context, sub_request->target, sub_request->id);
}

void mcp_request_cancel(struct mcp_session *s, struct mcp_request *r, struct span reason)
{
	for (uint32_t i = 0; i < r->sub_request_count; i++) {
		if (r->sub_requests[i].id && !s->targets[r->sub_requests[i].target].is_lost)
			sub_request_cancel(s, &r->sub_requests[i], reason);
	}
	mcp_request_end(s, r);
}

void mcp_request_recall(struct mcp_session *s, struct mcp_request *r, uint32_t sent)
{
	for (uint32_t i = 0; i < sent; i++) {
		if (!s->targets[r->sub_requests[i].target].is_lost)
			sub_request_cancel(s, &r->sub_requests[i], SPAN("another target is busy"));
	}
	mcp_request_free(s, r);
}

/* ---- requests of a target ---- */

struct mcp_server_request *mcp_server_request_create(struct mcp_session *s, uint32_t target,
						     const struct mcp_message *m)
{
	struct mcp_server_request *server_request =
		hg_calloc(1, sizeof(*server_request) + m->id.len + m->token.len);
	char *at;

	if (!server_request)
		return NULL;
	at = server_request->text;
	server_request->target = target;
	server_request->target_id = put(&at, m->id);
	server_request->token = put(&at, m->token);
	if (mcp_ids_put(&s->server_requests, LIMIT_MCP_CALLS, server_request, &server_request->id) != 0) {
		hg_free(server_request);
		return NULL;
	}
	s->bytes += sizeof(*server_request) + server_request->target_id.len + server_request->token.len;
	return server_request;
}

void mcp_server_request_free(struct mcp_session *s, struct mcp_server_request *server_request)
{
	s->bytes -= sizeof(*server_request) + server_request->target_id.len + server_request->token.len;
	mcp_ids_drop(&s->server_requests, server_request->id);
	hg_free(server_request);
}
