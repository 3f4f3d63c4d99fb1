/* SPDX-License-Identifier: Apache-2.0 */
#include "user/mcp/session/owners.h"

#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

struct mcp_owner {
	uint32_t target;
	uint32_t len;
	bool is_prompt;
	char name[];
};

/*
 * Targets are chosen by the operator, so the hash is not keyed: a target that causes collisions slows down
 * only its own session, which holds at most LIMIT_MCP_OWNERS names.
 */
static struct mcp_owner **owner_slot(const struct mcp_owners *o, bool is_prompt, struct span name)
{
	uint32_t at = (uint32_t)hash_mix(hash_bytes(name), is_prompt) & (o->size - 1);

	while (o->slots[at]) {
		const struct mcp_owner *owner = o->slots[at];

		if (owner->is_prompt == is_prompt && span_eq(span_of(owner->name, owner->len), name))
			break;
		at = (at + 1) & (o->size - 1);
	}
	return &o->slots[at];
}

void mcp_owners_done(struct mcp_owners *o)
{
	for (uint32_t i = 0; i < o->size; i++)
		hg_free(o->slots[i]);
	hg_free(o->slots);
	*o = (struct mcp_owners){ 0 };
}

/* Moves the entries of another table, except those of target `without`. */
static void owners_move(struct mcp_owners *to, struct mcp_owners *from, uint32_t without)
{
	for (uint32_t i = 0; i < from->size; i++) {
		struct mcp_owner *owner = from->slots[i];

		if (!owner)
			continue;
		if (owner->target == without) {
			hg_free(owner);
			continue;
		}
		*owner_slot(to, owner->is_prompt, span_of(owner->name, owner->len)) = owner;
		to->count++;
	}
	hg_free(from->slots);
}

static bool owners_resize(struct mcp_owners *o, uint32_t size, uint32_t without)
{
	struct mcp_owners larger = { .size = size };

	larger.slots = hg_calloc(size, sizeof(struct mcp_owner *));
	if (!larger.slots)
		return false;
	owners_move(&larger, o, without);
	*o = larger;
	return true;
}

uint32_t mcp_owners_find(const struct mcp_owners *o, bool is_prompt, struct span name)
{
	const struct mcp_owner *owner = o->size ? *owner_slot(o, is_prompt, name) : NULL;

	return owner ? owner->target : UINT32_MAX;
}

uint32_t mcp_owners_learn(struct mcp_owners *o, bool is_prompt, struct span name, uint32_t target)
{
	struct mcp_owner **slot = o->size ? owner_slot(o, is_prompt, name) : NULL;
	struct mcp_owner *owner;

	if (slot && *slot) {
		if (target < (*slot)->target)
			(*slot)->target = target;
		return (*slot)->target;
	}
	if (o->count >= LIMIT_MCP_OWNERS || name.len > LIMIT_MCP_ID_BYTES)
		return target;
	if (o->count * 2 >= o->size && !owners_resize(o, o->size ? o->size * 2 : 16, UINT32_MAX))
		return target;
	owner = hg_malloc(sizeof(*owner) + name.len);
	if (!owner)
		return target;
	*owner = (struct mcp_owner){ .target = target, .len = (uint32_t)name.len, .is_prompt = is_prompt };
	if (name.len)
		memcpy(owner->name, name.data, name.len);
	*owner_slot(o, is_prompt, name) = owner;
	o->count++;
	return target;
}

void mcp_owners_forget(struct mcp_owners *o, uint32_t target)
{
	/* Without memory for a new table, forget everything: names are then looked up again. */
	if (o->size && !owners_resize(o, o->size, target))
		mcp_owners_done(o);
}

size_t mcp_owners_bytes(const struct mcp_owners *o)
{
	return o->size * sizeof(struct mcp_owner *) + o->count * (sizeof(struct mcp_owner) + 32);
}
