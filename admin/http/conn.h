/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/http/answer.h"
#include "user/net/address.h"
#include "user/http1/server.h"

/*
 * One connection to an admin port (user/http1/server.h): discards request bodies up to
 * LIMIT_ADMIN_REQUEST_BYTES, and sends responses of any size from memory as fast as the reader takes them.
 */
struct admin_conn;

/* Serves the requests. */
struct admin_owner {
	void *context;
	/* Must result in exactly one admin_conn_answer(), during the call or later through a ticket. */
	void (*on_request)(void *context, struct admin_conn *conn, const struct request_head *head);
	/* The connection has left the loop; the owner must drop its pointer. */
	void (*on_closed)(void *context, struct admin_conn *conn);
};

/* Permits a response later; outlives the connection. */
struct admin_ticket;

struct admin_conn {
	struct http1_server http;
	const struct admin_owner *owner; /* borrowed */
	struct admin_ticket *ticket; /* borrowed; freed by admin_ticket_redeem() */
	bool is_unix; /* accepted on a Unix socket */
	bool is_local; /* of a client on this host: loopback or a Unix socket */
	bool has_verdict; /* of the password of the request that is served */
	int verdict;
	uint64_t peer_hash; /* of the client's address */
};

/*
 * Takes fd, also on failure. 0, -ENOMEM, -ENOSPC or -errno of epoll. owner is borrowed until on_closed.
 * peer: of the client, a Unix address for a Unix socket.
 */
int admin_conn_start(struct loop *loop, int fd, const struct address *peer, const struct admin_owner *owner,
		     struct admin_conn **ret_conn);

/* Takes answer->body, also on failure. */
void admin_conn_answer(struct admin_conn *conn, struct admin_answer *answer);
/* Sends a plain text response; `format` is printf's. */
void admin_conn_say(struct admin_conn *conn, uint16_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct admin_ticket *admin_ticket_take(struct admin_conn *conn); /* NULL without memory */
/* Returns the waiting connection, or NULL if it has ended or no longer waits. Frees the ticket. */
struct admin_conn *admin_ticket_redeem(struct admin_ticket *ticket);
