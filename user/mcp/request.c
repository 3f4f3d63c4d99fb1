/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/mcp/session_internal.h"

/* Copies into the room behind an object. */
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
				       const struct mcp_message *m, uint32_t parts, uint64_t now_ms)
{
	struct span name = named_of(m);
	size_t bytes = sizeof(struct mcp_request) + parts * sizeof(struct mcp_part) + m->id.len +
		       m->token.len + m->method_text.len + name.len;
	struct mcp_request *r = hg_calloc(1, bytes);
	char *at;

	if (!r)
		return NULL;
	at = (char *)&r->parts[parts];
	r->bytes = bytes;
	r->part_count = parts;
	r->method = m->method;
	r->started_ms = now_ms;
	r->id = put(&at, m->id);
	r->token = put(&at, m->token);
	r->method_text = put(&at, m->method_text);
	r->name = put(&at, name);
	for (uint32_t i = 0; i < parts; i++)
		r->parts[i].request = r;
	r->sink = sink;
	r->stream = sink ? sink->stream : 0;
	list_add_tail(sink ? &sink->requests : &s->orphans, &r->node);
	list_add_tail(&s->requests, &r->all);
	s->calls += sink != NULL;
	s->bytes += bytes;
	return r;
}

static void part_clear(struct mcp_session *s, struct mcp_part *part)
{
	if (part->id)
		mcp_ids_drop(&s->parts, part->id);
	part->id = 0;
	hg_free((char *)part->answer.data);
	part->answer = (struct span){ NULL, 0 };
}

void mcp_request_free(struct mcp_session *s, struct mcp_request *r)
{
	for (uint32_t i = 0; i < r->part_count; i++)
		part_clear(s, &r->parts[i]);
	hg_free((char *)r->held.data);
	hg_free((char *)r->why.data);
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

int mcp_part_keep(struct mcp_session *s, struct mcp_part *part, struct span answer)
{
	struct mcp_request *r = part->request;
	char *copy;

	if (r->bytes + answer.len > LIMIT_MCP_GATHER_BYTES)
		return -ENOBUFS;
	copy = hg_strndup(answer.data, answer.len);
	if (!copy)
		return -ENOMEM;
	r->bytes += answer.len - part->answer.len;
	s->bytes += answer.len - part->answer.len;
	hg_free((char *)part->answer.data);
	part->answer = span_of(copy, answer.len);
	return 0;
}

static void part_cancel(struct mcp_session *s, struct mcp_part *part, struct span reason)
{
	const struct mcp_link_ops *link = s->setup.link;
	struct text text;

	text_init(&text);
	text_fmt(&text,
		 "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/cancelled\",\"params\":{\"requestId\":%llu",
		 (unsigned long long)part->id);
	text_str(&text, ",\"reason\":\"");
	text_add(&text, reason);
	text_str(&text, "\"}}");
	/* Without memory the target works for nothing: its answer finds nobody. */
	if (!text_error(&text))
		mcp_send_target_text(s, part->target, MCP_NOTIFICATION, SPAN("notifications/cancelled"),
				     text_span(&text));
	text_done(&text);
	if (link->forget)
		link->forget(s->setup.context, part->target, part->id);
}

void mcp_request_cancel(struct mcp_session *s, struct mcp_request *r, struct span reason)
{
	for (uint32_t i = 0; i < r->part_count; i++) {
		if (r->parts[i].id && !s->targets[r->parts[i].target].is_lost)
			part_cancel(s, &r->parts[i], reason);
	}
	mcp_request_end(s, r);
}

void mcp_request_recall(struct mcp_session *s, struct mcp_request *r, uint32_t sent)
{
	for (uint32_t i = 0; i < sent; i++) {
		if (!s->targets[r->parts[i].target].is_lost)
			part_cancel(s, &r->parts[i], SPAN("another target is busy"));
	}
	mcp_request_free(s, r);
}

/* ---- requests of a target ---- */

struct mcp_ask *mcp_ask_create(struct mcp_session *s, uint32_t target, const struct mcp_message *m)
{
	struct mcp_ask *ask = hg_calloc(1, sizeof(*ask) + m->id.len + m->token.len);
	char *at;

	if (!ask)
		return NULL;
	at = ask->text;
	ask->target = target;
	ask->target_id = put(&at, m->id);
	ask->token = put(&at, m->token);
	if (mcp_ids_put(&s->asks, LIMIT_MCP_CALLS, ask, &ask->id) != 0) {
		hg_free(ask);
		return NULL;
	}
	s->bytes += sizeof(*ask) + ask->target_id.len + ask->token.len;
	return ask;
}

void mcp_ask_free(struct mcp_session *s, struct mcp_ask *ask)
{
	s->bytes -= sizeof(*ask) + ask->target_id.len + ask->token.len;
	mcp_ids_drop(&s->asks, ask->id);
	hg_free(ask);
}
