/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/internal_fields.h"

#include <errno.h>
#include <stdio.h>

#include "user/client/client.h"
#include "user/net/address.h"
#include "user/obs/requests.h"
#include "user/stream/downstream.h"
#include "user/stream/grant.h"

#define REQUEST_FIELD SPAN("headgate-request")
#define NOTE_FIELD SPAN("headgate-note")

bool internal_fields_are_wanted(const struct stream *stream)
{
	const struct backend *backend = stream->backend ? stream->backend->backend : NULL;

	return stream->exchange && backend && backend->kind == BACKEND_MCP;
}

bool internal_fields_client_left(const struct stream *stream)
{
	return internal_fields_are_wanted(stream) && relay_is_finished(&stream->upload) &&
	       stream->downstream->has_closed(stream) && !stream->downstream->has_unread(stream);
}

/* Clients of MCP 2024-11-05 put the session id into the query: a reader of the log could use the session. */
static void internal_fields_hide_query(struct stream *stream)
{
	struct span *path = &stream->exchange->texts.path;
	ptrdiff_t query = span_find(*path, '?');

	if (query >= 0)
		*path = span_first(*path, (size_t)query);
}

static bool is_address(struct span text)
{
	struct address address;

	return text.len < ADDRESS_TEXT_BYTES && address_parse_ip(text, 0, &address) == 0;
}

/*
 * For a trusted peer: the last address in its X-Forwarded-For other than its own, which is the client it
 * forwards for.
 */
static struct span notes_client(const struct stream *stream)
{
	const struct client *client = stream->client;
	struct span peer = span_of(client->source + client->peer_ip_at, client->peer_ip_len);
	const struct field *field = fields_find(&stream->exchange->head.fields, SPAN("x-forwarded-for"));
	struct span rest, one, found = peer;

	if (!client->is_trusted || !field)
		return peer;
	rest = field->value;
	while (span_split(&rest, ',', &one)) {
		one = span_trim(one);
		if (!span_eq(one, peer) && is_address(one))
			found = one;
	}
	return found;
}

int internal_fields_add(struct stream *stream)
{
	const struct exchange *exchange = stream->exchange;
	uint64_t deadline_ms = exchange->request_deadline_ms;
	char text[128 + ADDRESS_TEXT_BYTES];
	struct span client = notes_client(stream);
	struct span kept;
	int len;

	internal_fields_hide_query(stream);
	if (grant_make(stream) < 0)
		return -ENOMEM;
	if (exchange->try_deadline_ms && (!deadline_ms || exchange->try_deadline_ms < deadline_ms))
		deadline_ms = exchange->try_deadline_ms;
	len = snprintf(text, sizeof(text), "id=%llu; client=%.*s", (unsigned long long)stream->id,
		       SPAN_FMT(client));
	if (deadline_ms)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "; deadline-ms=%llu",
				(unsigned long long)deadline_ms);
	if (exchange->access)
		len += snprintf(text + len, sizeof(text) - (size_t)len, "; access=%llu",
				(unsigned long long)exchange->access);
	kept = arena_copy(&stream->exchange->arena, span_of(text, (size_t)len));
	return kept.data ? fields_set(&stream->exchange->head.fields, REQUEST_FIELD, kept) : -ENOMEM;
}

/* The policy whose rules apply at the backend, or the route. */
static struct span rule_of(const struct stream *stream)
{
	struct span rule = stream->backend->mcp_rule;

	return rule.len || !stream->route ? rule : stream->route->label;
}

static bool is_denied(const struct stream *stream)
{
	return span_eq(internal_fields_get(stream, SPAN("reason")),
		       span_str(end_reason_text(END_MCP_AUTHORIZATION)));
}

void internal_fields_take(struct stream *stream)
{
	struct fields *fields = &stream->exchange->response.fields;
	const struct field *note = fields_find(fields, NOTE_FIELD);
	bool was_denied = is_denied(stream);

	if (!note)
		return;
	/* Without memory the log line lacks the notes. */
	stream->exchange->internal_fields = arena_copy(&stream->exchange->arena, note->value);
	fields_remove(fields, NOTE_FIELD);
	if (!was_denied && is_denied(stream))
		request_metrics_refusal(stream->proxy->metrics, SPAN("mcpAuthorization"), rule_of(stream));
}

struct span internal_fields_get(const struct stream *stream, struct span key)
{
	struct span rest, pair;

	if (!stream->exchange || !stream->exchange->internal_fields.len)
		return (struct span){ 0 };
	rest = stream->exchange->internal_fields;
	while (span_split(&rest, '\t', &pair)) {
		if (pair.len > key.len && span_starts(pair, key) && pair.data[key.len] == '=')
			return span_from(pair, key.len + 1);
	}
	return (struct span){ 0 };
}

enum end_reason internal_fields_reason(const struct stream *stream, enum end_reason reason)
{
	struct span noted = internal_fields_get(stream, SPAN("reason"));

	if (reason != END_OK || !noted.len)
		return reason;
	for (unsigned int i = 0; i < END_REASON_COUNT; i++) {
		if (span_eq(noted, span_str(end_reason_text((enum end_reason)i))))
			return (enum end_reason)i;
	}
	return reason;
}
