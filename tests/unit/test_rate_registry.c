/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/alloc.h"
#include "tests/unit/policy_model.h"
#include "policy/guard/guard.h"
#include "user/gateway/rate_registry.h"

#include <errno.h>

static const struct siphash_key secret = { 1, 2 };

static struct rate_rule rules[] = {
	{ .shape = { 10, 1, 10 } },
	{ .shape = { 20, 1, 10 } },
	{ .shape = { 10, 1, 10 } },
	{ .shape = { 10, 1, 10 }, .key_text = { "source.address", 14 } },
};
static const struct local_rate_limit policy = { rules, 4 };
/* The first rule has changed. */
static struct rate_rule changed_rules[] = {
	{ .shape = { 11, 1, 10 } },
	{ .shape = { 20, 1, 10 } },
	{ .shape = { 10, 1, 10 } },
};
static const struct local_rate_limit changed = { changed_rules, 3 };

/* Two routes of one listener with this policy: attached if it has a key, otherwise written in each. */
static void model_with(struct model *m, const struct local_rate_limit *limits, const char *key)
{
	struct listener *listener;

	model_init(m);
	if (m->failed)
		return;
	listener = model_listener(m, model_bind(m, 80), "ns", "gw", "http", "");
	for (int i = 0; i < 2; i++) {
		struct route *route = model_route(m, listener, i ? "b" : "a");
		struct guard_use *use = model_take(m, sizeof(*use));

		if (m->failed)
			return;
		*use = (struct guard_use){ .guard = guard_kind_of(POLICY_LOCAL_RATE_LIMIT),
					   .object = limits,
					   .rule = span_str(key) };
		route->label = route->name;
		route->effective.guards = (struct guard_list){ use, 1 };
	}
}

static struct rate_table *table_of(const struct model *m, uint32_t route, uint32_t rule)
{
	const struct listener *listener = &m->snapshot->bind_list[0].listener_list[0];
	struct rate_table *const *tables = listener->route_list[route].effective.guards.list[0].state;

	return tables[rule];
}

TEST(routes_of_an_attached_policy_share_its_tables_and_rules_of_a_route_are_its_own)
{
	struct rate_registry registry;
	struct model attached, written;

	rate_registry_init(&registry, &secret);
	model_with(&attached, &policy, "default/limits");
	assert_int_equal(rate_registry_attach(&registry, attached.snapshot), 0);
	assert_int_equal(registry.count, 4);
	for (uint32_t i = 0; i < 4; i++)
		assert_ptr_equal(table_of(&attached, 0, i), table_of(&attached, 1, i));
	/* Equal rules of a policy are two, as written. */
	assert_ptr_not_equal(table_of(&attached, 0, 0), table_of(&attached, 0, 2));
	model_with(&written, &policy, "");
	assert_int_equal(rate_registry_attach(&registry, written.snapshot), 0);
	assert_int_equal(registry.count, 12);
	assert_ptr_not_equal(table_of(&written, 0, 0), table_of(&written, 1, 0));
	model_done(&written);
	model_done(&attached);
	rate_registry_done(&registry);
}

TEST(a_reload_keeps_the_tables_of_rules_that_stay_as_they_are)
{
	struct rate_registry registry;
	struct model before, after;
	struct rate_table *second, *third;

	rate_registry_init(&registry, &secret);
	model_with(&before, &policy, "default/limits");
	assert_int_equal(rate_registry_attach(&registry, before.snapshot), 0);
	second = table_of(&before, 0, 1);
	third = table_of(&before, 0, 0);
	model_with(&after, &changed, "default/limits");
	assert_int_equal(rate_registry_attach(&registry, after.snapshot), 0);
	assert_ptr_equal(table_of(&after, 0, 1), second);
	/* Now the first with these members. */
	assert_ptr_equal(table_of(&after, 0, 2), third);
	assert_ptr_not_equal(table_of(&after, 0, 0), third);
	model_done(&before);
	/* The next reload drops what only the old configuration had. */
	model_with(&before, &changed, "default/limits");
	assert_int_equal(rate_registry_attach(&registry, before.snapshot), 0);
	assert_int_equal(registry.count, 3);
	rate_registry_done(&registry);
	/* Tables outlive the registry as long as a snapshot has them. */
	assert_int_equal(rate_table_count(table_of(&after, 0, 1)), 0);
	model_done(&before);
	model_done(&after);
}

static int attach(void *context)
{
	struct rate_registry registry;
	struct model m;
	int error;

	(void)context;
	rate_registry_init(&registry, &secret);
	model_with(&m, &policy, "");
	error = m.failed ? -ENOMEM : rate_registry_attach(&registry, m.snapshot);
	if (m.snapshot)
		model_done(&m);
	else
		config_report_done(&m.report);
	rate_registry_done(&registry);
	return error;
}

TEST(without_memory_nothing_is_left_behind)
{
	assert_true(alloc_fail_each(attach, NULL) > 8);
}
