/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

struct ssl_session_st;

/*
 * What handshakes with one endpoint may be resumed with: the newest sessions it gave us. One of TLS 1.3 is
 * used once (RFC 8446 C.4), so a burst of connections needs several. All zero: none.
 */
enum { TLS_TICKETS_MAX = 4 };

struct tls_tickets {
	struct ssl_session_st *list[TLS_TICKETS_MAX]; /* owner; the oldest first */
	uint32_t count;
};

/* Takes the reference; the oldest goes where there are too many. */
void tls_tickets_keep(struct tls_tickets *tickets, struct ssl_session_st *ticket);
/* The newest, now the caller's (tls_resume_free()); or NULL. */
struct ssl_session_st *tls_tickets_take(struct tls_tickets *tickets);
void tls_tickets_done(struct tls_tickets *tickets);
