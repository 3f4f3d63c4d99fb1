/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/list.h"
#include "user/base/span.h"
#include "user/loop/loop.h"

/* A worker's side of the resolver (user/net/resolver.h): its own cache, and the queries that wait. */
struct resolver;
struct resolver_list;
struct resolver_client;

/* NULL without memory. The loop belongs to the calling thread. */
struct resolver_client *resolver_client_create(struct resolver *resolver, struct loop *loop);
/* Queries must have been cancelled or answered. Before the loop is freed. NULL is allowed. */
void resolver_client_free(struct resolver_client *client);

/* Embedded in the object that wants the addresses. */
struct resolver_query {
	struct list node; /* among those waiting for a name */
	/*
	 * From the loop of the client's thread, once. result 0: list holds one reference, now the callee's.
	 * Otherwise -errno and NULL: -ENOENT when the name has no address, -EAGAIN when no name server
	 * answered. May free the query, and start or cancel any query.
	 */
	void (*on_result)(struct resolver_query *query, int result, struct resolver_list *list);
};

void resolver_query_init(struct resolver_query *query,
			 void (*on_result)(struct resolver_query *query, int result,
					   struct resolver_list *list));
/*
 * host: a name or a literal address without brackets, borrowed for the call. Returns 0 with one reference in
 * *ret_list when the answer is known; -EINPROGRESS when on_result will be called; otherwise the failure,
 * without a callback: -ENOENT, -EAGAIN (see above; known from a recent look-up), -EINVAL for a host no name
 * can look like, -ENOBUFS at a limit, -ENOMEM.
 */
int resolver_query_start(struct resolver_client *client, struct span host, uint16_t port,
			 struct resolver_query *query, struct resolver_list **ret_list);
/*
 * For connections that are open already: one reference on what is known of the name, be it old, or NULL.
 * Never waits, but has an old answer renewed, so that the next call tells where the name moved.
 */
struct resolver_list *resolver_known(struct resolver_client *client, struct span host, uint16_t port);
/* on_result will not be called. Idempotent. */
void resolver_query_cancel(struct resolver_query *query);
