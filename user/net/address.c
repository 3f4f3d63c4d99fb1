/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stddef.h>

#include "user/base/hash.h"

enum {
	UNIX_PATH_BYTES = sizeof(((struct sockaddr_un *)NULL)->sun_path),
	UNIX_PATH_START = offsetof(struct sockaddr_un, sun_path),
	MAPPED_BITS = 96, /* ::ffff:0:0/96, RFC 4291 2.5.5.2 */
};

static void address_set_v4(struct address *a, struct in_addr host, uint16_t port)
{
	*a = (struct address){ .len = sizeof(a->v4) };
	a->v4.sin_family = AF_INET;
	a->v4.sin_port = htons(port);
	a->v4.sin_addr = host;
}

static void address_set_v6(struct address *a, const struct in6_addr *host, uint16_t port)
{
	*a = (struct address){ .len = sizeof(a->v6) };
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(port);
	a->v6.sin6_addr = *host;
}

int address_parse_ip(struct span s, uint16_t port, struct address *ret_address)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr v6;
	struct in_addr v4;

	if (s.len == 0 || s.len >= sizeof(text) || span_find(s, '\0') >= 0)
		return -EINVAL;
	memcpy(text, s.data, s.len);
	text[s.len] = '\0';
	if (inet_pton(AF_INET, text, &v4) == 1)
		address_set_v4(ret_address, v4, port);
	else if (inet_pton(AF_INET6, text, &v6) == 1)
		address_set_v6(ret_address, &v6, port);
	else
		return -EINVAL;
	return 0;
}

static int parse_port(struct span s, uint16_t *ret_port)
{
	uint64_t value;

	if (s.len > 5 || span_parse_u63(s, &value) != 0 || value > UINT16_MAX)
		return -EINVAL;
	*ret_port = (uint16_t)value;
	return 0;
}

int address_parse(struct span s, struct address *ret_address)
{
	bool is_bracketed = span_starts(s, SPAN("["));
	ptrdiff_t colon;
	struct span host;
	uint16_t port;

	if (span_starts(s, SPAN("unix:")))
		return address_set_unix(ret_address, span_from(s, 5));
	colon = span_find(s, is_bracketed ? ']' : ':');
	if (colon < 0)
		return -EINVAL;
	host = span_first(s, (size_t)colon);
	if (is_bracketed) {
		host = span_from(host, 1);
		colon++;
		if ((size_t)colon >= s.len || s.data[colon] != ':' || span_find(host, ':') < 0)
			return -EINVAL;
	}
	if (parse_port(span_from(s, (size_t)colon + 1), &port) != 0)
		return -EINVAL;
	return address_parse_ip(host, port, ret_address);
}

int address_set_unix(struct address *a, struct span path)
{
	if (path.len == 0 || span_find(path, '\0') >= 0)
		return -EINVAL;
	if (path.len >= UNIX_PATH_BYTES)
		return -ENAMETOOLONG;
	*a = (struct address){ .len = (socklen_t)(UNIX_PATH_START + path.len + 1) };
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, path.data, path.len);
	return 0;
}

void address_set_any(struct address *a, bool ipv6, uint16_t port)
{
	if (ipv6)
		address_set_v6(a, &in6addr_any, port);
	else
		address_set_v4(a, (struct in_addr){ .s_addr = htonl(INADDR_ANY) }, port);
}

static int address_family(const struct address *a)
{
	return a->len >= sizeof(a->any.sa_family) ? a->any.sa_family : AF_UNSPEC;
}

uint16_t address_port(const struct address *a)
{
	switch (address_family(a)) {
	case AF_INET:
		return ntohs(a->v4.sin_port);
	case AF_INET6:
		return ntohs(a->v6.sin6_port);
	default:
		return 0;
	}
}

void address_set_port(struct address *a, uint16_t port)
{
	if (address_family(a) == AF_INET)
		a->v4.sin_port = htons(port);
	else if (address_family(a) == AF_INET6)
		a->v6.sin6_port = htons(port);
}

bool address_is_unix(const struct address *a)
{
	return address_family(a) == AF_UNIX;
}

bool address_is_any(const struct address *a)
{
	return (address_family(a) == AF_INET && a->v4.sin_addr.s_addr == htonl(INADDR_ANY)) ||
	       (address_family(a) == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->v6.sin6_addr));
}

/*
 * The name of a Unix socket: empty if unnamed (unix(7): clients rarely bind), an abstract name with its
 * leading NUL, or a path without its terminator, which the kernel may or may not count.
 */
static struct span unix_name(const struct address *a)
{
	size_t len = a->len > UNIX_PATH_START ? a->len - UNIX_PATH_START : 0;
	struct span name = span_of(a->un.sun_path, len > UNIX_PATH_BYTES ? (size_t)UNIX_PATH_BYTES : len);

	if (name.len && name.data[0] != '\0')
		name.len = strnlen(name.data, name.len);
	return name;
}

/* The bytes of the host part that distinguish addresses of one family. */
static struct span address_host(const struct address *a)
{
	switch (address_family(a)) {
	case AF_INET:
		return span_of(&a->v4.sin_addr, sizeof(a->v4.sin_addr));
	case AF_INET6:
		return span_of(&a->v6.sin6_addr, sizeof(a->v6.sin6_addr));
	case AF_UNIX:
		return unix_name(a);
	default:
		return (struct span){ NULL, 0 };
	}
}

static uint32_t address_scope(const struct address *a)
{
	return address_family(a) == AF_INET6 ? a->v6.sin6_scope_id : 0;
}

bool address_eq(const struct address *a, const struct address *b)
{
	return address_family(a) == address_family(b) && address_port(a) == address_port(b) &&
	       address_scope(a) == address_scope(b) && span_eq(address_host(a), address_host(b));
}

uint64_t address_hash(const struct address *a)
{
	return hash_mix(hash_bytes(address_host(a)), (uint64_t)address_family(a) << 16 | address_port(a));
}

static bool is_mapped(const struct address *a)
{
	return address_family(a) == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr);
}

void address_unmap(struct address *a)
{
	struct in_addr host;

	if (!is_mapped(a))
		return;
	memcpy(&host, a->v6.sin6_addr.s6_addr + 12, sizeof(host));
	address_set_v4(a, host, ntohs(a->v6.sin6_port));
}

/* A client may bind to any bytes: those that could break a log line or a header field become '?'. */
static size_t unix_text(struct span name, char *out)
{
	size_t len = 5;

	memcpy(out, "unix:", len);
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.data[i];

		if (i == 0 && c == '\0')
			c = '@';
		else if (c <= 0x20 || c >= 0x7f || c == '"' || c == '\\' || c == ',' || c == ';')
			c = '?';
		out[len++] = (char)c;
	}
	return len;
}

size_t address_host_text(const struct address *a, char *out)
{
	switch (address_family(a)) {
	case AF_INET:
		return inet_ntop(AF_INET, &a->v4.sin_addr, out, ADDRESS_TEXT_BYTES) ? strlen(out) : 0;
	case AF_INET6:
		return inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDRESS_TEXT_BYTES) ? strlen(out) : 0;
	case AF_UNIX:
		return unix_text(unix_name(a), out);
	default:
		return 0;
	}
}

void address_format(const struct address *a, struct text *out)
{
	char host[ADDRESS_TEXT_BYTES];
	size_t len;

	if (address_is_unix(a)) {
		struct span name = unix_name(a);
		bool is_abstract = name.len && name.data[0] == '\0';

		text_str(out, is_abstract ? "unix:@" : "unix:");
		text_escaped(out, span_from(name, is_abstract ? 1 : 0));
		return;
	}
	len = address_host_text(a, host);
	if (len == 0)
		text_str(out, "none");
	else if (address_family(a) == AF_INET6)
		text_fmt(out, "[%.*s]:%u", (int)len, host, address_port(a));
	else
		text_fmt(out, "%.*s:%u", (int)len, host, address_port(a));
}

static bool bits_eq(struct span a, struct span b, unsigned int bits)
{
	size_t whole = bits / 8;
	unsigned int rest = bits % 8;

	if (whole > a.len || (whole == a.len && rest) || memcmp(a.data, b.data, whole) != 0)
		return false;
	return rest == 0 || ((unsigned char)(a.data[whole] ^ b.data[whole]) >> (8 - rest)) == 0;
}

bool address_in(const struct address *a, const struct address *network, uint8_t prefix_bits)
{
	struct address host = *a, base = *network;
	unsigned int bits = prefix_bits;

	if (is_mapped(&base) && bits >= MAPPED_BITS) {
		address_unmap(&base);
		bits -= MAPPED_BITS;
	}
	address_unmap(&host);
	if (address_family(&host) != address_family(&base))
		return false;
	if (address_family(&host) != AF_INET && address_family(&host) != AF_INET6)
		return false;
	return bits_eq(address_host(&host), address_host(&base), bits);
}

size_t address_owner(const struct address *a, uint8_t ret_owner[ADDRESS_OWNER_BYTES])
{
	struct address host = *a;

	address_unmap(&host);
	if (address_family(&host) == AF_INET) {
		memcpy(ret_owner, &host.v4.sin_addr, sizeof(host.v4.sin_addr));
		return sizeof(host.v4.sin_addr);
	}
	if (address_family(&host) != AF_INET6)
		return 0;
	memcpy(ret_owner, &host.v6.sin6_addr, ADDRESS_OWNER_BYTES);
	return ADDRESS_OWNER_BYTES;
}
