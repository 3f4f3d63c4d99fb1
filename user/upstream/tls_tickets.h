/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct ssl_session_st;

/*
 * Sessions for resuming the handshake with one endpoint: the newest that it issued. A TLS 1.3 session is used
 * once (RFC 8446 C.4), so a burst of connections needs several. All zero: none.
 */
enum { TLS_TICKETS_MAX = 4 };

struct tls_tickets {
	struct ssl_session_st *list[TLS_TICKETS_MAX]; /* owner; oldest first */
	uint32_t count;
};

/* Takes the reference; drops the oldest beyond TLS_TICKETS_MAX. */
void tls_tickets_keep(struct tls_tickets *tickets, struct ssl_session_st *ticket);
/* The newest, which the caller owns (tls_resume_free()), or NULL. */
struct ssl_session_st *tls_tickets_take(struct tls_tickets *tickets);
void tls_tickets_done(struct tls_tickets *tickets);
