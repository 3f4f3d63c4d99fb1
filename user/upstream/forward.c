/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/forward.h"

#include <arpa/inet.h>

#include "user/base/check.h"

bool forward_is_allowed(const struct backend *backend, const struct address *address)
{
	struct address plain = *address;

	address_unmap(&plain);
	for (uint32_t i = 0; i < backend->allowed_count; i++) {
		const struct cidr *allowed = &backend->allowed_list[i];

		if (address_in(&plain, &allowed->network, allowed->prefix_bits))
			return true;
	}
	return false;
}

static bool is_special_v4(uint32_t ip)
{
	static const struct {
		uint32_t network;
		uint32_t mask;
	} rows[] = {
		{ 0x00000000, 0xff000000 }, /* 0.0.0.0/8: connects to this host */
		{ 0x7f000000, 0xff000000 }, /* 127.0.0.0/8 */
		{ 0xa9fe0000, 0xffff0000 }, /* 169.254.0.0/16 */
		{ 0xe0000000, 0xe0000000 }, /* 224.0.0.0/3: groups, reserved, broadcast */
		{ 0x646464c8, 0xffffffff }, /* 100.100.100.200: Alibaba Cloud */
		{ 0xa83f8110, 0xffffffff }, /* 168.63.129.16: Azure */
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if ((ip & rows[i].mask) == rows[i].network)
			return true;
	return false;
}

static uint32_t v4_at(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static bool is_special_v6(const uint8_t *bytes)
{
	static const uint8_t zero[12];
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	static const uint8_t translated[12] = { [8] = 0xff, [9] = 0xff };
	static const uint8_t teredo[4] = { 0x20, 0x01 };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
	static const uint8_t nat64_local[6] = { 0x00, 0x64, 0xff, 0x9b, 0x00, 0x01 };
	static const uint8_t metadata[16] = { 0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54 };

	/* :: and ::1 are in the range of compatible addresses; 0.0.0.0/8 there covers both. */
	if (memcmp(bytes, zero, 12) == 0 || memcmp(bytes, mapped, 12) == 0 ||
	    memcmp(bytes, translated, 12) == 0 || memcmp(bytes, nat64, 12) == 0)
		return is_special_v4(v4_at(bytes + 12));
	/* RFC 4380 4: a packet goes to the server or to the client, whose address is inverted. */
	if (memcmp(bytes, teredo, sizeof(teredo)) == 0)
		return is_special_v4(v4_at(bytes + 4)) || is_special_v4(~v4_at(bytes + 12));
	if (bytes[0] == 0x20 && bytes[1] == 0x02)
		return is_special_v4(v4_at(bytes + 2));
	return (bytes[0] == 0xfe && bytes[1] >= 0x80) || /* fe80::/10, and fec0::/10 of old */
	       bytes[0] == 0xff || memcmp(bytes, nat64_local, sizeof(nat64_local)) == 0 ||
	       memcmp(bytes, metadata, sizeof(metadata)) == 0;
}

bool forward_may_reach(const struct backend *backend, const struct address *address)
{
	if (forward_is_allowed(backend, address))
		return true;
	switch (address->any.sa_family) {
	case AF_INET:
		return !is_special_v4(ntohl(address->v4.sin_addr.s_addr));
	case AF_INET6:
		return !is_special_v6(address->v6.sin6_addr.s6_addr);
	default:
		return false;
	}
}
