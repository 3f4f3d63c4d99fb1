/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Keeps the objects with the largest keys of many, in a heap: memory does not grow with their number. */
enum { SELECTION_MAX = 256 };

struct selection {
	uint32_t limit; /* at most SELECTION_MAX */
	uint32_t count;
	struct selected {
		uint64_t key;
		void *object; /* borrowed */
	} list[SELECTION_MAX]; /* a heap: the least key is first */
};

/* Of equal keys the one that was offered first is kept. */
void selection_offer(struct selection *selection, uint64_t key, void *object);
