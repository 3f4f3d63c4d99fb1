/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/affinity.h"

#include <errno.h>

#include "user/base/hash.h"
#include "user/stream/facts.h"

static uint32_t needs_of(const struct affinity *affinity)
{
	uint32_t needs = 0;

	for (uint32_t i = 0; i < affinity->key_count; i++)
		needs |= affinity->key_list[i]->needs;
	return needs;
}

/* Values that are absent count as such, so that no two lists of values look alike. */
static int hash_values(struct stream_facts *f, const struct affinity *affinity, uint64_t *ret_hash)
{
	uint64_t hash = 0;
	bool has_value = false;

	for (uint32_t i = 0; i < affinity->key_count; i++) {
		struct span value = { 0 };

		expression_scratch_init(&f->scratch);
		if (expression_text(affinity->key_list[i], &f->facts, &value) == 0 && value.len)
			has_value = true;
		hash = hash_mix(hash + value.len, hash_bytes(value));
	}
	*ret_hash = hash;
	return has_value ? 0 : -ENODATA;
}

int affinity_hash(struct stream *stream, const struct affinity *affinity, uint64_t *ret_hash)
{
	struct stream_facts facts;
	struct arena arena;
	int error;

	arena_init(&arena, 1024);
	error = stream_facts_fill(&facts, stream, needs_of(affinity), &arena);
	if (!error)
		error = hash_values(&facts, affinity, ret_hash);
	arena_done(&arena);
	return error;
}
