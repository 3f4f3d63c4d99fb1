/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/http1/client.h"
#include "user/upstream/outbound.h"

/*
 * Fetches the keys of token issuers from their URLs (struct jwk_remote), in the main thread. Keys stay in use
 * while they cannot be fetched, and across reloads. They are fetched again
 *   - after `max-age` of the response, else after 15 minutes, at least a minute and at most a day;
 *   - 15 s after a failure;
 *   - when a token names an unknown key, but not within 10 s of the last attempt.
 */
struct jwk_fetcher {
	struct loop *loop; /* borrowed */
	struct list entries; /* struct jwk_entry, one for each URL */
	struct list fetches; /* struct jwk_fetch: requests under way, or over in this turn */
	struct timer tick;
	struct outbound *outbound; /* borrowed; the first URL opens it */
};

void jwk_fetcher_init(struct jwk_fetcher *fetcher, struct outbound *outbound);
/* In the loop's thread, after the loop has ended and before it is freed. Does nothing without init. */
void jwk_fetcher_done(struct jwk_fetcher *fetcher);
/*
 * Gives the providers of a compiled snapshot the keys that are known for their URLs. Before workers get the
 * snapshot. 0 or -ENOMEM.
 */
int jwk_fetcher_attach(struct jwk_fetcher *fetcher, struct snapshot *snapshot);
/* The snapshot is in force: fetches from its URLs, and from no others. */
void jwk_fetcher_follow(struct jwk_fetcher *fetcher, struct snapshot *snapshot);
