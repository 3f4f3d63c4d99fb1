/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"
#include "config/core/values/config_setting.h"
#include "user/base/check.h"
#include "user/base/hash.h"

/*
 * A snapshot under construction. Both styles add binds, attached policies, backends and references while
 * they read; build_finish() then sorts everything by key, reports duplicate keys, numbers the backends and
 * connects references with them.
 */
struct pointer_list {
	void **list; /* owner, heap */
	uint32_t count;
	uint32_t size;
};

/* A growing map from names to objects. Keys are borrowed and must be put only once. */
struct name_entry {
	struct span key;
	void *value;
};

struct name_map {
	struct hash_map *map; /* owner; NULL while empty */
	struct pointer_list entries; /* struct name_entry */
	size_t size;
};

struct builder {
	struct decoder decoder;
	struct snapshot *snapshot; /* borrowed */
	const struct snapshot *previous; /* borrowed; NULL: none */
	const struct config_setting *setting; /* borrowed; never NULL */
	/*
	 * "HTTPRoute app/r" -> struct kept_object of `previous`, to use instead of objects with errors. The
	 * caller's: build_done() leaves it.
	 */
	struct name_map restore;
	bool is_restoring; /* `restore` is in use: everything is decoded for the second time */
	struct pointer_list binds; /* struct bind */
	struct pointer_list policies; /* struct targeted_policy */
	struct pointer_list backends; /* struct backend */
	struct pointer_list refs; /* struct backend_ref, all of them */
	struct pointer_list mirrors; /* struct mirror_policy with a backend */
	struct pointer_list fetches; /* struct fetch_source */
	struct pointer_list callouts; /* struct callout_target */
};

/* The builder of a decoder: decoders exist in builders only. */
static inline struct builder *build_of(struct decoder *d)
{
	return container_of(d, struct builder, decoder);
}

void build_init(struct builder *b, struct snapshot *snapshot, struct config_report *report);
void build_done(struct builder *b);

void build_list_done(struct pointer_list *list);
bool build_push(struct decoder *d, struct pointer_list *list, void *pointer); /* false: no memory */
/* Allocate a zeroed, registered object in the arena. NULL without memory. */
struct bind *build_bind(struct builder *b);
/*
 * Sets the address and the key of a bind whose port is set. `address` NULL: all addresses. Call it after the
 * section `config` has been decoded, which says whether IPv6 is on.
 */
void build_bind_address(struct builder *b, struct bind *bind, const struct address *address);
struct targeted_policy *build_policy(struct builder *b);
struct backend *build_backend(struct builder *b);
bool build_ref(struct builder *b, struct backend_ref *ref);

void *name_map_get(const struct name_map *names, struct span key);
bool name_map_put(struct decoder *d, struct name_map *names, struct span key,
		  void *value); /* false: no memory */
void name_map_done(struct name_map *names);

/* Appends a policy to the list, which has capacity for it (build_values). NULL: the policy was refused. */
void build_value(struct policy_values *values, enum policy_kind kind, const void *object);
/* Reserves capacity for `max` values. */
bool build_values(struct decoder *d, struct policy_values *values, uint32_t max);
/* Returns the object of a kind, or NULL. */
const void *build_value_find(const struct policy_values *values, enum policy_kind kind);

/* Copies the elements of a pointer list into one array in the arena. */
bool build_array(struct decoder *d, const struct pointer_list *list, size_t size_bytes, void *ret_array);

/* Completes the snapshot; sets d->failed without memory. */
void build_finish(struct builder *b);
