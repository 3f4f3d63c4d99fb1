/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include "user/base/check.h"
#include "user/upstream/forward.h"

static bool may_reach(const char *text)
{
	static const struct backend none = { .kind = BACKEND_DYNAMIC };
	struct address address;

	assert_int_equal(address_parse_ip(span_str(text), 80, &address), 0);
	return forward_may_reach(&none, &address);
}

/* Each notation with an address of this host, and with one of another. */
TEST(an_ipv4_address_inside_ipv6_is_judged_in_each_form)
{
	static const struct {
		const char *refused;
		const char *reached;
	} forms[] = {
		{ "127.0.0.1", "192.0.2.1" },
		{ "::127.0.0.1", "::192.0.2.1" },
		{ "::ffff:169.254.169.254", "::ffff:192.0.2.1" },
		{ "::ffff:0:169.254.169.254", "::ffff:0:192.0.2.1" },
		{ "64:ff9b::127.0.0.1", "64:ff9b::192.0.2.1" },
		{ "2002:7f00:1::", "2002:c000:201::" },
		/* Teredo: the server, and the inverted address of the client. */
		{ "2001:0:7f00:1::3fff:fdfe", "2001:0:c000:201::3fff:fdfe" },
		{ "2001:0:c000:201::80ff:fffe", "2001:0:c000:201:8000:63bf:3fff:fdd2" },
	};

	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		assert_false(may_reach(forms[i].refused));
		assert_true(may_reach(forms[i].reached));
	}
	/* Not Teredo, whose prefix has 32 bits. */
	assert_true(may_reach("2001:db8::80ff:fffe"));
}
