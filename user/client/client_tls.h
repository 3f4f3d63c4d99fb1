/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client.h"
#include "user/net/sni.h"

/*
 * A client on a port of HTTPS and TLS listeners. The server name in its ClientHello selects the listener: a
 * passthrough listener gets the bytes unchanged, any other terminates TLS here and serves the negotiated
 * protocol.
 *
 * Life: client_tls_start() (READ_HELLO) -> HANDSHAKE -> the state of the inner protocol, or LINGER after an
 * alert was sent. Beyond LIMIT_TLS_HANDSHAKES the oldest handshake ends: a client that makes progress
 * completes its handshake in a few round trips.
 */
struct client_tls {
	struct client *client;
	struct list node; /* in proxy->handshakes, until the handshake is over */
	struct list port_node; /* in bind->handshakes, until the handshake is over */
	struct sni_parser *hello; /* owner; NULL: the ClientHello is complete */
	uint64_t begin_ns; /* loop time */
	bool forwards; /* the client's certificate is forwarded to the backend */
	enum tls_client_auth client_auth; /* which certificate the handshake required */
	uint64_t trust_hash; /* of the CA certificates for clients; 0: none */
	bool ends_tls; /* TLS is terminated here; false: not decided yet, or passed through */
	bool is_h2; /* negotiated by ALPN */
	char *texts; /* owner of the bytes of the next two */
	struct span listener_key; /* the selected listener, as configured at that time */
	struct span server_name; /* lower case; empty: the client sent none */
	struct span forwarded; /* owner; x-forwarded-client-cert, empty: none */
};

void client_tls_start(struct client *client);
/* Handle events in READ_HELLO and HANDSHAKE. */
void client_tls_read_hello(struct client *client);
void client_tls_go_on(struct client *client);
void client_tls_on_timer(struct client *client);
/*
 * Removes the client from the queues of handshakes, at the end of the handshake or of the client. Idempotent.
 */
void client_tls_leave_queue(struct client *client);
void client_tls_free(struct client_tls *tls);
/* Its tunnel has begun: forgets the hello, if TLS is passed through. */
void client_tls_passed(struct client *client);
/*
 * True if the client does not use TLS, or if the listener of the request is the one of the handshake and its
 * requirements on client certificates are unchanged.
 */
bool client_tls_serves(const struct client *client, const struct listener *listener);
/*
 * True if the tunnel of a client may begin: the listener of its server name still ends TLS with the same
 * requirements on client certificates, or still passes TLS through. A reload may have changed it since it was
 * chosen.
 */
bool client_tls_is_unchanged(const struct client *client);
static inline bool client_is_tls(const struct client *client)
{
	return client->tls && client->tls->ends_tls;
}
/*
 * Sends the alert unrecognized_name (RFC 6066 3): no listener or route has the server name. False: the alert
 * could not be sent; the caller resets.
 */
bool client_tls_refuse_name(struct client *client);
