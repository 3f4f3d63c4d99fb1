/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/net/sni.h"

/*
 * A client on a port of HTTPS and TLS listeners. Its ClientHello says by name which of them is meant: one
 * that passes through gets the bytes as they are, any other ends TLS here and serves what the handshake
 * agreed on.
 *
 * Life: client_tls_start() (READ_HELLO) -> HANDSHAKE -> the state of what is inside, or LINGER with the
 * reason on its way to the client. The longest wait ends when there are too many (LIMIT_TLS_HANDSHAKES): a
 * client that goes on has its handshake behind it in a few round trips.
 */
struct client_tls {
	struct client *client;
	struct list node; /* in proxy->handshakes, until the handshake is over */
	struct list port_node; /* in bind->handshakes, as long */
	struct sni_parser *hello; /* owner; NULL: it is complete */
	uint64_t begin_ns; /* loop time */
	bool forwards; /* the backend is told of the client's certificate */
	enum tls_client_auth client_auth; /* what the handshake demanded */
	uint64_t trust_hash; /* of the authorities of clients; 0: none */
	bool ends_tls; /* here; false: not decided, or passed through */
	bool is_h2; /* agreed on */
	char *texts; /* owner of the next two */
	struct span listener_key; /* of the listener that has its name, as it was configured then */
	struct span server_name; /* lower case; empty: none was said */
	struct span forwarded; /* owner; x-forwarded-client-cert, empty: none */
};

void client_tls_start(struct client *client);
/* Events in READ_HELLO and HANDSHAKE. */
void client_tls_read_hello(struct client *client);
void client_tls_go_on(struct client *client);
void client_tls_on_timer(struct client *client);
/* The handshake, or the wait for it, is over: also for a client that is closed. Idempotent. */
void client_tls_leave_queue(struct client *client);
void client_tls_free(struct client_tls *tls);
/*
 * Not over TLS, or the request's listener is that of the handshake, and demands no other certificate of
 * clients than it did then.
 */
bool client_tls_serves(const struct client *client, const struct listener *listener);
static inline bool client_is_tls(const struct client *client)
{
	return client->tls && client->tls->ends_tls;
}
/* Nobody here has the server name: alert unrecognized_name (RFC 6066 3). False: it did not leave; reset. */
bool client_tls_refuse_name(struct client *client);
