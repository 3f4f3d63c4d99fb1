/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/arena.h"

/*
 * Maps host name patterns to small numbers, for listeners and routes. A pattern is a name ("a.example.com"),
 * a wildcard ("*.example.com": one or more labels in front) or everything ("" or "*"). An exact name is more
 * specific than any wildcard, a longer wildcard more than a shorter one, everything is the least specific.
 *
 * The index is built once in an arena and then only read. A look-up walks the name once from its end and
 * probes a table at each dot, so its cost does not depend on the number of hosts. `less` of the result is
 * the next less specific pattern that also matches.
 */
struct host_bucket {
	struct span name; /* borrowed; a wildcard's is without "*." */
	uint64_t hash;
	bool is_wildcard;
	uint32_t index; /* 0, 1, … in the order of adding */
	const struct host_bucket *less; /* NULL: none fits; set by host_index_compile */
};

struct host_index;

/* NULL without memory. At most max_count patterns can be added. */
struct host_index *host_index_create(struct arena *arena, uint32_t max_count);
/*
 * Returns the bucket of a pattern, creates it if it is new; the bytes must live as long as the arena.
 * Ignores case.
 */
struct host_bucket *host_index_add(struct host_index *index, struct span pattern);
void host_index_compile(struct host_index *index);
/*
 * Returns the most specific matching bucket, or NULL. `host` without port, in any case; ignores one trailing
 * dot.
 */
const struct host_bucket *host_index_find(const struct host_index *index, struct span host);
