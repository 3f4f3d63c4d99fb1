/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/net/address.h"
#include "user/net/lookup.h"
#include "user/net/resolver_client.h"

/*
 * Names to addresses by c-ares, in the workers' own loops: no thread waits for a name server.
 *
 *   worker thread                                                process
 *   resolver_client: its own cache, no lock  --ask, mutex----->  resolver: results of all workers
 *   look-ups (user/net/lookup.h)             --tell, mutex---->
 *   waiting queries                          <-- one immutable list for all
 *
 * Life of a cached answer, counted from its arrival:
 *   until refresh_ms                 fresh: returned at once
 *   refresh_ms .. 2 x refresh_ms     returned at once, while one worker looks it up again
 *   later (no one asked for a while) queries wait for a new look-up
 * When a look-up fails, the previous addresses stay in use, with a log line, and the next look-up may follow
 * after negative_ms. A name without any address fails for negative_ms without a new look-up.
 *
 * Invariants: a worker takes the mutex at most twice for a name and refresh period; queries and look-ups
 * belong to one thread; a worker looks up at most RESOLVER_LOOKUPS names at the same time, half of them
 * chosen by clients, and at most LIMIT_RESOLVE_QUEUE of either wait; each cache keeps at most
 * LIMIT_RESOLVE_NAMES names. An unchanged answer keeps its list object. This header is the process' side;
 * workers use user/net/resolver_client.h.
 */

/* Immutable once published; shared by all threads. */
struct resolver_list {
	atomic_uint refs;
	uint32_t count; /* 1..LIMIT_ADDRESSES */
	struct address address_list[]; /* in the order of RFC 6724, with the port */
};
/* Has one reference and space for `count` addresses; NULL without memory. */
struct resolver_list *resolver_list_create(uint32_t count);
struct resolver_list *resolver_list_ref(struct resolver_list *list);
void resolver_list_unref(struct resolver_list *list); /* NULL allowed */

struct resolver_options {
	uint64_t refresh_ms; /* 0: 30000 */
	uint64_t negative_ms; /* 0: 1000 */
	struct lookup_options lookup; /* its texts are borrowed */
};

enum {
	RESOLVER_LOOKUPS = 16, /* so that names whose server is silent do not delay the others */
	RESOLVER_RENEW_MS = 1000, /* how long the other workers wait for one to renew an old answer */
};

struct resolver;

/* NULL, with errno set, without memory. Call it before threads resolve names. */
struct resolver *resolver_create(const struct resolver_options *options);
void resolver_free(struct resolver *resolver); /* after all clients; NULL allowed */

/* What a name resolves to, and for how long. Used by this module and resolver_client. */
struct resolver_answer {
	int result; /* 0, or -errno without a list */
	struct resolver_list *list; /* owner of one reference; NULL with a result other than 0 */
	uint64_t fresh_until_ms; /* clock_now_ms(); afterwards one worker should look it up again */
	uint64_t stale_until_ms; /* until then the list may be used meanwhile */
};

/* Returns what the process knows. True: the caller must look the name up, and call resolver_tell(). */
bool resolver_ask(struct resolver *resolver, struct span host, uint16_t port,
		  struct resolver_answer *ret_answer);
/* Stores the result of a look-up, and returns the new answer. The port of every address is set. */
void resolver_tell(struct resolver *resolver, struct span host, uint16_t port, int result,
		   struct address *list, uint32_t count, struct resolver_answer *ret_answer);
const struct lookup_options *resolver_lookup(const struct resolver *resolver);
/* Replaces *answer and releases its old list. */
void resolver_answer_set(struct resolver_answer *answer, struct resolver_answer next);
