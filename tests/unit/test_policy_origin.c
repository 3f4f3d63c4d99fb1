/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/origin.h"
#include "tests/lib/test.h"
#include "tests/unit/policy_fixture.h"

static const enum place places[] = { AT_GATEWAY, AT_GATEWAY_PORT, AT_LISTENER, AT_ROUTE, AT_RULE, IN_RULE };

static const struct timeout_policy timeouts[] = {
	{ .request = { true, 1 } },
	{ .request = { true, 2 } },
	{ .backend_request = { true, 3 } },
};

static void origins_of(const struct fixture *f, struct policy_origins *ret)
{
	policy_origins_of(f->model.snapshot, f->bind, f->listener, f->route, ret);
}

TEST(the_winner_is_what_the_route_uses_and_the_other_loses_at_every_pair_of_levels)
{
	static struct policy_origins origins;

	for (size_t weak = 0; weak < ARRAY_LEN(places); weak++) {
		for (size_t strong = weak + 1; strong < ARRAY_LEN(places); strong++) {
			struct fixture f;

			fixture_init(&f);
			fixture_put(&f, places[weak], POLICY_TIMEOUT, &timeouts[0], "weak");
			fixture_put(&f, places[strong], POLICY_TIMEOUT, &timeouts[1], "strong");
			fixture_compile(&f);
			origins_of(&f, &origins);
			assert_int_equal(origins.count, 2);
			assert_true(origins.list[0].wins);
			assert_ptr_equal(origins.list[0].object, f.route->effective.timeout);
			assert_ptr_equal(origins.list[0].object, &timeouts[1]);
			assert_false(origins.list[1].wins);
			assert_true(span_eq(origins.list[1].policy->key, SPAN("weak")));
			fixture_done(&f);
		}
	}
}

TEST(of_two_at_one_level_the_loser_names_the_other)
{
	static struct policy_origins origins;
	static const struct retry_policy retries[] = { { .attempts = 1 }, { .attempts = 2 } };
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_ROUTE, POLICY_RETRY, &retries[0], "a");
	fixture_put(&f, AT_ROUTE, POLICY_RETRY, &retries[1], "b");
	fixture_compile(&f);
	origins_of(&f, &origins);
	assert_int_equal(origins.count, 2);
	assert_true(origins.list[0].wins);
	assert_ptr_equal(origins.list[0].object, f.route->effective.retry);
	assert_false(origins.list[1].wins);
	assert_true(span_eq(origins.list[1].policy->lost_to, origins.list[0].policy->key));
	fixture_done(&f);
}

TEST(both_win_if_their_members_are_merged)
{
	static struct policy_origins origins;
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_ROUTE, POLICY_TIMEOUT, &timeouts[0], "a");
	fixture_put(&f, AT_ROUTE, POLICY_TIMEOUT, &timeouts[2], "b");
	fixture_compile(&f);
	origins_of(&f, &origins);
	assert_int_equal(origins.count, 2);
	assert_true(origins.list[0].wins && origins.list[1].wins);
	fixture_done(&f);
}

TEST(policies_of_other_objects_and_kinds_are_left_out)
{
	static struct policy_origins origins;
	static const struct frontend_http http;
	static const struct backend_http backend;
	struct fixture f;

	fixture_init(&f);
	fixture_put(&f, AT_GATEWAY, POLICY_FRONTEND_HTTP, &http, "http");
	fixture_put(&f, AT_SERVICE, POLICY_BACKEND_HTTP, &backend, "backend");
	model_policy(&f.model, "other", POLICY_TIMEOUT, &timeouts[0],
		     target_of(TARGET_ROUTE, "app", "other", ""));
	fixture_compile(&f);
	origins_of(&f, &origins);
	assert_int_equal(origins.count, 0);
	fixture_done(&f);
}

TEST(more_than_the_list_has_room_for_is_said)
{
	static struct policy_origins origins;
	static const struct mirror_policy mirror;
	static struct policy_value values[POLICY_ORIGINS + 1];
	struct fixture f;

	fixture_init(&f);
	fixture_compile(&f);
	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		values[i] = (struct policy_value){ POLICY_MIRROR, &mirror };
	f.route->inline_policies = (struct policy_values){ values, ARRAY_LEN(values) };
	origins_of(&f, &origins);
	assert_int_equal(origins.count, POLICY_ORIGINS);
	assert_true(origins.is_cut);
	assert_true(origins.list[POLICY_ORIGINS - 1].wins);
	fixture_done(&f);
}
