/* SPDX-License-Identifier: Apache-2.0 */

#include "policy/timeout.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define NONE                                                                                                 \
	{                                                                                                    \
		false, 0                                                                                     \
	}
#define OFF                                                                                                  \
	{                                                                                                    \
		true, 0                                                                                      \
	}
#define SET(ns)                                                                                              \
	{                                                                                                    \
		true, (ns)                                                                                   \
	}

static const struct static_config config = { .connect_timeout_ns = 10 };

static const struct {
	const char *what;
	bool has_policy;
	struct timeout_policy policy;
	bool has_http;
	struct opt_duration http;
	bool has_tcp;
	struct opt_duration tcp;
	struct exchange_timeouts expected;
} cases[] = {
	{ "nothing is set", false, { NONE, NONE }, false, NONE, false, NONE, { 0, 0, 10 } },
	{ "the route sets both", true, { SET(1), SET(2) }, false, NONE, false, NONE, { 1, 2, 10 } },
	{ "the route sets one", true, { SET(1), NONE }, false, NONE, false, NONE, { 1, 0, 10 } },
	{ "0s is off", true, { OFF, OFF }, false, NONE, false, NONE, { 0, 0, 10 } },
	{ "the backend sets one", false, { NONE, NONE }, true, SET(3), false, NONE, { 0, 3, 10 } },
	{ "the backend replaces a shorter one",
	  true,
	  { SET(1), SET(2) },
	  true,
	  SET(3),
	  false,
	  NONE,
	  { 1, 3, 10 } },
	{ "the backend replaces a longer one",
	  true,
	  { SET(1), SET(9) },
	  true,
	  SET(3),
	  false,
	  NONE,
	  { 1, 3, 10 } },
	{ "the backend switches it off", true, { SET(1), SET(2) }, true, OFF, false, NONE, { 1, 0, 10 } },
	{ "the backend sets other things", true, { SET(1), SET(2) }, true, NONE, false, NONE, { 1, 2, 10 } },
	{ "the backend has its connect timeout",
	  false,
	  { NONE, NONE },
	  false,
	  NONE,
	  true,
	  SET(4),
	  { 0, 0, 4 } },
	{ "the backend has only keepalives", false, { NONE, NONE }, false, NONE, true, NONE, { 0, 0, 10 } },
	{ "the backend waits forever", false, { NONE, NONE }, false, NONE, true, OFF, { 0, 0, 0 } },
};

TEST(the_timeouts_of_an_exchange_come_from_route_and_backend)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct backend_http http = { .request_timeout = cases[i].http };
		const struct backend_tcp tcp = { .connect_timeout = cases[i].tcp };
		const struct route_policies route = { .timeout =
							      cases[i].has_policy ? &cases[i].policy : NULL };
		const struct backend_ref ref = { .http = cases[i].has_http ? &http : NULL,
						 .tcp = cases[i].has_tcp ? &tcp : NULL };
		struct exchange_timeouts found = { 7, 7, 7 };

		timeout_of_exchange(&config, &route, &ref, &found);
		if (found.request_ns != cases[i].expected.request_ns ||
		    found.per_try_ns != cases[i].expected.per_try_ns ||
		    found.connect_ns != cases[i].expected.connect_ns)
			fail_msg("%s: %lu %lu %lu", cases[i].what, (unsigned long)found.request_ns,
				 (unsigned long)found.per_try_ns, (unsigned long)found.connect_ns);
	}
}

TEST(without_route_or_backend_only_the_connect_timeout_is_known)
{
	struct exchange_timeouts found = { 7, 7, 7 };

	timeout_of_exchange(&config, NULL, NULL, &found);
	assert_int_equal(found.request_ns, 0);
	assert_int_equal(found.per_try_ns, 0);
	assert_int_equal(found.connect_ns, 10);
}
