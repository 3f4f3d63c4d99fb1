/* SPDX-License-Identifier: Apache-2.0 */
#include "user/cluster/mentions.h"

#include <string.h>

#include "config/load.h"
#include "user/base/hash.h"
#include "user/base/mem.h"
#include "user/cluster/store.h"

enum { BITS = 1 << 20, WORD_BITS = 64 };

static bool is_filtered(enum kind_id kind)
{
	return kind == KIND_SERVICE || kind == KIND_ENDPOINT_SLICE || kind == KIND_SECRET ||
	       kind == KIND_CONFIG_MAP;
}

static uint64_t *word_of(const struct mentions *mentions, struct span text, uint64_t *ret_bit)
{
	uint64_t at = hash_mix(hash_bytes(text), 0) % BITS;

	*ret_bit = (uint64_t)1 << (at % WORD_BITS);
	return &mentions->bits[at / WORD_BITS];
}

/* Where the string ends whose first byte this is; names of Kubernetes have no escapes in them. */
static size_t string_end(struct span json, size_t at)
{
	while (at < json.len && json.data[at] != '"')
		at += json.data[at] == '\\' ? 2 : 1;
	return at < json.len ? at : json.len;
}

/* Keys as well. */
static void add_strings(struct mentions *mentions, struct span json)
{
	for (size_t at = 0; at < json.len; at++) {
		size_t begin = at + 1;
		uint64_t bit;

		if (json.data[at] != '"')
			continue;
		at = string_end(json, begin);
		*word_of(mentions, span_of(json.data + begin, at - begin), &bit) |= bit;
	}
}

static void add_object(struct mentions *mentions, enum kind_id kind, struct span text)
{
	if (is_filtered(kind))
		return;
	add_strings(mentions, text);
	/* secretSelector, targetSelectors, selector */
	if ((kind == KIND_POLICY || kind == KIND_BACKEND) &&
	    memmem(text.data, text.len, "elector", strlen("elector")))
		mentions->has_selector = true;
}

/* label: "HTTPRoute app/r". KIND_COUNT: none of these. */
static enum kind_id kind_of(struct span label)
{
	struct span name = { 0 };
	unsigned kind = 0;

	span_split(&label, ' ', &name);
	while (kind < KIND_COUNT && !span_eq(name, span_str(kind_list[kind].name)))
		kind++;
	return (enum kind_id)kind;
}

void mentions_update(struct mentions *mentions, const struct store *store, const struct snapshot *previous)
{
	const struct kept_object *kept = previous ? previous->kept_list : NULL;

	mentions_done(mentions);
	*mentions = (struct mentions){ .bits = hg_calloc(BITS / WORD_BITS, sizeof(uint64_t)) };
	for (unsigned kind = 0; kind < KIND_COUNT && mentions->bits; kind++) {
		list_each(node, next, &store->objects[kind])
			add_object(mentions, (enum kind_id)kind,
				   list_entry(node, struct stored_object, node)->text);
	}
	for (; kept && mentions->bits; kept = kept->next)
		add_object(mentions, kind_of(kept->label), kept->text);
}

void mentions_done(struct mentions *mentions)
{
	hg_free(mentions->bits);
	mentions->bits = NULL;
}

bool mentions_need(const struct mentions *mentions, const struct stored_object *object)
{
	struct span name = object->kind == KIND_ENDPOINT_SLICE ? object->service : object->key;
	ptrdiff_t slash = span_find(name, '/');
	uint64_t bit;

	if (!mentions->bits || !is_filtered(object->kind))
		return true;
	if (!name.len)
		return false; /* a slice of no Service */
	if (mentions->has_selector && memmem(object->text.data, object->text.len, "\"labels\"", 8))
		return true;
	return *word_of(mentions, span_from(name, (size_t)(slash + 1)), &bit) & bit;
}
