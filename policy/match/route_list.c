/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/match/route_list.h"

#include "policy/match/route_index.h"

void route_list_add(struct route_list *list, struct route_entry *entry)
{
	if (list->last)
		list->last->next = entry;
	else
		list->first = entry;
	list->last = entry;
	list->count++;
}

/* Removes the head of least rank from the heads and replaces it with its successor in the chain. */
static void head_take(struct route_cursor *cursor)
{
	uint32_t least = 0;

	cursor->at = NULL;
	if (!cursor->head_count)
		return;
	for (uint32_t i = 1; i < cursor->head_count; i++) {
		if (cursor->heads[i]->rank < cursor->heads[least]->rank)
			least = i;
	}
	cursor->at = cursor->heads[least];
	cursor->heads[least] = cursor->at->twin;
	if (!cursor->heads[least])
		cursor->heads[least] = cursor->heads[--cursor->head_count];
}

void route_cursor_start(struct route_cursor *cursor, const struct route_list *list,
			const struct request_head *head, struct regex_budget *budget)
{
	int count = list->index ? route_index_search(list->index, head, cursor->heads, budget) : -1;

	cursor->is_plain = count < 0;
	cursor->head_count = count < 0 ? 0 : (uint32_t)count;
	cursor->at = list->first;
	if (!cursor->is_plain)
		head_take(cursor);
}

void route_cursor_step(struct route_cursor *cursor)
{
	if (cursor->is_plain)
		cursor->at = cursor->at->next;
	else
		head_take(cursor);
}
