/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

#include "user/net/address.h"
#include "user/net/resolver_client.h"

/*
 * Names to addresses by c-ares, in the workers' own loops: nobody waits for a name server.
 *
 *   worker thread                                                process
 *   resolver_client: its own cache, no lock  --ask, mutex----->  resolver: what any worker has found
 *   look-ups (user/net/lookup.h)             --tell, mutex---->
 *   waiting queries                          <-- one immutable list for everybody
 *
 * Life of a cached answer, counted from the moment it arrived:
 *   until refresh_ms                 fresh: given at once
 *   refresh_ms .. 2 x refresh_ms     given at once, and looked up again meanwhile, by one worker
 *   later (nobody asked for a while) queries wait for a new look-up
 * When a look-up fails, the addresses known before stay in use, with a log line, and the next look-up may
 * follow after negative_ms. A name without any address fails for negative_ms without a new look-up.
 *
 * Invariants: a worker takes the mutex at most twice a name and refresh period; queries and look-ups belong
 * to one thread; at most RESOLVER_LOOKUPS names are looked up by a worker at the same time, and at most
 * LIMIT_RESOLVE_QUEUE wait; each cache keeps at most LIMIT_RESOLVE_NAMES names. An unchanged answer keeps its
 * list object.
 *
 * This header is the process' side; user/net/resolver_client.h is what a worker uses.
 */

/* Immutable once published; shared by all threads. */
struct resolver_list {
	atomic_uint refs;
	uint32_t count; /* 1..LIMIT_ADDRESSES */
	struct address address_list[]; /* in the order of RFC 6724, with the port */
};
/* With one reference and room for `count` addresses; NULL without memory. */
struct resolver_list *resolver_list_create(uint32_t count);
struct resolver_list *resolver_list_ref(struct resolver_list *list);
void resolver_list_unref(struct resolver_list *list); /* NULL is allowed */

struct resolver_options {
	uint64_t refresh_ms; /* 0: 30000 */
	uint64_t negative_ms; /* 0: 1000 */
	const char *servers; /* as in lookup_start(); borrowed; NULL: those of /etc/resolv.conf */
};

enum {
	RESOLVER_LOOKUPS = 16, /* so that names whose server is silent do not hold up the others */
	RESOLVER_RENEW_MS = 1000, /* so long the others leave it to one worker to renew an old answer */
};

struct resolver;

/* NULL with errno set without memory. Before there are threads that resolve. */
struct resolver *resolver_create(const struct resolver_options *options);
void resolver_free(struct resolver *resolver); /* after all clients; NULL is allowed */

/* What a name resolves to, and how long that may be said. Between this module and resolver_client. */
struct resolver_answer {
	int result; /* 0, or -errno when there is no list */
	struct resolver_list *list; /* owner of one reference; NULL with a result other than 0 */
	uint64_t fresh_until_ms; /* clock_now_ms(); afterwards somebody should look again */
	uint64_t stale_until_ms; /* until then the list may be given out while somebody looks again */
};

/* What the process knows. True when it is for the caller to look the name up, and to tell. */
bool resolver_ask(struct resolver *resolver, struct span host, uint16_t port,
		  struct resolver_answer *ret_answer);
/* What a look-up found, and what is to be said from now on. The port of every address is set. */
void resolver_tell(struct resolver *resolver, struct span host, uint16_t port, int result,
		   struct address *list, uint32_t count, struct resolver_answer *ret_answer);
const char *resolver_servers(const struct resolver *resolver);
/* Replaces *answer, giving up the list it held. */
void resolver_answer_set(struct resolver_answer *answer, struct resolver_answer next);
