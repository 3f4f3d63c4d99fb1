/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Consistent hashing (Eisenbud et al., "Maglev", NSDI 2016, 3.4): a table from hashes to endpoints. It
 * depends only on the texts and weights of the endpoints, so all gateways with the same endpoints agree. When
 * one of n endpoints leaves, at most 1.1/n of the keys move, up to 64 endpoints; beyond that more, since the
 * table does not grow any further (maglev_size()).
 */
struct maglev {
	uint32_t size; /* prime */
	uint16_t slot_list[]; /* indexes of the list that it was made for */
};

/* attempt: 0, 1, …: each leads to another slot, in case the endpoint of the first is not available. */
uint32_t maglev_find(const struct maglev *table, uint64_t hash, uint32_t attempt);
/*
 * The number of slots for so many endpoints: `wanted`, if that is a prime and enough. It changes in large
 * steps only, because all keys move with it.
 */
uint32_t maglev_size(uint32_t endpoint_count, uint32_t wanted);
bool maglev_is_prime(uint32_t number);
/*
 * Makes a table of the first 65535 endpoints in memory of the arena. *ret_table is NULL if no endpoint has a
 * weight. 0 or -ENOMEM. Takes some 50 ns for a slot: not for a worker.
 */
int maglev_build(const struct endpoint *list, uint32_t count, uint32_t size, struct arena *arena,
		 struct maglev **ret_table);
