/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/list.h"
#include "user/base/text.h"
#include "user/cluster/kind.h"
#include "user/cluster/mentions.h"

/*
 * The objects of an API server as it sent them, by kind, namespace and name. Pure: the reflectors
 * (reflector.h) keep it in step.
 *
 * An object that a configuration does not depend on in full is kept in two parts: `text`, without
 * metadata.managedFields and without status, and `status`. A change of the status, which is often our own, is
 * no change for the configuration, but for one of a Gateway's addresses while keeps_addresses is set: the
 * text has them, too.
 */
struct stored_object {
	struct list node; /* of its kind, in order of arrival */
	struct stored_object *next; /* in the same bucket */
	enum kind_id kind;
	uint64_t round; /* the last list that had it */
	uint64_t digest; /* of the text without metadata.resourceVersion */
	struct span key; /* "namespace/name", or "name" */
	struct span service; /* of an EndpointSlice: "namespace/name" of its Service; empty: none */
	struct span version; /* metadata.resourceVersion */
	struct span text; /* JSON with apiVersion and kind */
	struct span status; /* JSON, empty: none */
};

struct mcp_json_checker;

/*
 * What has changed since store_changes_done(): endpoints of these Services alone, or more. Beyond this number
 * of Services everything is decoded, which is no slower.
 */
enum { STORE_CHANGED_SERVICES = 128 };

struct store_changes {
	bool has_others; /* something else has changed, or too much */
	uint32_t service_count;
	struct text service_list[STORE_CHANGED_SERVICES]; /* owner; "namespace/name", each once */
};

struct store {
	struct mcp_json_checker *checker; /* owner */
	struct list objects[KIND_COUNT];
	bool keeps_addresses; /* a Gateway keeps an address of its status; set it while empty */
	uint64_t bytes; /* of all objects */
	uint64_t changes; /* how often what a configuration depends on has changed */
	struct store_changes unapplied; /* what of that is not in force yet */
	struct mentions mentions; /* of the last configuration that was made: cluster_texts_make() */
	uint64_t status_changes; /* how often the status of an object has changed */
	struct stored_object **buckets; /* owner */
	uint32_t bucket_count; /* a power of two */
	uint32_t count[KIND_COUNT];
};

/* 0 or -ENOMEM. */
int store_init(struct store *store);
void store_done(struct store *store);
/* True if this is JSON that the functions below may read. */
bool store_can_read(struct store *store, struct span text);
/*
 * Adds or replaces an object that an API server sent. `object` is part of what store_can_read() has
 * accepted. api_version: of the list that it is part of, because items of built-in kinds have none. round:
 * of the current list. 0, -EBADMSG (no name), -EFBIG (LIMIT_CLUSTER_BYTES would be exceeded) or -ENOMEM.
 */
int store_put(struct store *store, enum kind_id kind, struct span api_version, struct span object,
	      uint64_t round);
/* Removes the object with the name and namespace of this one, if it is there. */
void store_remove(struct store *store, enum kind_id kind, struct span object);
/* Removes the objects of a kind that the list `round` did not have. */
void store_sweep(struct store *store, enum kind_id kind, uint64_t round);
/* All objects are in force: the changes that come from now on are counted. */
void store_changes_done(struct store *store);
/* NULL: none. The object lives until the next change of the store. */
const struct stored_object *store_get(const struct store *store, enum kind_id kind, struct span key);
uint64_t store_count(const struct store *store);
