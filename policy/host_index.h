/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "user/base/arena.h"

/*
 * Host name patterns to small numbers, for listeners and routes alike. A pattern is a name ("a.example.com"),
 * a wildcard ("*.example.com": one or more labels in front) or everything ("" or "*"). A name's own entry is
 * more specific than any wildcard, a longer wildcard more than a shorter one, everything comes last.
 *
 * The index is built once in an arena and then only read. A look-up walks the name once from its end and
 * probes a table at each dot, so it costs the same however many hosts there are. From its result, `less`
 * leads to the next less specific pattern that also fits.
 */
struct host_bucket {
	struct span name; /* borrowed; of a wildcard without "*." */
	uint64_t hash;
	bool is_wildcard;
	uint32_t index; /* 0, 1, … in the order of adding */
	const struct host_bucket *less; /* NULL: none fits; set by host_index_compile */
};

struct host_index;

/* NULL on no memory. At most max_count patterns can be added. */
struct host_index *host_index_create(struct arena *arena, uint32_t max_count);
/* The bucket of a pattern, made when it is new; the bytes must live as long as the arena. Case is ignored. */
struct host_bucket *host_index_add(struct host_index *index, struct span pattern);
void host_index_compile(struct host_index *index);
/* Most specific bucket that fits, or NULL. `host` without port, in any case; one trailing dot is ignored. */
const struct host_bucket *host_index_find(const struct host_index *index, struct span host);
