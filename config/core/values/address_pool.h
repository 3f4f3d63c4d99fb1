/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/address.h"

/* Ranges of IP addresses, of which addresses are given out one by one. Both ends belong to a range. */
enum { ADDRESS_RANGES_MAX = 64 };

struct address_range {
	struct address first; /* without a port, as `last`, and of its family */
	struct address last;
};

struct address_pool {
	struct address_range range_list[ADDRESS_RANGES_MAX];
	uint32_t range_count;
};

/*
 * Parses addresses, networks and ranges: "192.0.2.10,192.0.2.64/28,2001:db8::10-2001:db8::1f". A network is
 * all of its addresses. 0, or -EINVAL with a sentence in `why`.
 */
int address_pool_parse(struct span text, struct address_pool *ret, struct text *why);
bool address_pool_has(const struct address_pool *pool, const struct address *address);

/* A walk over all addresses in the order of the ranges; begin with zeros. */
struct address_pool_walk {
	uint32_t range;
	bool is_inside;
	struct address at; /* the last one, while is_inside */
};

/* False: there are no more. */
bool address_pool_next(const struct address_pool *pool, struct address_pool_walk *walk, struct address *ret);
