/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/answer.h"
#include "admin/request.h"
#include "user/loop/loop.h"

/*
 * HTTP/1.1 on one connection to an admin port: keep-alive, pipelining (answered in order, one at a time),
 * HEAD, bodies swallowed up to LIMIT_ADMIN_REQUEST_BYTES, answers of any size sent from memory as fast as
 * the reader takes them. Nothing here blocks; the deadlines stand in conn_states.def.
 *
 *	accept -> HEAD -> [BODY] -> ANSWER -> SEND -> IDLE -> HEAD …  (keep-alive)
 *	                                       '-> LINGER -> CLOSED   (after an error, or Connection: close)
 *
 * A request is handed up once it is complete; the owner answers now or later. Ends have two steps: close
 * detaches at once, the memory goes at the end of the turn.
 */
enum conn_state {
#define CONN_STATE(id, deadline_ms, events, next) CONN_##id,
#include "admin/conn_states.def"
#undef CONN_STATE
	CONN_STATE_COUNT,
};

bool conn_state_allows(enum conn_state from, enum conn_state to);

struct admin_conn;

/* Who serves the requests. */
struct admin_owner {
	void *context;
	/* Must lead to exactly one admin_conn_answer(), during the call or later through a ticket. */
	void (*on_request)(void *context, struct admin_conn *conn, const struct admin_request *request);
	/* The connection has left the loop; the owner forgets it. */
	void (*on_closed)(void *context, struct admin_conn *conn);
};

/* A promise to answer later: survives the connection. */
struct admin_ticket;

/* Takes fd on success. 0, -ENOMEM, -ENOSPC or -errno of epoll. owner is borrowed until on_closed. */
int admin_conn_start(struct loop *loop, int fd, bool is_unix, const struct admin_owner *owner,
		     struct admin_conn **ret_conn);
void admin_conn_close(struct admin_conn *conn); /* idempotent */
enum conn_state admin_conn_state(const struct admin_conn *conn);
/* How long it has been in its state; in SEND: since the last byte that went out. */
uint64_t admin_conn_waits_ms(const struct admin_conn *conn);

/* Takes answer->body in any case. */
void admin_conn_answer(struct admin_conn *conn, struct admin_answer *answer);
/* A plain text answer; `format` is printf's. */
void admin_conn_say(struct admin_conn *conn, uint16_t status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

struct admin_ticket *admin_ticket_take(struct admin_conn *conn); /* NULL on no memory */
/* The connection that waits, or NULL when it is gone or has given up. Frees the ticket. */
struct admin_conn *admin_ticket_redeem(struct admin_ticket *ticket);
