/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/host_addresses.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

/* Not for other hosts: RFC 3927, RFC 4291 2.5.6. */
static bool is_local(const struct sockaddr *address)
{
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)address;

		return ntohl(v4->sin_addr.s_addr) >> 16 == 0xa9fe;
	}
	return IN6_IS_ADDR_LINKLOCAL(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static void add(struct host_addresses *all, const struct sockaddr *address)
{
	char *text = all->text[all->count];
	const void *bytes =
		address->sa_family == AF_INET
			? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
			: &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

	if (inet_ntop(address->sa_family, bytes, text, HOST_ADDRESS_BYTES))
		all->list[all->count++] = span_str(text);
}

void host_addresses_read(struct host_addresses *ret)
{
	struct ifaddrs *list = NULL;

	ret->count = 0;
	if (getifaddrs(&list) < 0)
		list = NULL;
	for (const struct ifaddrs *at = list; at && ret->count < HOST_ADDRESSES_MAX; at = at->ifa_next) {
		if (!at->ifa_addr || !(at->ifa_flags & IFF_UP) || at->ifa_flags & IFF_LOOPBACK)
			continue;
		if (at->ifa_addr->sa_family != AF_INET && at->ifa_addr->sa_family != AF_INET6)
			continue;
		if (!is_local(at->ifa_addr))
			add(ret, at->ifa_addr);
	}
	if (list)
		freeifaddrs(list);
	if (ret->count == 0) {
		memcpy(ret->text[0], "127.0.0.1", sizeof("127.0.0.1"));
		ret->list[ret->count++] = span_str(ret->text[0]);
	}
}
