/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/proxy_protocol.h"

enum {
	V2_SIGNATURE_BYTES = 12,
	V2_HEAD_BYTES = 16,
	V2_IPV4_BYTES = 12,
	V2_IPV6_BYTES = 36,
	V2_UNIX_PATH_BYTES = 108,
	V2_UNIX_BYTES = 2 * V2_UNIX_PATH_BYTES,
};

static const char v2_signature[] = "\r\n\r\n\0\r\nQUIT\n";

/* "0" to "65535" without leading zeros (section 2.1). */
static bool parse_port(struct span s, uint16_t *ret_port)
{
	uint64_t value;

	if (s.len == 0 || s.len > 5 || (s.len > 1 && s.data[0] == '0'))
		return false;
	if (span_parse_u63(s, &value) != 0 || value > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)value;
	return true;
}

/* "<source> <destination> <source port> <destination port>", one blank between them. */
static bool parse_v1_addresses(struct span rest, sa_family_t family, struct proxy_protocol *header)
{
	struct span parts[4];
	uint16_t ports[2];
	size_t count = 0;
	struct span part;

	while (span_split(&rest, ' ', &part)) {
		if (count == 4)
			return false;
		parts[count++] = part;
	}
	if (count != 4 || !parse_port(parts[2], &ports[0]) || !parse_port(parts[3], &ports[1]))
		return false;
	return address_parse_ip(parts[0], ports[0], &header->source) == 0 &&
	       address_parse_ip(parts[1], ports[1], &header->destination) == 0 &&
	       header->source.any.sa_family == family && header->destination.any.sa_family == family;
}

static enum proxy_protocol_verdict parse_v1_line(struct span line, struct proxy_protocol *header)
{
	bool is_valid;

	/* What follows UNKNOWN is to be ignored up to the end of the line. */
	if (span_eq(line, SPAN("UNKNOWN")) || span_starts(line, SPAN("UNKNOWN ")))
		return PROXY_PROTOCOL_LOCAL;
	if (span_starts(line, SPAN("TCP4 ")))
		is_valid = parse_v1_addresses(span_from(line, 5), AF_INET, header);
	else if (span_starts(line, SPAN("TCP6 ")))
		is_valid = parse_v1_addresses(span_from(line, 5), AF_INET6, header);
	else
		is_valid = false;
	return is_valid ? PROXY_PROTOCOL_ADDRESSES : PROXY_PROTOCOL_BAD;
}

static enum proxy_protocol_verdict parse_v1(struct span bytes, struct proxy_protocol *header)
{
	struct span window = span_first(bytes, PROXY_PROTOCOL_V1_BYTES);
	ptrdiff_t cr = span_find(window, '\r');

	if (cr < 0 || (size_t)cr + 1 == window.len) {
		if (span_find(window, '\n') >= 0)
			return PROXY_PROTOCOL_BAD;
		return window.len == PROXY_PROTOCOL_V1_BYTES ? PROXY_PROTOCOL_TOO_LONG : PROXY_PROTOCOL_MORE;
	}
	if (window.data[cr + 1] != '\n' || span_find(span_first(window, (size_t)cr), '\n') >= 0)
		return PROXY_PROTOCOL_BAD;
	header->version = 1;
	header->len = (size_t)cr + 2;
	return parse_v1_line(span_from(span_first(window, (size_t)cr), 6), header);
}

static uint16_t read_u16(const char *at)
{
	return (uint16_t)((unsigned char)at[0] << 8 | (unsigned char)at[1]);
}

static void set_v4(struct address *a, const char *host, uint16_t port)
{
	address_set_any(a, false, port);
	memcpy(&a->v4.sin_addr, host, sizeof(a->v4.sin_addr));
}

static void set_v6(struct address *a, const char *host, uint16_t port)
{
	address_set_any(a, true, port);
	memcpy(&a->v6.sin6_addr, host, sizeof(a->v6.sin6_addr));
}

/* An empty path is an unnamed socket. */
static void set_unix(struct address *a, const char *path)
{
	*a = (struct address){ .len = sizeof(a->un), .un = { .sun_family = AF_UNIX } };
	memcpy(a->un.sun_path, path, V2_UNIX_PATH_BYTES);
	if (path[0] == '\0')
		a->len = sizeof(sa_family_t);
}

static enum proxy_protocol_verdict parse_v2_addresses(unsigned char family, struct span block,
						      struct proxy_protocol *header)
{
	const char *at = block.data;

	switch (family) {
	case 0x00: /* AF_UNSPEC */
		return PROXY_PROTOCOL_LOCAL;
	case 0x11: /* TCP over IPv4 */
		if (block.len < V2_IPV4_BYTES)
			return PROXY_PROTOCOL_BAD;
		set_v4(&header->source, at, read_u16(at + 8));
		set_v4(&header->destination, at + 4, read_u16(at + 10));
		return PROXY_PROTOCOL_ADDRESSES;
	case 0x21: /* TCP over IPv6 */
		if (block.len < V2_IPV6_BYTES)
			return PROXY_PROTOCOL_BAD;
		set_v6(&header->source, at, read_u16(at + 32));
		set_v6(&header->destination, at + 16, read_u16(at + 34));
		return PROXY_PROTOCOL_ADDRESSES;
	case 0x31: /* Unix stream */
		if (block.len < V2_UNIX_BYTES)
			return PROXY_PROTOCOL_BAD;
		set_unix(&header->source, at);
		set_unix(&header->destination, at + V2_UNIX_PATH_BYTES);
		return PROXY_PROTOCOL_ADDRESSES;
	default: /* datagrams, and what the specification reserves */
		return PROXY_PROTOCOL_BAD;
	}
}

static enum proxy_protocol_verdict parse_v2(struct span bytes, struct proxy_protocol *header)
{
	unsigned char command;
	size_t len;

	if (bytes.len > V2_SIGNATURE_BYTES) {
		command = (unsigned char)bytes.data[12];
		if (command != 0x20 && command != 0x21)
			return PROXY_PROTOCOL_BAD;
	}
	if (bytes.len < V2_HEAD_BYTES)
		return PROXY_PROTOCOL_MORE;
	len = V2_HEAD_BYTES + (size_t)read_u16(bytes.data + 14);
	if (len > PROXY_PROTOCOL_V2_BYTES)
		return PROXY_PROTOCOL_TOO_LONG;
	if (bytes.len < len)
		return PROXY_PROTOCOL_MORE;
	header->version = 2;
	header->len = len;
	/* LOCAL: the sender speaks for itself, and the addresses are to be ignored (section 2.2). */
	if (bytes.data[12] == 0x20)
		return PROXY_PROTOCOL_LOCAL;
	return parse_v2_addresses((unsigned char)bytes.data[13],
				  span_from(span_first(bytes, len), V2_HEAD_BYTES), header);
}

enum proxy_protocol_verdict proxy_protocol_parse(struct span bytes, struct proxy_protocol *ret_header)
{
	struct span v1 = SPAN("PROXY ");
	struct span v2 = span_of(v2_signature, V2_SIGNATURE_BYTES);
	struct proxy_protocol header = { .version = 0 };
	enum proxy_protocol_verdict verdict;

	if (span_starts(bytes, v1))
		verdict = parse_v1(bytes, &header);
	else if (span_starts(bytes, v2))
		verdict = parse_v2(bytes, &header);
	else if (span_starts(v1, bytes) || span_starts(v2, bytes))
		verdict = PROXY_PROTOCOL_MORE;
	else
		verdict = PROXY_PROTOCOL_ABSENT;
	if (verdict == PROXY_PROTOCOL_ADDRESSES || verdict == PROXY_PROTOCOL_LOCAL)
		*ret_header = header;
	return verdict;
}
