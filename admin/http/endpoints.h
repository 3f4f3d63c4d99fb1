/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/http/conn.h"
#include "admin/http/server.h"

/* Finds the handler of a request; the table is endpoints.def. */

enum endpoint_method {
	ENDPOINT_GET = 1,
	ENDPOINT_POST = 2,
};

/* argument: the path segment that matched '*'. The handler must answer once, now or through a ticket. */
struct admin_call {
	struct admin *admin;
	const struct admin_hooks *hooks;
	struct admin_conn *conn;
	const struct request_head *head;
	enum admin_port port;
	struct span argument;
};

void endpoints_serve(struct admin *admin, enum admin_port port, struct admin_conn *conn,
		     const struct request_head *head);
/* Appends one line per endpoint of this port. */
void endpoints_list(enum admin_port port, struct text *out);
