/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/schema.h"

/*
 * The keys of a standalone file by their paths, for readers: `routes[].policies.timeout.requestTimeout`. An
 * index, or [] for any, is allowed behind a list and may be left out; behind `gateways` follows a name, which
 * may be left out, too.
 */
struct policy_entry;

/* What is below a key. At most one of schema and entry_list is set; none: the key has no keys. */
struct key_level {
	const struct schema *schema;
	const void *object; /* with the defaults of the schema, or of the object that its members are in */
	const struct policy_entry *entry_list; /* a map of policies */
	size_t entry_count;
	bool has_names; /* a map with names of its own, and objects of the schema */
};

struct key {
	const struct schema_row *row; /* NULL: a policy of a map of them, or the whole file */
	const void *object; /* with the default of the row */
	const struct policy_entry *entry; /* NULL: not a policy */
	struct key_level below;
};

/*
 * Finds the key; "" is the whole file. 0; -ENOMEM; or -ENOENT with what is wrong and what to write instead in
 * *ret_fault. Memory is from the arena.
 */
int key_find(struct span path, struct arena *arena, struct key *ret, struct text *ret_fault);
/* The name of key `index` of a level, or NULL behind the last one. *ret_refused: it is not supported. */
const char *key_name(const struct key_level *level, size_t index, bool *ret_refused);
/* What is below a row of a level, or below a policy; nothing: empty. 0 or -ENOMEM. */
int key_level_below(const struct key_level *level, const struct schema_row *row, struct arena *arena,
		    struct key_level *ret);
int key_level_of_entry(const struct policy_entry *entry, struct arena *arena, struct key_level *ret);
