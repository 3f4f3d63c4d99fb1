/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "user/base/limits.h"
#include "user/net/descriptors.h"

/* Whatever the limit: clients leave some to backends, both leave some to the rest. */
TEST(nobody_may_take_the_last_descriptor_of_another)
{
	for (uint64_t limit = 16; limit < 3000000; limit += 1 + limit / 7) {
		for (uint64_t fixed = 0; fixed < 3000; fixed += 500) {
			struct descriptor_plan plan;

			descriptors_plan(limit, fixed, &plan);
			assert_in_range(plan.backends_below, limit / 2, limit - 1);
			assert_true(plan.clients_below <= plan.backends_below);
			assert_in_range(plan.connections, 1, LIMIT_CONNECTIONS);
			if (limit > 2 * fixed + 100)
				assert_true(plan.clients_below < plan.backends_below);
			/* As many clients as are let in, with a backend each. */
			if (limit > 2 * fixed)
				assert_true(fixed + 2 * plan.connections <= plan.backends_below + 2);
		}
	}
}

TEST(one_client_address_gets_an_eighth_or_64_and_never_more_than_half)
{
	for (uint64_t limit = 16; limit < 3000000; limit += 1 + limit / 7) {
		struct descriptor_plan plan;

		descriptors_plan(limit, 100, &plan);
		assert_in_range(plan.connections_of_client, 1, (plan.connections + 1) / 2);
		assert_in_range(plan.requests_of_client, plan.connections_of_client,
				(plan.connections + 1) / 2);
		if (plan.connections >= 8 * 64) {
			assert_int_equal(plan.connections_of_client, plan.connections / 8);
			assert_in_range(plan.requests_of_client, plan.connections / 4 - 1,
					plan.connections / 4);
		} else if (plan.connections >= 4 * 64) {
			assert_int_equal(plan.connections_of_client, 64);
			assert_int_equal(plan.requests_of_client, 128);
		} else if (plan.connections < 2 * 64) {
			assert_int_equal(plan.connections_of_client, (plan.connections + 1) / 2);
		}
	}
}

TEST(more_workers_and_ports_take_more)
{
	assert_true(descriptors_fixed(2, 1) > descriptors_fixed(1, 1));
	assert_true(descriptors_fixed(2, 9) >= descriptors_fixed(2, 1) + 2 * 2 * 8);
}

TEST(the_limit_of_the_process_is_known)
{
	assert_in_range(descriptors_limit(), 16, UINT64_MAX / 2);
}
