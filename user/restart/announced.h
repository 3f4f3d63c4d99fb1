/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/address.h"
#include "user/restart/state.h"

/*
 * What PROXY headers announced about the connections of clients: the header is read once, and a process that
 * takes a connection over asks here. Nobody removes a record: it belongs to the connection whose cookie it
 * has, and the next one of that descriptor has another.
 */

/*
 * Records that the connection was announced with these addresses (IPv4 or IPv6), or source NULL: without any.
 * Without memory for it nothing is recorded. Called by the thread that owns the descriptor.
 */
void restart_announced_set(struct restart_state *restart_state, int fd, const struct address *source,
			   const struct address *destination);
/* 0; ret_source->len is 0 if there were no addresses. -ENOENT: nothing was recorded about this connection. */
int restart_announced_get(struct restart_state *restart_state, int fd, struct address *ret_source,
			  struct address *ret_destination);
/* The record of this connection, to hand it to another program; NULL: there is none. */
const struct restart_announced *restart_announced_of(const struct restart_state *restart_state, int fd);
/* Takes the record over that another program has handed over with the connection. */
void restart_announced_put(struct restart_state *restart_state, int fd,
			   const struct restart_announced *announced);
