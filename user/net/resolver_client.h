/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/list.h"
#include "user/base/span.h"
#include "user/loop/loop.h"

/* A worker's side of the resolver (user/net/resolver.h): its own cache, and the waiting queries. */
struct resolver;
struct resolver_list;
struct resolver_client;

/* NULL without memory. The loop belongs to the calling thread. */
struct resolver_client *resolver_client_create(struct resolver *resolver, struct loop *loop);
/* Cancel or complete all queries first; call it before the loop is freed. NULL allowed. */
void resolver_client_free(struct resolver_client *client);

/* Embedded in the object that needs the addresses. */
struct resolver_query {
	struct list node; /* in the list of those that wait for a name */
	/*
	 * Set it after the init: a client chose the name. Such names share half of the look-ups, and have a
	 * queue of their own, so that they do not hold up those of the configuration.
	 */
	bool is_chosen;
	/*
	 * Called once from the loop of the client's thread. result 0: list holds one reference, which the
	 * callee owns. Otherwise -errno and NULL: -ENOENT if the name has no address, -EAGAIN if no name
	 * server answered. May free the query, and start or cancel any query.
	 */
	void (*on_result)(struct resolver_query *query, int result, struct resolver_list *list);
};

void resolver_query_init(struct resolver_query *query,
			 void (*on_result)(struct resolver_query *query, int result,
					   struct resolver_list *list));
/*
 * host: a name or a literal address without brackets, borrowed for the call. Returns 0 with one reference in
 * *ret_list if the answer is known; -EINPROGRESS if on_result will be called; otherwise the failure, without
 * a callback: -ENOENT, -EAGAIN (as above, from a recent look-up), -EINVAL for an invalid host name, -ENOBUFS
 * at a limit, -ENOMEM.
 */
int resolver_query_start(struct resolver_client *client, struct span host, uint16_t port,
			 struct resolver_query *query, struct resolver_list **ret_list);
/*
 * For connections that are already open: one reference to the known addresses of the name, however old, or
 * NULL. Never waits, but starts to renew an old answer, so that the next call returns the new addresses.
 */
struct resolver_list *resolver_known(struct resolver_client *client, struct span host, uint16_t port,
				     bool is_chosen);
/* on_result will not be called any more. Idempotent. */
void resolver_query_cancel(struct resolver_query *query);
