/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/forward_head.h"

#include "user/client/client_tls.h"
#include "user/http/field_name.h"
#include "user/http/hop_by_hop.h"
#include "user/phase/guard_call.h"

struct span forward_head_scheme(const struct stream *stream)
{
	return client_is_tls(stream->client) ? SPAN("https") : SPAN("http");
}

struct span forward_head_loop_id(const struct stream *stream)
{
	return span_str(stream->proxy->shared->loop_id);
}

#define CERTIFICATE_FIELD SPAN("x-forwarded-client-cert")

static bool is_no_certificate(const struct field *field, void *context)
{
	(void)context;
	return !field_name_is_read_as(field->name, CERTIFICATE_FIELD);
}

/*
 * Sets the field to the client's certificate, or removes it: a value that the client sent, under any spelling
 * of the name, is never forwarded.
 */
static int tell_certificate(struct stream *stream)
{
	struct fields *fields = &stream->exchange->head.fields;
	struct span text = stream->client->tls->forwarded;

	fields_retain(fields, is_no_certificate, NULL);
	return text.len ? fields_add(fields, CERTIFICATE_FIELD, text) : 0;
}

int forward_head(struct stream *stream)
{
	const struct static_config *config = &stream->lease->snapshot->config;
	struct forwarded_facts facts = {
		.client_ip = span_of(stream->client->source + stream->client->peer_ip_at,
				     stream->client->peer_ip_len),
		.proto = forward_head_scheme(stream),
		.is_trusted = stream->client->is_trusted,
	};
	/*
	 * The first lap adds X-Forwarded-*, unless that is off: only a request with such fields needs
	 * CDN-Loop.
	 */
	bool is_marked = config->forwarded != FORWARDED_APPEND ||
			 hop_by_hop_was_forwarded(&stream->exchange->head.fields);
	int error;

	if (stream->exchange->is_forwarded)
		return 0;
	stream->exchange->is_forwarded = true;
	error = hop_by_hop_strip_request(&stream->exchange->head);
	if (!error && is_marked)
		error = hop_by_hop_add_lap(&stream->exchange->head.fields, forward_head_loop_id(stream));
	if (!error && config->forwarded == FORWARDED_APPEND)
		error = hop_by_hop_add_forwarded(&stream->exchange->head, &facts);
	else if (!error && !facts.is_trusted)
		bypass_drop_identities(&stream->exchange->head.fields);
	if (!error && stream->client->tls && stream->client->tls->forwards)
		error = tell_certificate(stream);
	if (!error && config->via)
		error = hop_by_hop_add_via(&stream->exchange->head.fields,
					   stream->exchange->head.version_major,
					   stream->exchange->head.version_minor);
	/* What guards have added may be named in Connection. */
	return error ? error : guard_call_change_again(stream);
}
