/* SPDX-License-Identifier: Apache-2.0 */
#include "user/net/proxy_header.h"

#include <stdio.h>

#include "user/base/check.h"
#include "user/base/limits.h"

enum {
	V1_MAX_BYTES = 107, /* with CR LF */
	V1_PARTS = 4, /* two addresses, two ports */
	V2_FIXED_BYTES = 16, /* signature, command, family, length */
	V2_COMMAND_AT = 12,
	V2_FAMILY_AT = 13,
	V2_LENGTH_AT = 14,
	V2_VERSION = 2,
	V2_LOCAL = 0,
	V2_PROXY = 1,
};

static const struct span v1_start = { "PROXY ", 6 };
static const struct span v2_signature = { "\r\n\r\n\0\r\nQUIT\n", 12 };

static enum proxy_header_result refuse(struct proxy_header *header, const char *fault)
{
	header->fault = fault;
	return PROXY_HEADER_BAD;
}

/* ------------------------------------------------------------------------------------ version 1 */

/* A decimal number without leading zeros. */
static bool parse_port(struct span text, uint16_t *ret_port)
{
	uint64_t value;

	if (text.len > 5 || (text.len > 1 && text.data[0] == '0') || span_parse_u63(text, &value) < 0 ||
	    value > UINT16_MAX)
		return false;
	*ret_port = (uint16_t)value;
	return true;
}

static bool parse_endpoint(struct span host, struct span port_text, sa_family_t family,
			   struct address *ret_address)
{
	uint16_t port;

	return parse_port(port_text, &port) && address_parse_ip(host, port, ret_address) == 0 &&
	       ret_address->any.sa_family == family;
}

/* "192.0.2.1 198.51.100.1 56324 443": exactly one space between two of them. */
static bool parse_endpoints(struct span rest, sa_family_t family, struct proxy_header *header)
{
	struct span parts[V1_PARTS];
	size_t count = 0;

	while (count < V1_PARTS && span_split(&rest, ' ', &parts[count]))
		count++;
	return count == V1_PARTS && !rest.data &&
	       parse_endpoint(parts[0], parts[2], family, &header->source) &&
	       parse_endpoint(parts[1], parts[3], family, &header->destination);
}

/* A line without CR LF. */
static enum proxy_header_result parse_line(struct span line, struct proxy_header *header)
{
	struct span rest = span_from(line, v1_start.len);

	/* Whatever follows UNKNOWN is ignored. */
	if (span_eq(rest, SPAN("UNKNOWN")) || span_starts(rest, SPAN("UNKNOWN ")))
		return PROXY_HEADER_DONE;
	if (!span_starts(rest, SPAN("TCP4 ")) && !span_starts(rest, SPAN("TCP6 ")))
		return refuse(header, "the header of version 1 names no protocol that exists");
	header->has_addresses =
		parse_endpoints(span_from(rest, 5), rest.data[3] == '4' ? AF_INET : AF_INET6, header);
	return header->has_addresses
		       ? PROXY_HEADER_DONE
		       : refuse(header, "the addresses in the header of version 1 are not valid");
}

static enum proxy_header_result parse_v1(struct span bytes, struct proxy_header *header)
{
	struct span seen = span_first(bytes, bytes.len < V1_MAX_BYTES ? bytes.len : V1_MAX_BYTES);
	size_t len = 0;

	while (len < seen.len && seen.data[len] != '\r' && seen.data[len] != '\n')
		len++;
	if (len + 1 < seen.len && seen.data[len] == '\r' && seen.data[len + 1] == '\n') {
		header->bytes = len + 2;
		return parse_line(span_first(seen, len), header);
	}
	/* A CR without LF, or an LF without CR. */
	if (len + 1 < seen.len || (len < seen.len && seen.data[len] == '\n'))
		return refuse(header, "the header of version 1 does not end with CR LF");
	return seen.len < V1_MAX_BYTES ? PROXY_HEADER_MORE
				       : refuse(header, "the header of version 1 is longer than 107 bytes");
}

/* ------------------------------------------------------------------------------------ version 2 */

static unsigned byte_at(struct span bytes, size_t at)
{
	return (uint8_t)bytes.data[at];
}

static unsigned number_at(struct span bytes, size_t at)
{
	return byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

/* The length of the host tells its family. */
static void take_endpoint(struct span host, const char *port, struct address *ret_address)
{
	*ret_address = (struct address){ 0 };
	if (host.len == sizeof(struct in_addr)) {
		ret_address->len = sizeof(ret_address->v4);
		ret_address->v4.sin_family = AF_INET;
		memcpy(&ret_address->v4.sin_addr, host.data, host.len);
		memcpy(&ret_address->v4.sin_port, port, sizeof(ret_address->v4.sin_port));
	} else {
		ret_address->len = sizeof(ret_address->v6);
		ret_address->v6.sin6_family = AF_INET6;
		memcpy(&ret_address->v6.sin6_addr, host.data, host.len);
		memcpy(&ret_address->v6.sin6_port, port, sizeof(ret_address->v6.sin6_port));
	}
}

/* Source, destination, port of the source, port of the destination; TLVs follow. */
static void take_endpoints(struct span block, size_t host_bytes, struct proxy_header *header)
{
	const char *ports = block.data + 2 * host_bytes;

	take_endpoint(span_first(block, host_bytes), ports, &header->source);
	take_endpoint(span_first(span_from(block, host_bytes), host_bytes), ports + sizeof(in_port_t),
		      &header->destination);
	header->has_addresses = true;
}

/* Families by the high four bits, and the length of both addresses with their ports. */
static const struct {
	uint8_t block_bytes;
	uint8_t host_bytes; /* 0: no address of TCP */
} families[] = {
	{ 0, 0 }, /* unspecified */
	{ 2 * 4 + 2 * 2, 4 },
	{ 2 * 16 + 2 * 2, 16 },
	{ 2 * 108, 0 }, /* Unix sockets */
};

/* Transport protocols by the low four bits. */
enum {
	TRANSPORT_UNSPECIFIED,
	TRANSPORT_STREAM,
	TRANSPORT_COUNT = 3,
};

static enum proxy_header_result parse_block(struct span bytes, struct proxy_header *header)
{
	unsigned family = byte_at(bytes, V2_FAMILY_AT) >> 4, transport = byte_at(bytes, V2_FAMILY_AT) & 0xf;
	struct span block = span_first(span_from(bytes, V2_FIXED_BYTES), header->bytes - V2_FIXED_BYTES);

	if (family >= ARRAY_LEN(families) || transport >= TRANSPORT_COUNT)
		return refuse(header, "the header of version 2 names an unknown address family or transport");
	if (transport != TRANSPORT_UNSPECIFIED && block.len < families[family].block_bytes)
		return refuse(header, "the header of version 2 is shorter than its addresses");
	if (families[family].host_bytes && transport == TRANSPORT_STREAM)
		take_endpoints(block, families[family].host_bytes, header);
	return PROXY_HEADER_DONE;
}

static enum proxy_header_result parse_v2(struct span bytes, struct proxy_header *header)
{
	unsigned command;

	if (bytes.len <= V2_COMMAND_AT)
		return PROXY_HEADER_MORE;
	command = byte_at(bytes, V2_COMMAND_AT) & 0xf;
	if (byte_at(bytes, V2_COMMAND_AT) >> 4 != V2_VERSION || command > V2_PROXY)
		return refuse(header, "the header has an unknown version or command");
	if (bytes.len < V2_FIXED_BYTES)
		return PROXY_HEADER_MORE;
	header->bytes = V2_FIXED_BYTES + number_at(bytes, V2_LENGTH_AT);
	if (header->bytes > LIMIT_PROXY_HEADER_BYTES)
		return refuse(header, "the header of version 2 is too long");
	if (bytes.len < header->bytes)
		return PROXY_HEADER_MORE;
	return command == V2_LOCAL ? PROXY_HEADER_DONE : parse_block(bytes, header);
}

/* ------------------------------------------------------------------------------------ both */

/* True as long as `bytes` may begin with `start`. */
static bool may_start(struct span bytes, struct span start)
{
	size_t len = bytes.len < start.len ? bytes.len : start.len;

	return span_eq(span_first(bytes, len), span_first(start, len));
}

enum proxy_header_result proxy_header_parse(struct span bytes, unsigned versions,
					    struct proxy_header *ret_header)
{
	bool is_v1 = may_start(bytes, v1_start), is_v2 = may_start(bytes, v2_signature);

	*ret_header = (struct proxy_header){ 0 };
	if (!is_v1 && !is_v2)
		return PROXY_HEADER_NONE;
	if (bytes.len < (is_v1 ? v1_start.len : v2_signature.len))
		return PROXY_HEADER_MORE;
	if (!(versions & (is_v1 ? PROXY_HEADER_V1 : PROXY_HEADER_V2)))
		return refuse(ret_header, is_v1 ? "the header has version 1, and version 2 is configured"
						: "the header has version 2, and version 1 is configured");
	return is_v1 ? parse_v1(bytes, ret_header) : parse_v2(bytes, ret_header);
}

/* ------------------------------------------------------------------------------------ writing */

/* Types of TLVs; the last three are inside TLV_TLS. */
enum {
	TLV_ALPN = 0x01,
	TLV_AUTHORITY = 0x02,
	TLV_TLS = 0x20,
	TLV_TLS_VERSION = 0x21,
	TLV_TLS_COMMON_NAME = 0x22,
	TLV_TLS_CIPHER = 0x23,
	TLV_HEAD_BYTES = 3,
	TLS_HEAD_BYTES = 5, /* flags, result of the verification */
	TLS_IS_USED = 0x01,
	TLS_HAS_CERTIFICATE_NOW = 0x02,
	TLS_HAS_CERTIFICATE = 0x04, /* in the session */
};

struct writer {
	char *out;
	size_t len;
};

static void put_number(char *at, size_t number)
{
	at[0] = (char)(number >> 8);
	at[1] = (char)number;
}

static void put_bytes(struct writer *w, const void *bytes, size_t len)
{
	memcpy(w->out + w->len, bytes, len);
	w->len += len;
}

static void put_tlv(struct writer *w, uint8_t type, struct span value)
{
	if (!value.len || value.len > PROXY_TEXT_BYTES)
		return;
	w->out[w->len] = (char)type;
	put_number(w->out + w->len + 1, value.len);
	w->len += TLV_HEAD_BYTES;
	put_bytes(w, value.data, value.len);
}

static uint8_t tls_flags(const struct proxy_announcement *a)
{
	uint8_t certificate =
		a->is_resumed ? TLS_HAS_CERTIFICATE : TLS_HAS_CERTIFICATE | TLS_HAS_CERTIFICATE_NOW;

	return (uint8_t)(TLS_IS_USED | (a->has_certificate ? certificate : 0));
}

static void put_tls(struct writer *w, const struct proxy_announcement *a)
{
	bool is_verified = a->has_certificate && a->is_verified;
	/* 32 bits of the result: 0 only for a certificate that was verified. */
	const uint8_t head[TLS_HEAD_BYTES] = { tls_flags(a), 0, 0, 0, is_verified ? 0 : 1 };
	size_t start = w->len;

	w->out[w->len] = TLV_TLS;
	w->len += TLV_HEAD_BYTES;
	put_bytes(w, head, sizeof(head));
	put_tlv(w, TLV_TLS_VERSION, a->tls_version);
	put_tlv(w, TLV_TLS_CIPHER, a->tls_cipher);
	if (is_verified)
		put_tlv(w, TLV_TLS_COMMON_NAME, a->common_name);
	put_number(w->out + start + 1, w->len - start - TLV_HEAD_BYTES);
}

/* Both of one family. */
static void put_endpoints(struct writer *w, const struct address *source, const struct address *destination)
{
	if (source->any.sa_family == AF_INET) {
		put_bytes(w, &source->v4.sin_addr, sizeof(source->v4.sin_addr));
		put_bytes(w, &destination->v4.sin_addr, sizeof(destination->v4.sin_addr));
		put_bytes(w, &source->v4.sin_port, sizeof(source->v4.sin_port));
		put_bytes(w, &destination->v4.sin_port, sizeof(destination->v4.sin_port));
	} else {
		put_bytes(w, &source->v6.sin6_addr, sizeof(source->v6.sin6_addr));
		put_bytes(w, &destination->v6.sin6_addr, sizeof(destination->v6.sin6_addr));
		put_bytes(w, &source->v6.sin6_port, sizeof(source->v6.sin6_port));
		put_bytes(w, &destination->v6.sin6_port, sizeof(destination->v6.sin6_port));
	}
}

/* source: NULL: no addresses. */
static size_t write_v2(const struct proxy_announcement *a, const struct address *source,
		       const struct address *destination, char *out)
{
	struct writer w = { .out = out, .len = V2_FIXED_BYTES };

	memcpy(out, v2_signature.data, v2_signature.len);
	out[V2_COMMAND_AT] = (char)(V2_VERSION << 4 | (a->has_client ? V2_PROXY : V2_LOCAL));
	out[V2_FAMILY_AT] = 0;
	if (source) {
		out[V2_FAMILY_AT] =
			(char)((source->any.sa_family == AF_INET ? 1 : 2) << 4 | TRANSPORT_STREAM);
		put_endpoints(&w, source, destination);
	}
	if (a->has_client) {
		put_tlv(&w, TLV_ALPN, a->alpn);
		put_tlv(&w, TLV_AUTHORITY, a->authority);
		if (a->tls_version.len)
			put_tls(&w, a);
	}
	put_number(out + V2_LENGTH_AT, w.len - V2_FIXED_BYTES);
	return w.len;
}

static size_t write_v1(const struct address *source, const struct address *destination, char *out)
{
	char hosts[2][ADDRESS_TEXT_BYTES];

	if (!source)
		return (size_t)snprintf(out, V1_MAX_BYTES + 1, "PROXY UNKNOWN\r\n");
	return (size_t)snprintf(out, V1_MAX_BYTES + 1, "PROXY TCP%d %.*s %.*s %u %u\r\n",
				source->any.sa_family == AF_INET ? 4 : 6,
				(int)address_host_text(source, hosts[0]), hosts[0],
				(int)address_host_text(destination, hosts[1]), hosts[1], address_port(source),
				address_port(destination));
}

static bool is_ip(const struct address *address)
{
	return address->len && (address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6);
}

/* ::ffff:192.0.2.1 for IPv4 (RFC 4291 2.5.5.2). */
static struct address map_address(const struct address *address)
{
	struct address mapped = { .len = sizeof(mapped.v6) };

	if (address->any.sa_family == AF_INET6)
		return *address;
	mapped.v6.sin6_family = AF_INET6;
	mapped.v6.sin6_port = address->v4.sin_port;
	mapped.v6.sin6_addr.s6_addr[10] = 0xff;
	mapped.v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&mapped.v6.sin6_addr.s6_addr[12], &address->v4.sin_addr, sizeof(address->v4.sin_addr));
	return mapped;
}

size_t proxy_header_write(const struct proxy_announcement *announcement, char out[PROXY_HEADER_OUT_BYTES])
{
	const struct address *source = &announcement->source, *destination = &announcement->destination;
	struct address mapped[2];

	if (!announcement->has_client || !is_ip(source) || !is_ip(destination)) {
		source = NULL;
	} else if (source->any.sa_family != destination->any.sa_family) {
		mapped[0] = map_address(source);
		mapped[1] = map_address(destination);
		source = &mapped[0];
		destination = &mapped[1];
	}
	return announcement->version == PROXY_HEADER_V1 ? write_v1(source, destination, out)
							: write_v2(announcement, source, destination, out);
}
