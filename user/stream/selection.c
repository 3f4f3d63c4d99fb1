/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/selection.h"

static void swap(struct selection *selection, uint32_t a, uint32_t b)
{
	struct selected kept = selection->list[a];

	selection->list[a] = selection->list[b];
	selection->list[b] = kept;
}

static void sift_up(struct selection *selection, uint32_t at)
{
	while (at && selection->list[(at - 1) / 2].key > selection->list[at].key) {
		swap(selection, (at - 1) / 2, at);
		at = (at - 1) / 2;
	}
}

static void sift_down(struct selection *selection, uint32_t at)
{
	for (;;) {
		uint32_t least = at;

		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++) {
			if (child < selection->count &&
			    selection->list[child].key < selection->list[least].key)
				least = child;
		}
		if (least == at)
			return;
		swap(selection, at, least);
		at = least;
	}
}

void selection_offer(struct selection *selection, uint64_t key, void *object)
{
	if (selection->count < selection->limit) {
		selection->list[selection->count] = (struct selected){ key, object };
		sift_up(selection, selection->count++);
	} else if (selection->count && key > selection->list[0].key) {
		selection->list[0] = (struct selected){ key, object };
		sift_down(selection, 0);
	}
}
