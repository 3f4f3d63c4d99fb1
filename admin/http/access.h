/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "admin/http/conn.h"

/*
 * Who may use the admin port from another host. Without config.adminAuth nobody may change anything, and with
 * it each request needs a credential. Clients that come over loopback or a Unix socket need none.
 */
struct access_request {
	const struct admin_hooks *hooks;
	struct admin_conn *conn;
	const struct request_head *head;
	/* Serves the request from the start: its password has been verified meanwhile. */
	void (*again)(void *context, struct admin_conn *conn);
	void *context; /* of again(); borrowed while the connection exists */
};

/* True if the request may continue; otherwise it has been answered, or again() is called later. */
bool access_check(const struct access_request *request);
