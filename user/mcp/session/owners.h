/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Maps tools and prompts to targets where names have no prefix. Filled from the lists of the targets; if two
 * targets list the same name, the first one of the configuration owns it. Bounded: names that do not fit are
 * looked up each time.
 */
struct mcp_owners {
	struct mcp_owner **slots; /* owner; open addressing */
	uint32_t size;
	uint32_t count;
};

void mcp_owners_done(struct mcp_owners *o);
/*
 * Returns the owner of the name, even if there was no memory to store it. is_prompt: prompts are separate
 * from tools.
 */
uint32_t mcp_owners_learn(struct mcp_owners *o, bool is_prompt, struct span name, uint32_t target);
/* UINT32_MAX: unknown. */
uint32_t mcp_owners_find(const struct mcp_owners *o, bool is_prompt, struct span name);
/* Forgets the names of a target, because its lists have changed. */
void mcp_owners_forget(struct mcp_owners *o, uint32_t target);
size_t mcp_owners_bytes(const struct mcp_owners *o);
