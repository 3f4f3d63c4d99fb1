/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "user/base/siphash.h"

/*
 * Token buckets by key, for all threads of the process: together they admit exactly what one thread would. A
 * bucket begins full. `fill` tokens are added at whole multiples of the interval since then, up to `most`.
 *
 * A table has at most LIMIT_RATE_BUCKETS buckets, of 64 bytes each, and keeps hashes of keys, not the keys:
 * clients choose them, so the hash is keyed (SipHash), and no client can fill one list of buckets. Beyond the
 * limit a new key replaces one of the least recently used buckets, the one with the fewest tokens missing: a
 * full bucket loses nothing, and a client that wants to get rid of its exhausted bucket must exhaust as many
 * others as the table has.
 */
struct rate_shape {
	uint64_t most;
	uint64_t fill; /* at most `most`; 0: never */
	uint64_t interval_ns; /* not 0 */
};

struct rate_result {
	bool is_admitted;
	uint64_t left; /* tokens */
	uint64_t reset_ns; /* until the next tokens; 0: `most` is 0 */
};

struct rate_table;

/* The secret is copied. NULL without memory. */
struct rate_table *rate_table_create(const struct rate_shape *shape, const struct siphash_key *secret);
void rate_table_free(struct rate_table *table); /* NULL is fine */
/* Takes a token from the bucket of the key. now_ns: monotonic. 0, or -ENOMEM: not admitted. Any thread. */
int rate_table_take(struct rate_table *table, struct span key, uint64_t now_ns, struct rate_result *ret);
uint32_t rate_table_count(const struct rate_table *table); /* buckets */
