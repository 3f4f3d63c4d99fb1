/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/circuit.h"
#include "tests/lib/test.h"
#include "user/base/limits.h"

enum { T = 1000 };

static bool admits(struct circuit *circuit, uint64_t now_ms)
{
	bool is_probe;

	return circuit_admits(circuit, now_ms, &is_probe);
}

TEST(a_service_that_does_not_answer_costs_one_deadline)
{
	struct circuit circuit = { 0 };
	bool is_probe;

	/* Three calls at once, and all fail. */
	for (int i = 0; i < 3; i++) {
		assert_true(circuit_admits(&circuit, T, &is_probe));
		assert_false(is_probe);
	}
	for (int i = 0; i < 3; i++)
		circuit_failed(&circuit, T, false, T + 2000);
	assert_false(admits(&circuit, T + 2000));
	assert_false(admits(&circuit, T + 2000 + LIMIT_CIRCUIT_LEAST_MS - 1));
	/* One call looks again, the others do not wait for it. */
	assert_true(circuit_admits(&circuit, T + 2000 + LIMIT_CIRCUIT_LEAST_MS, &is_probe));
	assert_true(is_probe);
	assert_false(admits(&circuit, T + 9000));
}

TEST(pauses_double_up_to_a_limit)
{
	struct circuit circuit = { 0 };
	uint64_t now_ms = T, expected_ms = LIMIT_CIRCUIT_LEAST_MS;
	bool is_probe;

	for (int i = 0; i < 12; i++) {
		assert_true(circuit_admits(&circuit, now_ms, &is_probe));
		assert_int_equal(is_probe, i > 0);
		circuit_failed(&circuit, now_ms, is_probe, now_ms);
		assert_false(admits(&circuit, now_ms + expected_ms - 1));
		now_ms += expected_ms;
		expected_ms = expected_ms * 2 < LIMIT_CIRCUIT_MS ? expected_ms * 2 : LIMIT_CIRCUIT_MS;
	}
	assert_int_equal(expected_ms, LIMIT_CIRCUIT_MS);
}

TEST(an_answer_closes_it_and_forgets_the_failures)
{
	struct circuit circuit = { 0 };
	bool is_probe;

	circuit_failed(&circuit, T, false, T);
	assert_true(circuit_admits(&circuit, T + LIMIT_CIRCUIT_LEAST_MS, &is_probe));
	circuit_answered(&circuit, T + 300);
	assert_true(admits(&circuit, T + 300));
	circuit_failed(&circuit, T + 400, false, T + 500);
	assert_false(admits(&circuit, T + 500));
	assert_true(admits(&circuit, T + 500 + LIMIT_CIRCUIT_LEAST_MS));
}

TEST(one_slow_call_does_not_open_it_while_others_are_answered)
{
	struct circuit circuit = { 0 };

	circuit_answered(&circuit, T + 1);
	circuit_failed(&circuit, T, false, T + 2000);
	assert_true(admits(&circuit, T + 2000));
	/* But one that began after the last answer does. */
	circuit_failed(&circuit, T + 1, false, T + 2000);
	assert_false(admits(&circuit, T + 2000));
}

TEST(a_probe_whose_client_left_makes_way_for_the_next)
{
	struct circuit circuit = { 0 };
	bool is_probe;

	circuit_failed(&circuit, T, false, T);
	assert_true(circuit_admits(&circuit, T + LIMIT_CIRCUIT_LEAST_MS, &is_probe));
	assert_false(admits(&circuit, T + LIMIT_CIRCUIT_LEAST_MS));
	circuit_cancelled(&circuit, is_probe);
	assert_true(admits(&circuit, T + LIMIT_CIRCUIT_LEAST_MS));
}
