/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "user/net/address.h"

/*
 * Three small HTTP servers for operators, in the main thread's loop: admin (loopback only by default), stats
 * (/metrics), readiness (/healthz/ready). Each accepts at most LIMIT_ADMIN_CONNECTIONS connections; at the
 * limit it closes the connection that has waited longest without a request, or else the client that has
 * taken no byte of its response for longest, so that a probe always gets in.
 */
enum admin_port {
	ADMIN_PORT_ADMIN,
	ADMIN_PORT_STATS,
	ADMIN_PORT_READINESS,
	ADMIN_PORT_COUNT,
};

enum { ADMIN_ADDRESSES_PER_PORT = 2 };

/*
 * "ip:port", "[v6]:port", "localhost:port" (127.0.0.1 and ::1), "unix:/path", "off" or empty (no listener).
 */
struct admin_addresses {
	struct span text[ADMIN_PORT_COUNT]; /* borrowed */
	bool ipv6_enabled; /* false: localhost is 127.0.0.1 only, and "[::]:port" is 0.0.0.0 */
};

struct admin;

/*
 * The addresses in the configuration; ADMIN_ADDR, STATS_ADDR and READINESS_ADDR in the environment override
 * them.
 */
void admin_addresses_of(const struct static_config *config, struct admin_addresses *ret_addresses);
/* Checks the syntax only, to validate a configuration. 0 or -EINVAL; ret_count 0 for "off". */
int admin_address_parse(struct span text, struct address ret_list[ADMIN_ADDRESSES_PER_PORT],
			size_t *ret_count);

/*
 * hooks and the bytes of addresses are borrowed until admin_stop(). 0, -EINVAL, -ENOMEM, or -errno of
 * listen(), with one line for the operator appended to `error`. ::1 of "localhost" is optional: a host
 * without IPv6 does not have it, and "[::]:port" is 0.0.0.0 there.
 */
int admin_start(struct loop *loop, const struct admin_hooks *hooks, const struct admin_addresses *addresses,
		struct text *error, struct admin **ret_admin);
/* Closes everything at once and drops pending responses of workers. NULL allowed. Call before loop_free(). */
void admin_stop(struct admin *admin);
/* The address on which a port listens (after port 0). 0 or -ENOENT. */
int admin_local_address(const struct admin *admin, enum admin_port port, struct address *ret_address);
/* Port 0 was replaced by a real one. */
void admin_log_addresses(const struct admin *admin);

/* For the handlers. */
const struct admin_hooks *admin_hooks_of(const struct admin *admin);
const struct admin_addresses *admin_addresses_in_use(const struct admin *admin);
