/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/* What the order of endpoints takes from their snapshot. */
struct order_context {
	struct arena *arena;
	struct span zone; /* of the gateway; empty: unknown */
	const struct session_key *session_key; /* NULL: no tags are made */
	uint64_t slots_left; /* for tables */
};

/*
 * Sorts the endpoints of a backend by priority, and within one those of the gateway's zone first; those that
 * were equal keep their order. Makes its groups, their tables if a reference chooses by hash, and tags if a
 * rule has sessions. Call it whenever the list of a backend was made anew, before a worker sees it. 0;
 * -ENOMEM; -E2BIG: the tables need more slots.
 */
int endpoint_order(struct backend *backend, struct order_context *context);
