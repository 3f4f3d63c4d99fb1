/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * SipHash-2-4 with 128 bits of output: a pseudorandom function of a secret key (Aumasson, Bernstein, 2012).
 * For tables whose keys come from peers: without the key nobody can choose inputs that collide, and 128 bits
 * are enough to stand for the input itself.
 */
struct siphash_key {
	uint64_t low, high; /* uniformly random, secret */
};

struct hash128 {
	uint64_t low, high;
};

struct siphash {
	uint64_t v0, v1, v2, v3;
	uint64_t tail; /* bytes that do not fill a word yet */
	uint64_t len; /* of everything so far */
};

void siphash_start(struct siphash *h, const struct siphash_key *key);
void siphash_add(struct siphash *h, struct span s);
/* The length, then the bytes: parts of different lengths cannot stand for each other. */
void siphash_add_part(struct siphash *h, struct span s);
struct hash128 siphash_end(struct siphash *h);

/* Takes the same time wherever they differ. */
static inline bool hash128_eq(struct hash128 a, struct hash128 b)
{
	return ((a.low ^ b.low) | (a.high ^ b.high)) == 0;
}
