/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/http1/client.h"
#include "user/upstream/outbound.h"

/*
 * Fetches keys of token issuers and OpenAPI documents from their URLs (struct fetch_source), in the main
 * thread. A value stays in use while it cannot be fetched, or what came is wrong, and across reloads. It is
 * fetched again
 *   - after `max-age` of the response, else after 15 minutes, at least a minute and at most a day;
 *   - a second after a failure, and after each further one twice as long, up to 15 s;
 *   - when somebody has missed something in it, as a token whose key is unknown, but not within 10 s of the
 *     last attempt.
 */
struct fetcher {
	struct loop *loop; /* borrowed */
	struct list entries; /* struct fetch_entry, one for each URL of a kind, prefix, and host behind it */
	struct list fetches; /* struct fetch: requests under way, or over in this turn */
	struct timer tick;
	struct outbound *outbound; /* borrowed; the first URL opens it */
};

void fetcher_init(struct fetcher *fetcher, struct outbound *outbound);
/* In the loop's thread, after the loop has ended and before it is freed. Does nothing without init. */
void fetcher_done(struct fetcher *fetcher);
/*
 * Gives the users of a compiled snapshot the values that are known for their URLs. Before workers get the
 * snapshot. 0 or -ENOMEM.
 */
int fetcher_attach(struct fetcher *fetcher, struct snapshot *snapshot);
/* The snapshot is in force: fetches from its URLs, and from no others. */
void fetcher_follow(struct fetcher *fetcher, struct snapshot *snapshot);
