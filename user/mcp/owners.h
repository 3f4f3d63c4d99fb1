/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"

/*
 * Which target a tool or prompt belongs to where names have no prefix. Learned from the lists of the targets;
 * of two targets with the same name the first one of the configuration has it. Bounded: what does not fit is
 * asked for again.
 */
struct mcp_owners {
	struct mcp_owner **slots; /* owner; open addressing */
	uint32_t size;
	uint32_t count;
};

void mcp_owners_done(struct mcp_owners *o);
/* Whose name it is now, whether or not it could be kept. is_prompt: prompts have names of their own. */
uint32_t mcp_owners_learn(struct mcp_owners *o, bool is_prompt, struct span name, uint32_t target);
/* UINT32_MAX: not known. */
uint32_t mcp_owners_find(const struct mcp_owners *o, bool is_prompt, struct span name);
/* The target's lists have changed. */
void mcp_owners_forget(struct mcp_owners *o, uint32_t target);
size_t mcp_owners_bytes(const struct mcp_owners *o);
