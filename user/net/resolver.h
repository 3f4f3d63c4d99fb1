/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/loop/mailbox.h"
#include "user/net/address.h"
#include "user/net/resolver_client.h"

/*
 * Names to addresses by getaddrinfo(3) in threads of its own, so that workers never wait for a name server.
 * A thread is started for a look-up while there are less than so many, and ends when no name waits.
 *
 *   worker thread                                             process
 *   resolver_client: its own cache, no lock  --ask, mutex-->  resolver: cache, queue --> look-up threads
 *   waiting queries                          <--mailbox-----  answer: one immutable list for everybody
 *
 * Life of a cached answer, counted from the moment it arrived:
 *   until refresh_ms                 fresh: given at once
 *   refresh_ms .. 2 x refresh_ms     given at once, and looked up again meanwhile
 *   later (nobody asked for a while) queries wait for a new look-up
 * When a look-up fails, the addresses known before stay in use, with a log line, and the next look-up may
 * follow after negative_ms. A name without any address fails for negative_ms without a new look-up.
 *
 * Invariants: a worker takes the mutex at most once a name and refresh period; only the worker's own thread
 * touches its queries, so a cancelled query is never called; at most LIMIT_RESOLVE_QUEUE names wait for a
 * thread; each cache keeps at most LIMIT_RESOLVE_NAMES names. An unchanged answer keeps its list object.
 *
 * This header is the process' side; user/net/resolver_client.h is what a worker uses.
 */

/* Immutable once published; shared by all threads. */
struct resolver_list {
	atomic_uint refs;
	uint32_t count; /* 1..LIMIT_ADDRESSES */
	struct address address_list[]; /* in the order of getaddrinfo, with the port */
};
/* With one reference and room for `count` addresses; NULL without memory. */
struct resolver_list *resolver_list_create(uint32_t count);
struct resolver_list *resolver_list_ref(struct resolver_list *list);
void resolver_list_unref(struct resolver_list *list); /* NULL is allowed */

struct resolver_options {
	uint64_t refresh_ms; /* 0: 30000 */
	uint64_t negative_ms; /* 0: 1000 */
	unsigned int threads; /* at the same time; 0: RESOLVER_THREADS */
	/*
	 * Runs in a look-up thread and may block. Fills at most max addresses (the port is set afterwards)
	 * and returns 0, or -errno: -ENOENT for a name without addresses. NULL: lookup_system().
	 */
	int (*lookup)(void *context, const char *host, struct address *list, uint32_t max,
		      uint32_t *ret_count);
	void *context; /* handed to lookup */
};

enum {
	RESOLVER_THREADS = 32, /* so that names whose server is silent cannot hold up the others */
	RESOLVER_JOIN_MS = 500,
};

struct resolver;

/* NULL with errno set when memory is missing. The threads have all signals blocked. */
struct resolver *resolver_create(const struct resolver_options *options);
/*
 * All clients must be closed. Threads that hang in look-ups are given RESOLVER_JOIN_MS and then left behind;
 * they free what they hold when they return.
 */
void resolver_free(struct resolver *resolver);

/* What a name resolves to, and how long that may be said. Between this module and resolver_client. */
struct resolver_answer {
	int result; /* 0, or -errno when there is no list */
	struct resolver_list *list; /* owner of one reference; NULL with a result other than 0 */
	uint64_t fresh_until_ms; /* clock_now_ms(); afterwards somebody should look again */
	uint64_t stale_until_ms; /* until then the list may be given out while somebody looks again */
};

/* A client's interest in one name. At most one is under way for a name and client. */
struct resolver_ask {
	struct message message; /* message.run is called in the client's loop with the answer filled in */
	struct list node; /* among those waiting for the name */
	struct mailbox *mailbox; /* borrowed */
	struct resolver_answer answer; /* the runner's once the message runs */
};

/*
 * 0 with *ret_answer when the process knows; -EINPROGRESS when ask->message will come; -ENOBUFS at a limit;
 * -ENOMEM, also without any thread.
 */
int resolver_ask(struct resolver *resolver, struct span host, uint16_t port, struct resolver_ask *ask,
		 struct resolver_answer *ret_answer);
/* The message will not be sent, unless it was already. Any thread; idempotent. */
void resolver_ask_withdraw(struct resolver *resolver, struct resolver_ask *ask);
/* Replaces *answer, giving up the list it held. */
void resolver_answer_set(struct resolver_answer *answer, struct resolver_answer next);
