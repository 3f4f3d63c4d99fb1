/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/http/answer.h"
#include "admin/http/request.h"
#include "user/loop/loop.h"

/*
 * HTTP/1.1 on one connection to an admin port: keep-alive, pipelining (answered in order, one at a time),
 * HEAD; discards request bodies up to LIMIT_ADMIN_REQUEST_BYTES; sends responses of any size from memory as
 * fast as the reader takes them. Nothing here blocks; conn_states.def has the deadlines.
 *
 *         accept -> HEAD -> [BODY] -> ANSWER -> SEND -> IDLE -> HEAD …  (keep-alive)
 *                                                '-> LINGER -> CLOSED   (after an error, or Connection:
 * close)
 *
 * The owner gets a request when it is complete, and answers now or later. A close has two steps: it detaches
 * the connection at once, and frees the memory at the end of the turn.
 */
enum conn_state {
#define CONN_STATE(id, deadline_ms, events, next) CONN_##id,
#include "admin/http/conn_states.def"
#undef CONN_STATE
	CONN_STATE_COUNT,
};

bool conn_state_allows(enum conn_state from, enum conn_state to);

struct admin_conn;

/* Serves the requests. */
struct admin_owner {
	void *context;
	/* Must result in exactly one admin_conn_answer(), during the call or later through a ticket. */
	void (*on_request)(void *context, struct admin_conn *conn, const struct admin_request *request);
	/* The connection has left the loop; the owner must drop its pointer. */
	void (*on_closed)(void *context, struct admin_conn *conn);
};

/* Permits a response later; outlives the connection. */
struct admin_ticket;

/* Takes fd on success. 0, -ENOMEM, -ENOSPC or -errno of epoll. owner is borrowed until on_closed. */
int admin_conn_start(struct loop *loop, int fd, bool is_unix, const struct admin_owner *owner,
		     struct admin_conn **ret_conn);
void admin_conn_close(struct admin_conn *conn); /* idempotent */
enum conn_state admin_conn_state(const struct admin_conn *conn);
/* Time in the current state; in SEND: since the last byte was sent. */
uint64_t admin_conn_waits_ms(const struct admin_conn *conn);

/* Takes answer->body, also on failure. */
void admin_conn_answer(struct admin_conn *conn, struct admin_answer *answer);
/* Sends a plain text response; `format` is printf's. */
void admin_conn_say(struct admin_conn *conn, uint16_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct admin_ticket *admin_ticket_take(struct admin_conn *conn); /* NULL without memory */
/* Returns the waiting connection, or NULL if it has ended or no longer waits. Frees the ticket. */
struct admin_conn *admin_ticket_redeem(struct admin_ticket *ticket);
