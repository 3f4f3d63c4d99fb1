/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/facts.h"

#include <errno.h>

#include "user/base/units.h"
#include "user/client/client_peer.h"
#include "user/client/client_tls.h"
#include "user/net/socket.h"
#include "user/relay/conn_tls.h"
#include "user/tls/session.h"

static void fill_addresses(struct stream_facts *f, const struct stream *stream)
{
	const struct client *client = stream->client;

	if (address_parse(span_of(client->source, client->source_len), &f->raw_address) == 0)
		f->source.raw_address = &f->raw_address;
	client_peer_address(client, f->facts.request ? &f->facts.request->fields : NULL, &f->address);
	f->source.address = f->address.len ? &f->address : NULL;
}

/* The value of the first CN of a subject in the form of RFC 2253, its escapes left alone. */
static struct span common_name(struct span subject)
{
	for (size_t at = 0; at < subject.len;) {
		struct span part = span_from(subject, at);
		size_t len = 0;

		while (len < part.len && part.data[len] != ',' && part.data[len] != '+')
			len += part.data[len] == '\\' ? 2 : 1;
		part = span_first(part, len);
		if (span_starts(part, SPAN("CN=")))
			return span_from(part, strlen("CN="));
		at += len + 1;
	}
	return (struct span){ 0 };
}

static int fill_names(struct expression_source *source, const struct tls_certificate *certificate,
		      struct arena *arena)
{
	uint32_t count = certificate->uri_count + certificate->name_count;
	struct span *names = arena_take(arena, count * sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		names[i] = i < certificate->uri_count ? certificate->uri_list[i]
						      : certificate->name_list[i - certificate->uri_count];
		if (!source->spiffe_id.len && span_starts(names[i], SPAN("spiffe://")))
			source->spiffe_id = names[i];
	}
	source->names = names;
	source->name_count = count;
	return 0;
}

static int fill_certificate(struct stream_facts *f, const struct stream *stream, struct arena *arena)
{
	const struct tls_session *session = conn_tls(&stream->client->conn);
	struct tls_certificate certificate;
	bool is_verified = false;
	int error = session ? tls_peer(session, arena, &certificate, &is_verified) : -ENOENT;

	if (error || !is_verified)
		return error == -ENOENT ? 0 : error;
	f->source.subject = certificate.subject;
	f->source.subject_cn = common_name(certificate.subject);
	f->source.issuer = certificate.issuer;
	return fill_names(&f->source, &certificate, arena);
}

static void fill_backend(struct stream_facts *f, const struct stream *stream)
{
	static const struct span types[] = {
		[BACKEND_HOST] = { "static", 6 },     [BACKEND_UNIX] = { "static", 6 },
		[BACKEND_SERVICE] = { "service", 7 }, [BACKEND_MCP] = { "mcp", 3 },
		[BACKEND_INVALID] = { "unknown", 7 },
	};
	const struct backend *backend = stream->backend->backend;

	f->backend = (struct expression_backend){
		.name = backend->name,
		.type = types[backend->kind],
		.protocol = backend->kind == BACKEND_MCP ? SPAN("mcp")
			    : stream->is_tcp		 ? SPAN("tcp")
							 : SPAN("http"),
	};
	f->facts.backend = &f->backend;
}

static void fill_identity(struct expression_facts *facts, const struct guard_identity *identity)
{
	facts->jwt = identity->claims ? identity->claims->tree : NULL;
	facts->api_key = identity->api_key ? identity->api_key->tree : NULL;
	facts->basic_user = identity->basic_user;
}

int stream_facts_fill(struct stream_facts *f, struct stream *stream, uint32_t needs, struct arena *arena)
{
	const struct client_tls *tls = stream->client->tls;
	struct expression_facts *facts = &f->facts;

	*facts = (struct expression_facts){
		.request = stream->exchange ? &stream->exchange->head : NULL,
		.random = proxy_random(stream->proxy),
		.scratch = &f->scratch,
		.source = &f->source,
		.start_ns = proxy_wall_us(stream->proxy) * NS_PER_US -
			    (loop_now_ns(stream->proxy->loop) - stream->start_ns),
	};
	if (stream->exchange)
		fill_identity(facts, &stream->exchange->identity);
	f->source = (struct expression_source){ 0 };
	expression_scratch_init(&f->scratch);
	if (tls)
		facts->sni = tls->server_name;
	if (stream->backend && stream->backend->backend)
		fill_backend(f, stream);
	if (needs & EXPRESSION_NEEDS_ADDRESS)
		fill_addresses(f, stream);
	if (needs & EXPRESSION_NEEDS_DESTINATION && conn_is_open(&stream->client->conn) &&
	    socket_local(conn_fd(&stream->client->conn), &f->destination) == 0)
		facts->destination = &f->destination;
	return needs & EXPRESSION_NEEDS_CERTIFICATE ? fill_certificate(f, stream, arena) : 0;
}
