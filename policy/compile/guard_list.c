/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/guard_list.h"

#include <errno.h>

static bool is_used(const struct precedence *precedence, const struct guard_kind *guard,
		    enum guard_phase phase)
{
	return (guard->phases & phase) && precedence_object(precedence, guard->kind);
}

static void join_level(const struct precedence *precedence, enum policy_kind kind,
		       struct authorization_policy *all)
{
	for (uint32_t i = 0; i < precedence->added_count; i++) {
		const struct authorization_policy *policy = precedence->added[i].object;

		if (precedence->added[i].kind != kind || !policy->rule_count)
			continue;
		memcpy(all->rule_list + all->rule_count, policy->rule_list,
		       policy->rule_count * sizeof(*policy->rule_list));
		all->rule_count += policy->rule_count;
		all->needs |= policy->needs;
	}
}

static uint32_t count_rules(const struct precedence *precedence, enum policy_kind kind)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < precedence->added_count; i++)
		if (precedence->added[i].kind == kind)
			count += ((const struct authorization_policy *)precedence->added[i].object)
					 ->rule_count;
	return count;
}

const struct authorization_policy *guard_list_join(const struct precedence *outer,
						   const struct precedence *inner, enum policy_kind kind,
						   struct arena *arena)
{
	struct authorization_policy *all = arena_take(arena, sizeof(*all));
	uint32_t count = count_rules(outer, kind) + (inner ? count_rules(inner, kind) : 0);

	if (!all || !(all->rule_list = arena_take(arena, (count + 1) * sizeof(*all->rule_list))))
		return NULL;
	join_level(outer, kind, all);
	if (inner)
		join_level(inner, kind, all);
	return all;
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
		const void *object = winner->object;

		if (!is_used(precedence, &guard_kinds[i], phase))
			continue;
		if (precedence_adds_up(guard_kinds[i].kind))
			object = guard_list_join(precedence, NULL, guard_kinds[i].kind, arena);
		if (!object)
			return -ENOMEM;
		list[ret_list->count++] = (struct guard_use){
			.guard = &guard_kinds[i],
			.object = object,
			.rule = winner->attachment ? winner->attachment->policy->key : (struct span){ 0 },
		};
	}
	ret_list->list = list;
	return 0;
}
