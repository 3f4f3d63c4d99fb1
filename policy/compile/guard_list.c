/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/guard_list.h"

#include <errno.h>

static bool is_used(const struct precedence *precedence, const struct guard_kind *guard,
		    enum guard_phase phase)
{
	return (guard->phases & phase) && precedence_object(precedence, guard->kind);
}

int guard_list_build(const struct precedence *precedence, enum guard_phase phase, struct arena *arena,
		     struct guard_list *ret_list)
{
	struct guard_use *list;
	uint32_t count = 0;

	*ret_list = (struct guard_list){ 0 };
	for (size_t i = 0; i < GUARD_COUNT; i++)
		count += is_used(precedence, &guard_kinds[i], phase);
	if (count == 0)
		return 0;
	list = arena_take(arena, count * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < GUARD_COUNT; i++) {
		const struct precedence_winner *winner = &precedence->of[guard_kinds[i].kind];

		if (is_used(precedence, &guard_kinds[i], phase))
			list[ret_list->count++] = (struct guard_use){
				.guard = &guard_kinds[i],
				.object = winner->object,
				.rule = winner->attachment ? winner->attachment->policy->key
							   : (struct span){ 0 },
			};
	}
	ret_list->list = list;
	return 0;
}
