/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_facts.h"

#include <errno.h>

#include "user/client/client_peer.h"
#include "user/client/client_tls.h"
#include "user/net/socket.h"
#include "user/relay/conn_tls.h"
#include "user/tls/session.h"

/* The TCP peer. A PROXY header has replaced it in client->source. */
static bool raw_address_of(const struct client *client, struct address *ret_address)
{
	if (!client->announced)
		return address_parse(span_of(client->source, client->source_len), ret_address) == 0;
	if (!conn_is_open(&client->conn) || socket_peer(conn_fd(&client->conn), ret_address) < 0)
		return false;
	address_unmap(ret_address);
	return true;
}

static bool destination_of(const struct client *client, struct address *ret_address)
{
	if (client->announced)
		*ret_address = *client->announced;
	return client->announced ||
	       (conn_is_open(&client->conn) && socket_local(conn_fd(&client->conn), ret_address) == 0);
}

static void fill_addresses(struct client_facts *f, const struct client *client, const struct fields *fields)
{
	if (raw_address_of(client, &f->raw_address))
		f->source.raw_address = &f->raw_address;
	client_peer_address(client, fields, &f->address);
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

static int fill_certificate(struct client_facts *f, const struct client *client, struct arena *arena)
{
	const struct tls_session *session = conn_tls(&client->conn);
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

int client_facts_fill(struct client_facts *f, const struct client *client, const struct fields *fields,
		      uint32_t needs, struct arena *arena, struct expression_facts *facts)
{
	f->source = (struct expression_source){ 0 };
	facts->source = &f->source;
	if (client->tls)
		facts->sni = client->tls->server_name;
	if (needs & EXPRESSION_NEEDS_ADDRESS)
		fill_addresses(f, client, fields);
	if (needs & EXPRESSION_NEEDS_DESTINATION && destination_of(client, &f->destination))
		facts->destination = &f->destination;
	return needs & EXPRESSION_NEEDS_CERTIFICATE ? fill_certificate(f, client, arena) : 0;
}
