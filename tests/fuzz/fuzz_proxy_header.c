/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first bytes of a connection behind a proxy. What has to hold:
 *   - a header is complete with its last byte: every prefix says MORE, and what follows changes nothing;
 *   - what is refused or is no header stays so, whatever follows;
 *   - a second reading, which takes the line apart with sscanf(3) or walks the block with offsets, finds the
 *     same addresses.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "user/base/limits.h"
#include "user/net/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) must((condition), __LINE__, #condition)

static void must(bool condition, int line, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "line %d: broken: %s\n", line, what);
	abort();
}

/* A copy of its own, so that the sanitizer sees a read behind it. */
static enum proxy_header_result parse(const uint8_t *data, size_t size, unsigned versions,
				      struct proxy_header *header)
{
	char *copy = malloc(size ? size : 1);
	enum proxy_header_result result;

	MUST(copy);
	memcpy(copy, data, size);
	result = proxy_header_parse(span_of(copy, size), versions, header);
	free(copy);
	return result;
}

/* ---- the second reading ---- */

static bool is_at(const struct address *address, int family, const void *host, unsigned port)
{
	if (address->any.sa_family != family || address_port(address) != port)
		return false;
	return family == AF_INET ? memcmp(&address->v4.sin_addr, host, 4) == 0
				 : memcmp(&address->v6.sin6_addr, host, 16) == 0;
}

static void check_v1(const uint8_t *data, const struct proxy_header *header)
{
	char line[128], kind[8], source[64], destination[64];
	uint8_t hosts[2][16];
	unsigned ports[2];
	int family;

	MUST(header->bytes <= 107);
	memcpy(line, data, header->bytes);
	line[header->bytes] = '\0';
	MUST(memcmp(line + header->bytes - 2, "\r\n", 2) == 0);
	if (!header->has_addresses) {
		MUST(memcmp(line, "PROXY UNKNOWN", 13) == 0);
		return;
	}
	MUST(sscanf(line, "PROXY %7s %63s %63s %u %u", kind, source, destination, &ports[0], &ports[1]) == 5);
	family = strcmp(kind, "TCP4") == 0 ? AF_INET : AF_INET6;
	MUST(family == AF_INET || strcmp(kind, "TCP6") == 0);
	MUST(inet_pton(family, source, hosts[0]) == 1 && inet_pton(family, destination, hosts[1]) == 1);
	MUST(is_at(&header->source, family, hosts[0], ports[0]));
	MUST(is_at(&header->destination, family, hosts[1], ports[1]));
}

static void check_v2(const uint8_t *data, const struct proxy_header *header)
{
	size_t host_bytes = data[13] == 0x11 ? 4 : 16;
	const uint8_t *ports = data + 16 + 2 * host_bytes;
	int family = data[13] == 0x11 ? AF_INET : AF_INET6;
	bool is_tcp = data[13] == 0x11 || data[13] == 0x21;

	MUST(header->bytes == 16u + (size_t)(data[14] << 8) + data[15]);
	MUST(data[12] == 0x20 || data[12] == 0x21);
	MUST(header->has_addresses == (data[12] == 0x21 && is_tcp));
	if (!header->has_addresses)
		return;
	MUST(header->bytes >= 16 + 2 * host_bytes + 4);
	MUST(is_at(&header->source, family, data + 16, (unsigned)(ports[0] << 8 | ports[1])));
	MUST(is_at(&header->destination, family, data + 16 + host_bytes,
		   (unsigned)(ports[2] << 8 | ports[3])));
}

/* ---- ours ---- */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const unsigned both = PROXY_HEADER_V1 | PROXY_HEADER_V2;
	struct proxy_header header, other;
	enum proxy_header_result result = parse(data, size, both, &header);
	size_t cut = size ? data[size - 1] % size : 0;

	switch (result) {
	case PROXY_HEADER_MORE:
		MUST(size < LIMIT_PROXY_HEADER_BYTES);
		MUST(parse(data, cut, both, &other) == PROXY_HEADER_MORE);
		break;
	case PROXY_HEADER_DONE:
		MUST(header.bytes > 0 && header.bytes <= size && header.bytes <= LIMIT_PROXY_HEADER_BYTES);
		MUST(parse(data, header.bytes, both, &other) == PROXY_HEADER_DONE);
		MUST(parse(data, header.bytes - 1, both, &other) == PROXY_HEADER_MORE);
		MUST(parse(data, cut, both, &other) ==
		     (cut < header.bytes ? PROXY_HEADER_MORE : PROXY_HEADER_DONE));
		MUST(parse(data, size, PROXY_HEADER_V1, &other) !=
		     parse(data, size, PROXY_HEADER_V2, &other));
		if (data[0] == 'P')
			check_v1(data, &header);
		else
			check_v2(data, &header);
		break;
	case PROXY_HEADER_NONE:
	case PROXY_HEADER_BAD:
		MUST((header.fault != NULL) == (result == PROXY_HEADER_BAD));
		MUST(!header.has_addresses);
		other = header;
		MUST(parse(data, cut, both, &other) == PROXY_HEADER_MORE ||
		     parse(data, cut, both, &other) == result);
		break;
	}
	return 0;
}
