/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client_accept.h"

/* Sets the configured socket options of a client's socket. */
void client_peer_set_options(const struct proxy *proxy, const struct bind *bind, int fd);
/* True if X-Forwarded-* of this peer are trusted (config.forwarded.trusted). */
bool client_peer_is_listed(const struct static_config *config, const struct address *peer);
bool client_peer_is_trusted(const struct proxy *proxy, const struct address *peer);
/* True if PROXY headers of this peer are believed (config.proxyProtocol.trusted). */
bool client_peer_may_announce(const struct proxy *proxy, const struct address *peer);
/* Sets the texts of the client's address, and is_trusted. */
void client_peer_name(struct client *client, const struct address *peer);
/*
 * Who sent a request: behind trusted peers (config.forwarded.trusted) the last address of X-Forwarded-For
 * that is not trusted itself; otherwise the peer. len 0: not an IP address.
 */
void client_peer_address(const struct client *client, const struct fields *fields,
			 struct address *ret_address);
/*
 * Lets the connection bypass TCP if its bind allows it and the peer is a process of this host, or continues
 * that for a connection of an old process. 0, or -errno: bytes are lost, and the caller must reset it.
 */
int client_peer_bypass(struct client *client, const struct bind *bind, enum client_origin origin);
