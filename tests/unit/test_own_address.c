/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/test.h"

#include <errno.h>

#include "user/net/own_address.h"

static int own(const char *text)
{
	struct address address;

	assert_int_equal(address_parse_ip(span_str(text), 80, &address), 0);
	return own_address_has(&address);
}

TEST(loopback_and_broadcasts_stay_on_this_host_also_mapped_into_ipv6_others_do_not)
{
	assert_int_equal(own("127.0.0.1"), 1);
	assert_int_equal(own("127.9.9.9"), 1);
	assert_int_equal(own("::ffff:127.0.0.1"), 1);
	assert_int_equal(own("255.255.255.255"), 1);
	assert_int_equal(own("192.0.2.1"), 0);
}

TEST(a_unix_socket_has_no_route_and_nothing_is_known)
{
	struct address address;

	assert_int_equal(address_set_unix(&address, SPAN("/tmp/x")), 0);
	assert_int_equal(own_address_has(&address), -EAFNOSUPPORT);
}
