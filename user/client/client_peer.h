/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/client/client_accept.h"

/* What the configuration says about sockets of clients. */
void client_peer_set_options(const struct proxy *proxy, const struct bind *bind, int fd);
/* Its word about others is taken (config.forwarded.trusted). */
bool client_peer_is_trusted(const struct proxy *proxy, const struct address *peer);
/* Its address as texts, and whether its word about others is taken. */
void client_peer_name(struct client *client, const struct address *peer);
/*
 * Its bytes bypass TCP, where its bind agreed and its other end is here, or where they did in a process that
 * is gone: 0, or -errno: bytes of it are lost, reset it.
 */
int client_peer_bypass(struct client *client, const struct bind *bind, enum client_origin origin);
