/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct snapshot;
struct store;
struct stored_object;

/*
 * Which Services, EndpointSlices, Secrets and ConfigMaps a configuration can need: those whose name is a text
 * somewhere in the other objects, or in the version of one that stays in force. A cluster has many more of
 * them, and some change every few seconds. A filter by hashes: it may let too many pass, never too few.
 */
struct mentions {
	uint64_t *bits; /* owner; NULL: everything is needed */
	bool has_selector; /* a policy or backend may also name objects by their labels */
};

/*
 * Reads the texts of the store, in place of what was there; without memory everything is needed. previous:
 * its objects may stay in force (config/gatewayapi/kept_object.h); NULL: none.
 */
void mentions_update(struct mentions *mentions, const struct store *store, const struct snapshot *previous);
void mentions_done(struct mentions *mentions);
bool mentions_need(const struct mentions *mentions, const struct stored_object *object);
