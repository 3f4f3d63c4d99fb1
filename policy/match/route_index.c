/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/route_index.h"

#include <errno.h>
#include <stdlib.h>

#include "config/snapshot.h"
#include "policy/match/match_value.h"
#include "policy/match/regex_union.h"
#include "user/base/hash.h"
#include "user/base/mem.h"

enum {
	ENTRIES_MIN = 16, /* fewer are as fast to try in turn */
	PATTERNS_MIN = 8,
};

struct chain {
	struct route_entry *first, *last;
};

struct value_slot {
	uint64_t hash; /* of facet and value; values with equal hashes share a chain */
	struct chain chain; /* empty: the slot is free */
};

struct pattern_slot {
	struct match_regex *regex;
	struct chain chain;
};

struct facet {
	enum match_subject subject;
	struct span name;
	uint32_t weight; /* number of distinct values and patterns */
	uint32_t pattern_count;
	size_t longest; /* of the exact values */
	bool has_exact;
	struct pattern_slot *patterns; /* by address of the expression; NULL: no automaton */
	struct regex_union *many;
};

struct route_index {
	uint32_t facet_count;
	struct facet facets[LIMIT_ROUTE_FACETS];
	struct chain rest;
	uint64_t mask;
	struct value_slot *slots;
};

/* One condition of an entry on a request. */
struct condition {
	enum match_subject subject;
	struct span name;
	struct span value; /* exact */
	struct match_regex *regex; /* or NULL */
};

/* ---- conditions */

static bool text_condition(enum match_subject subject, const struct text_match *match,
			   struct condition *ret_condition)
{
	*ret_condition = (struct condition){ .subject = subject, .name = match->name };
	if (match->kind == TEXT_REGEX) {
		ret_condition->regex = match->regex;
		return match->regex != NULL;
	}
	ret_condition->value = match->value;
	return match->value.len <= LIMIT_MATCH_VALUE_BYTES; /* longer ones may give up */
}

static uint32_t condition_count(const struct route_match *match)
{
	return 2 + match->header_count + match->query_count;
}

/* Returns the i-th condition of a match; false: it cannot be indexed. */
static bool condition_at(const struct route_match *match, uint32_t i, struct condition *ret_condition)
{
	if (i == 0) {
		*ret_condition = (struct condition){ .subject = MATCH_METHOD, .value = match->method };
		return match->method.len > 0;
	}
	if (i == 1) {
		*ret_condition = (struct condition){ .subject = MATCH_PATH, .regex = match->path_regex };
		return match->path_kind == PATH_REGEX && match->path_regex;
	}
	i -= 2;
	if (i < match->header_count)
		return text_condition(MATCH_HEADER, &match->header_list[i], ret_condition);
	return text_condition(MATCH_QUERY, &match->query_list[i - match->header_count], ret_condition);
}

/* Ignores case: host values have none, and other values only share a chain. */
static uint64_t value_hash(uint32_t facet, struct span value)
{
	uint64_t hash = hash_mix(facet, 0);

	for (size_t i = 0; i < value.len; i++)
		hash = (hash ^ ((unsigned char)value.data[i] | 0x20)) * 0x100000001b3u;
	return hash_mix(hash, value.len);
}

static struct value_slot *slot_of(const struct route_index *index, uint64_t hash)
{
	uint64_t at = hash & index->mask;

	while (index->slots[at].chain.first && index->slots[at].hash != hash)
		at = (at + 1) & index->mask;
	return &index->slots[at];
}

/* ---- facets */

/* A condition, reduced to what must be counted. */
struct tally {
	uint64_t facet;
	uint64_t value;
	struct condition condition;
};

struct tallies {
	struct tally *list; /* owner */
	size_t count;
};

static int tally_compare(const void *left, const void *right)
{
	const struct tally *a = left, *b = right;

	if (a->facet != b->facet)
		return a->facet < b->facet ? -1 : 1;
	if (!a->condition.regex != !b->condition.regex)
		return a->condition.regex ? 1 : -1;
	return (a->value > b->value) - (a->value < b->value);
}

static bool tally_is_same(const struct tally *a, const struct tally *b)
{
	return tally_compare(a, b) == 0;
}

static int tallies_take(struct tallies *tallies, const struct route_list *list)
{
	struct condition condition;
	size_t room = 0;
	struct tally *tally;

	for (const struct route_entry *e = list->first; e; e = e->next) {
		for (uint32_t i = 0; i < condition_count(e->match); i++)
			room += condition_at(e->match, i, &condition);
	}
	*tallies = (struct tallies){ .list = hg_calloc(room ? room : 1, sizeof(*tally)) };
	if (!tallies->list)
		return -ENOMEM;
	for (const struct route_entry *e = list->first; e; e = e->next) {
		for (uint32_t i = 0; i < condition_count(e->match); i++) {
			if (!condition_at(e->match, i, &condition))
				continue;
			tally = &tallies->list[tallies->count];
			tally->condition = condition;
			tally->facet = hash_mix(hash_bytes(tally->condition.name), tally->condition.subject);
			tally->value = tally->condition.regex ? (uintptr_t)tally->condition.regex
							      : value_hash(0, tally->condition.value);
			tallies->count++;
		}
	}
	qsort(tallies->list, tallies->count, sizeof(*tallies->list), tally_compare);
	return 0;
}

/* Adds the facet, or replaces the one with the fewest values if the new one has more. */
static void facet_keep(struct route_index *index, const struct facet *facet)
{
	struct facet *least = index->facets;

	if (index->facet_count < LIMIT_ROUTE_FACETS) {
		index->facets[index->facet_count++] = *facet;
		return;
	}
	for (uint32_t i = 1; i < LIMIT_ROUTE_FACETS; i++) {
		if (index->facets[i].weight < least->weight)
			least = &index->facets[i];
	}
	if (facet->weight > least->weight)
		*least = *facet;
}

static int patterns_build(struct facet *facet, const struct tally *first, struct snapshot *snapshot,
			  size_t *union_bytes_left)
{
	struct match_regex **list = hg_calloc(facet->pattern_count, sizeof(*list));
	int result = -ENOMEM;

	facet->patterns = arena_take(snapshot->arena, facet->pattern_count * sizeof(*facet->patterns));
	if (list && facet->patterns) {
		for (uint32_t i = 0; i < facet->pattern_count; first++) {
			if (i > 0 && list[i - 1] == first->condition.regex)
				continue;
			list[i] = first->condition.regex;
			facet->patterns[i++].regex = first->condition.regex;
		}
		result = regex_union_create(list, facet->pattern_count, union_bytes_left, &facet->many);
	}
	hg_free(list);
	if (result == 0) {
		result = snapshot_add_destructor(snapshot, regex_union_free, facet->many);
		if (result < 0)
			regex_union_free(facet->many);
	} else {
		facet->patterns = NULL;
		facet->pattern_count = 0;
	}
	return result == -E2BIG ? 0 : result;
}

/* Measures the facet of the tallies that start at `start`. */
static size_t facet_measure(const struct tallies *tallies, size_t start, struct facet *ret_facet)
{
	const struct tally *first = &tallies->list[start];
	size_t i = start;

	*ret_facet = (struct facet){ .subject = first->condition.subject, .name = first->condition.name };
	for (; i < tallies->count && tallies->list[i].facet == first->facet; i++) {
		const struct tally *tally = &tallies->list[i];
		bool is_new = i == start || !tally_is_same(tally, tally - 1);

		ret_facet->weight += is_new;
		ret_facet->pattern_count += is_new && tally->condition.regex;
		if (!tally->condition.regex) {
			ret_facet->has_exact = true;
			if (tally->condition.value.len > ret_facet->longest)
				ret_facet->longest = tally->condition.value.len;
		}
	}
	return i;
}

static bool facet_is(const struct facet *facet, const struct condition *condition)
{
	return facet->subject == condition->subject && span_eq(facet->name, condition->name);
}

static int facets_choose(struct route_index *index, const struct tallies *tallies, struct snapshot *snapshot,
			 size_t *union_bytes_left)
{
	int result = 0;

	for (size_t i = 0; i < tallies->count;) {
		struct facet facet;

		i = facet_measure(tallies, i, &facet);
		facet_keep(index, &facet);
	}
	for (size_t i = 0; i < tallies->count && result == 0; i++) {
		const struct condition *condition = &tallies->list[i].condition;

		for (uint32_t f = 0; condition->regex && f < index->facet_count && result == 0; f++) {
			struct facet *facet = &index->facets[f];

			if (facet_is(facet, condition) && !facet->patterns &&
			    facet->pattern_count >= PATTERNS_MIN)
				result = patterns_build(facet, &tallies->list[i], snapshot, union_bytes_left);
		}
	}
	return result;
}

/* ---- chains */

static void chain_add(struct chain *chain, struct route_entry *entry)
{
	if (chain->last)
		chain->last->twin = entry;
	else
		chain->first = entry;
	chain->last = entry;
}

static int pattern_compare(const void *key, const void *element)
{
	const struct pattern_slot *slot = element;
	uintptr_t a = (uintptr_t)key, b = (uintptr_t)slot->regex;

	return (a > b) - (a < b);
}

static struct chain *chain_of(struct route_index *index, uint32_t f, const struct condition *condition)
{
	const struct facet *facet = &index->facets[f];
	struct value_slot *slot;
	uint64_t hash;

	if (condition->regex) {
		struct pattern_slot *pattern =
			bsearch(condition->regex, facet->patterns, facet->pattern_count, sizeof(*pattern),
				pattern_compare);

		return &pattern->chain;
	}
	hash = value_hash(f, condition->value);
	slot = slot_of(index, hash);
	slot->hash = hash;
	return &slot->chain;
}

/* The chain of an entry: at its condition in the facet with most values; an exact value before a pattern. */
static struct chain *entry_chain(struct route_index *index, const struct route_entry *entry)
{
	struct condition condition, best = { 0 };
	uint32_t best_facet = 0, best_weight = 0;

	for (uint32_t i = 0; i < condition_count(entry->match); i++) {
		if (!condition_at(entry->match, i, &condition))
			continue;
		for (uint32_t f = 0; f < index->facet_count; f++) {
			const struct facet *facet = &index->facets[f];

			if (!facet_is(facet, &condition) || (condition.regex && !facet->patterns))
				continue;
			if (facet->weight > best_weight ||
			    (facet->weight == best_weight && best.regex && !condition.regex)) {
				best = condition;
				best_facet = f;
				best_weight = facet->weight;
			}
		}
	}
	return best_weight ? chain_of(index, best_facet, &best) : &index->rest;
}

static int chains_build(struct route_index *index, struct route_list *list, struct arena *arena)
{
	uint64_t size = 8;

	while (size < 2 * (uint64_t)list->count)
		size *= 2;
	index->mask = size - 1;
	index->slots = arena_take(arena, size * sizeof(*index->slots));
	if (!index->slots)
		return -ENOMEM;
	for (struct route_entry *e = list->first; e; e = e->next)
		chain_add(entry_chain(index, e), e);
	list->index = index;
	return 0;
}

int route_index_build(struct route_list *list, struct snapshot *snapshot, size_t *union_bytes_left)
{
	struct tallies tallies;
	struct route_index *index;
	int result;

	if (list->count < ENTRIES_MIN)
		return 0;
	result = tallies_take(&tallies, list);
	if (result == 0 && tallies.count) {
		index = arena_take(snapshot->arena, sizeof(*index));
		result = index ? facets_choose(index, &tallies, snapshot, union_bytes_left) : -ENOMEM;
		if (result == 0)
			result = chains_build(index, list, snapshot->arena);
	}
	hg_free(tallies.list);
	return result;
}

/* ---- searching */

static uint32_t head_add(const struct route_entry **heads, uint32_t count, const struct chain *chain)
{
	if (chain->first)
		heads[count++] = chain->first;
	return count;
}

/* Appends the chain heads of one facet after the first `count`; negative: no result. */
static int facet_search(const struct route_index *index, uint32_t f, const struct request_head *head,
			const struct route_entry **heads, uint32_t count, struct regex_budget *budget)
{
	const struct facet *facet = &index->facets[f];
	uint32_t fits[LIMIT_ROUTE_FITS];
	struct match_room room;
	struct span value;
	int fit_count;

	switch (match_value_find(facet->subject, facet->name, head, &room, &value)) {
	case MATCH_NO:
		return (int)count;
	case MATCH_GAVE_UP:
		return facet->many ? -E2BIG : (int)count; /* exact values are shorter */
	case MATCH_YES:
		break;
	}
	if (facet->has_exact && value.len <= facet->longest)
		count = head_add(heads, count, &slot_of(index, value_hash(f, value))->chain);
	if (!facet->patterns)
		return (int)count;
	fit_count = regex_union_run(facet->many, value, fits, budget);
	if (fit_count < 0 || count + (uint32_t)fit_count >= ROUTE_HEADS)
		return -E2BIG;
	for (int i = 0; i < fit_count; i++)
		count = head_add(heads, count, &facet->patterns[fits[i]].chain);
	return (int)count;
}

int route_index_search(const struct route_index *index, const struct request_head *head,
		       const struct route_entry **heads, struct regex_budget *budget)
{
	int count = (int)head_add(heads, 0, &index->rest);

	for (uint32_t f = 0; f < index->facet_count && count >= 0; f++)
		count = facet_search(index, f, head, heads, (uint32_t)count, budget);
	return count;
}
