/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/keepalive.h"
#include "tests/lib/test.h"
#include "user/base/check.h"

#define MS 1000000ull
#define S 1000000000ull

static const struct {
	struct keepalive_policy policy;
	struct socket_keepalive expected;
} cases[] = {
	{ { true, 30 * S, 5 * S, 3 }, { true, 30, 5, 3, 45000 } },
	{ { true, 180 * S, 180 * S, 9 }, { true, 180, 180, 9, 1800000 } },
	{ { true, 1 * S, 1 * S, 1 }, { true, 1, 1, 1, 2000 } },
	{ { true, 1500 * MS, 1001 * MS, 2 }, { true, 2, 2, 2, 6000 } },
	{ { true, 1, 1, 0 }, { true, 1, 1, 1, 2000 } },
	{ { true, 0, 0, 0 }, { true, 1, 1, 1, 2000 } },
	{ { true, 32767 * S, 32767 * S, 64 }, { true, 32767, 32767, 64, 2129855000 } },
	{ { true, UINT64_MAX, UINT64_MAX, UINT32_MAX }, { true, 32767, 32767, 127, INT_MAX } },
};

static void assert_options(const struct socket_keepalive *found, const struct socket_keepalive *expected)
{
	assert_int_equal(found->is_on, expected->is_on);
	assert_int_equal(found->idle_s, expected->idle_s);
	assert_int_equal(found->interval_s, expected->interval_s);
	assert_int_equal(found->count, expected->count);
	assert_int_equal(found->user_timeout_ms, expected->user_timeout_ms);
}

TEST(policies_become_values_the_kernel_takes)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct socket_keepalive found, plain;

		keepalive_options_of(&cases[i].policy, true, &found);
		keepalive_options_of(&cases[i].policy, false, &plain);
		assert_options(&found, &cases[i].expected);
		found.user_timeout_ms = 0;
		assert_options(&plain, &found);
	}
}

TEST(without_a_policy_or_disabled_the_socket_is_left_alone)
{
	static const struct keepalive_policy disabled = { false, 30 * S, 5 * S, 3 };
	static const struct socket_keepalive off;
	struct socket_keepalive found = { true, 1, 1, 1, 1 };

	keepalive_options_of(NULL, true, &found);
	assert_options(&found, &off);
	found = (struct socket_keepalive){ true, 1, 1, 1, 1 };
	keepalive_options_of(&disabled, true, &found);
	assert_options(&found, &off);
}

TEST(the_kernel_accepts_every_value)
{
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct socket_keepalive options;
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		assert_true(fd >= 0);
		keepalive_options_of(&cases[i].policy, true, &options);
		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &options.idle_s, sizeof(int)), 0);
		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &options.interval_s, sizeof(int)),
				 0);
		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &options.count, sizeof(int)), 0);
		assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &options.user_timeout_ms,
					    sizeof(options.user_timeout_ms)),
				 0);
		close(fd);
	}
}
