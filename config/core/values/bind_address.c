/* SPDX-License-Identifier: Apache-2.0 */
#include "config/core/values/bind_address.h"

static bool is_group(const struct address *address)
{
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
	return IN_MULTICAST(ntohl(address->v4.sin_addr.s_addr)) ||
	       address->v4.sin_addr.s_addr == htonl(INADDR_BROADCAST);
}

const char *bind_address_fault(const struct address *address)
{
	if (is_group(address))
		return "is a multicast or broadcast address";
	if (address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&address->v6.sin6_addr))
		return "is a link-local address, which is unique only with the name of an interface";
	return NULL;
}

bool bind_address_decode(struct decoder *d, const struct yaml_node *node, const char *example,
			 struct address *ret)
{
	const char *wrong;
	struct span text;

	if (!decode_string(d, node, &text))
		return false;
	if (address_parse_ip(text, 0, ret) < 0) {
		config_error(d->report, node,
			     "%s is not an address; write an IP address of this host, as in %s, or remove it "
			     "for all addresses",
			     QUOTE(text), example);
		return false;
	}
	address_unmap(ret);
	wrong = bind_address_fault(ret);
	if (wrong)
		config_error(d->report, node,
			     "%s %s; write another address of this host, as in %s, or remove it for all "
			     "addresses",
			     QUOTE(text), wrong, example);
	return !wrong;
}
