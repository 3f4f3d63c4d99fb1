/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct store;
struct stored_object;

/*
 * Which Services, EndpointSlices, Secrets and ConfigMaps a configuration can need: those whose name is a text
 * somewhere in the other objects. A cluster has many more of them, and some change every few seconds. A
 * filter by hashes: it may let too many pass, never too few.
 */
struct mentions {
	uint64_t *bits; /* owner; NULL: everything is needed */
	bool has_selector; /* a policy or backend may also name objects by their labels */
};

/* Reads the texts of the store, in place of what was there; without memory everything is needed. */
void mentions_update(struct mentions *mentions, const struct store *store);
void mentions_done(struct mentions *mentions);
bool mentions_need(const struct mentions *mentions, const struct stored_object *object);
