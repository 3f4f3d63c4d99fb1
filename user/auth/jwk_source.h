/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/auth/jwk.h"

/*
 * Where the keys of an issuer come from: fixed, or replaced while the gateway runs. All threads share it. Who
 * verifies a token holds the set meanwhile; it stays valid when it is replaced.
 */
struct jwk_source;

/* set: owned by the source from then on; NULL: none yet. NULL without memory: the caller keeps the set. */
struct jwk_source *jwk_source_create(struct jwk_set *set);
struct jwk_source *jwk_source_ref(struct jwk_source *source);
void jwk_source_unref(struct jwk_source *source); /* NULL allowed */

/* A reference to the keys, or NULL if there are none yet. */
struct jwk_set *jwk_source_hold(struct jwk_source *source);
/* The id of the keys, 0 without keys: what was verified with others must be verified again. */
uint64_t jwk_source_id(struct jwk_source *source);
/* Owns the set from then on. fetched_s: seconds since the epoch. */
void jwk_source_replace(struct jwk_source *source, struct jwk_set *set, uint64_t fetched_s);
/* When the keys were fetched, seconds since the epoch; 0: never, or they are fixed. */
uint64_t jwk_source_fetched_s(struct jwk_source *source);

/* A token names a key that is not there: who fetches the keys should ask again. */
void jwk_source_miss(struct jwk_source *source);
/* True if there was one since the last call. */
bool jwk_source_take_miss(struct jwk_source *source);
