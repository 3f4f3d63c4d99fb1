/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/client_announce.h"

#include <errno.h>

#include "user/client/client_tls.h"
#include "user/net/proxy_header.h"
#include "user/net/socket.h"
#include "user/relay/conn_tls.h"
#include "user/tls/session.h"

enum { ANNOUNCE_ARENA_BYTES = 1024 };

/* The same addresses as in the log: those that a PROXY header announced to us, or those of the connection. */
static void announce_addresses(const struct client *client, struct proxy_announcement *announcement)
{
	struct address *source = &announcement->source, *destination = &announcement->destination;

	if (address_parse(span_of(client->source, client->source_len), source) < 0)
		source->len = 0;
	if (client->announced)
		*destination = *client->announced;
	else if (!conn_is_open(&client->conn) || socket_local(conn_fd(&client->conn), destination) < 0)
		destination->len = 0;
	else
		address_unmap(destination);
}

static int announce_tls(const struct client *client, struct arena *arena,
			struct proxy_announcement *announcement)
{
	const struct tls_session *session = client_is_tls(client) ? conn_tls(&client->conn) : NULL;
	int error;

	if (client->tls)
		announcement->authority = client->tls->server_name;
	if (!session)
		return 0;
	announcement->alpn = tls_alpn(session);
	announcement->tls_version = span_str(tls_version_text(session));
	announcement->tls_cipher = span_str(tls_cipher_text(session));
	announcement->is_resumed = tls_is_resumed(session);
	error = tls_peer_common_name(session, arena, &announcement->common_name, &announcement->is_verified);
	announcement->has_certificate = error == 0;
	return error == -ENOENT ? 0 : error;
}

struct upstream_endpoint *client_announce(struct client *client, struct upstream_endpoint *endpoint)
{
	struct proxy_announcement announcement = { .version = endpoint->proxy_version, .has_client = true };
	char header[PROXY_HEADER_OUT_BYTES];
	struct upstream_endpoint *record = NULL;
	struct upstream_pool *pool;
	struct list *records;
	struct arena arena;

	if (!endpoint->proxy_version)
		return endpoint;
	pool = &client->proxy->pool;
	records = client->http ? &client->http->announced : NULL;
	if (records)
		record = upstream_pool_find_announced(pool, endpoint, records);
	if (record)
		return record;
	arena_init(&arena, ANNOUNCE_ARENA_BYTES);
	announce_addresses(client, &announcement);
	if (announce_tls(client, &arena, &announcement) == 0)
		record = upstream_pool_announce(pool, endpoint, records,
						span_of(header, proxy_header_write(&announcement, header)));
	else
		upstream_pool_leave(pool, endpoint);
	arena_done(&arena);
	return record;
}
