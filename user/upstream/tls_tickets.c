/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/tls_tickets.h"

#include <stddef.h>
#include <string.h>

#include "user/tls/session.h"

void tls_tickets_keep(struct tls_tickets *tickets, struct ssl_session_st *ticket)
{
	if (tickets->count == TLS_TICKETS_MAX) {
		tls_resume_free(tickets->list[0]);
		tickets->count--;
		memmove(tickets->list, tickets->list + 1, tickets->count * sizeof(tickets->list[0]));
	}
	tickets->list[tickets->count++] = ticket;
}

struct ssl_session_st *tls_tickets_take(struct tls_tickets *tickets)
{
	return tickets->count ? tickets->list[--tickets->count] : NULL;
}

void tls_tickets_done(struct tls_tickets *tickets)
{
	while (tickets->count)
		tls_resume_free(tls_tickets_take(tickets));
}
