/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/expression/expression_ip.h"

#include <arpa/inet.h>

#include "user/base/text.h"

static const struct expression_value no_value = { .type = EXPRESSION_NONE };
static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
#define MAPPED_BITS 96

static bool is_v4(const uint8_t address[16])
{
	return memcmp(address, mapped, sizeof(mapped)) == 0;
}

struct expression_value expression_ip(const struct address *address)
{
	struct expression_value ip = { .type = EXPRESSION_ADDRESS };

	if (!address || address->len == 0)
		return no_value;
	if (address->any.sa_family == AF_INET) {
		memcpy(ip.address, mapped, sizeof(mapped));
		memcpy(ip.address + sizeof(mapped), &address->v4.sin_addr, 4);
	} else if (address->any.sa_family == AF_INET6) {
		memcpy(ip.address, &address->v6.sin6_addr, 16);
	} else {
		return no_value;
	}
	return ip;
}

struct expression_value expression_ip_parse(struct span text)
{
	struct address address;

	return address_parse_ip(text, 0, &address) == 0 ? expression_ip(&address) : no_value;
}

/* Clears all bits behind the prefix. */
static void mask(uint8_t address[16], uint32_t bits)
{
	for (uint32_t i = 0; i < 16; i++) {
		uint32_t kept = bits > 8 * i ? bits - 8 * i : 0;

		if (kept < 8)
			address[i] &= (uint8_t)(0xff00 >> kept);
	}
}

static struct expression_value network(struct expression_value ip, uint32_t bits)
{
	struct expression_value value = { .type = EXPRESSION_NETWORK, .count = bits };

	memcpy(value.address, ip.address, sizeof(value.address));
	mask(value.address, bits);
	return value;
}

struct expression_value expression_network_parse(struct span text)
{
	ptrdiff_t slash = span_find(text, '/');
	struct span host = slash < 0 ? text : span_first(text, (size_t)slash);
	struct expression_value ip = expression_ip_parse(host);
	/* "::ffff:10.0.0.0/104" has its bits as an IPv6 network. */
	bool is_v4_text = span_find(host, ':') < 0;
	uint64_t bits = is_v4_text ? 32 : 128;

	if (ip.type == EXPRESSION_NONE)
		return no_value;
	if (slash >= 0 && (span_parse_u63(span_from(text, (size_t)slash + 1), &bits) != 0 ||
			   bits > (is_v4_text ? 32 : 128)))
		return no_value;
	return network(ip, (uint32_t)bits + (is_v4_text ? MAPPED_BITS : 0));
}

struct expression_value expression_network_of(struct expression_value ip, int64_t bits)
{
	if (bits < 0 || bits > 128)
		return no_value;
	return network(ip, is_v4(ip.address) ? 128 : (uint32_t)bits);
}

bool expression_network_has(struct expression_value value, struct expression_value ip)
{
	/* A short IPv6 prefix such as ::/0 has no IPv4 address. */
	if (value.count < MAPPED_BITS && is_v4(ip.address))
		return false;
	mask(ip.address, value.count);
	return memcmp(ip.address, value.address, sizeof(ip.address)) == 0;
}

bool expression_ip_eq(struct expression_value a, struct expression_value b)
{
	return a.count == b.count && memcmp(a.address, b.address, sizeof(a.address)) == 0;
}

size_t expression_ip_format(struct expression_value ip, char out[EXPRESSION_IP_BYTES])
{
	bool is_short = is_v4(ip.address) && (ip.type == EXPRESSION_ADDRESS || ip.count >= MAPPED_BITS);
	size_t len;

	if (!inet_ntop(is_short ? AF_INET : AF_INET6, ip.address + (is_short ? sizeof(mapped) : 0), out,
		       EXPRESSION_IP_BYTES))
		return 0;
	len = strlen(out);
	if (ip.type == EXPRESSION_NETWORK) {
		out[len++] = '/';
		len += text_u64(out + len, ip.count - (is_short ? MAPPED_BITS : 0));
	}
	return len;
}
