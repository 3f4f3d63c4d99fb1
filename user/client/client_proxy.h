/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client_accept.h"
#include "user/net/proxy_header.h"

/*
 * Clients of a port whose connections begin with a PROXY header (frontendPolicies.proxyProtocol). Only peers
 * in config.proxyProtocol.trusted are asked for one; what they announce replaces the address of the peer in
 * every place, before any rule about the client decides.
 *
 * Life: client_proxy_start() (READ_PROXY) -> the state of the protocol behind the header.
 */

/* What is known of a client when its connection arrives. */
struct client_proxy {
	bool is_expected; /* the header comes first */
	struct proxy_header header; /* has_addresses: another process has read it */
};

/*
 * False: the caller resets the connection, because the peer is not trusted, or because nobody knows which
 * client another process has served on it.
 */
bool client_proxy_admits(struct proxy *proxy, const struct bind *bind, int fd, const struct address *peer,
			 enum client_origin origin, struct client_proxy *ret_arrival);
/* The client, as far as it is known: the peer, or what the header announced. */
const struct address *client_proxy_peer(const struct client_proxy *arrival, const struct address *peer);
/* Gives a new client what is known of it. False: it was closed. */
bool client_proxy_take(struct client *client, const struct client_proxy *arrival);

/*
 * These wait for the header, in READ_PROXY. True: the client may begin with the protocol of its port, and
 * conn.in has its first bytes. False: the header is not complete, or the client was closed.
 */
bool client_proxy_start(struct client *client);
bool client_proxy_read(struct client *client);
bool client_proxy_on_timer(struct client *client);
