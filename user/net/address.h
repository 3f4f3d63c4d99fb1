/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "user/base/span.h"
#include "user/base/text.h"

/* A socket address as a value: IPv4, IPv6, or a Unix stream path. */
struct address {
	socklen_t len; /* 0: none */
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
	};
};

/* "1.2.3.4" or "::1" (no brackets, no zone). 0 or -EINVAL. */
int address_parse_ip(struct span s, uint16_t port, struct address *ret_address);
/* "1.2.3.4:80", "[::1]:80", "unix:/path". -EINVAL, also for names. */
int address_parse(struct span s, struct address *ret_address);
int address_set_unix(struct address *a, struct span path); /* -ENAMETOOLONG, -EINVAL for NUL or empty */
void address_set_any(struct address *a, bool ipv6, uint16_t port);
uint16_t address_port(const struct address *a); /* 0 for Unix */
void address_set_port(struct address *a, uint16_t port);
bool address_eq(const struct address *a, const struct address *b);
bool address_is_unix(const struct address *a);
bool address_is_any(const struct address *a); /* 0.0.0.0 or :: */
uint64_t address_hash(const struct address *a);
/* IPv4-mapped IPv6 becomes IPv4, as shown in logs and X-Forwarded-For. */
void address_unmap(struct address *a);
/* "1.2.3.4:80", "[::1]:80", "unix:/path". */
void address_format(const struct address *a, struct text *out);
/*
 * Writes the address without port: "1.2.3.4", "::1", "unix:/path". At most ADDRESS_TEXT_BYTES; returns the
 * length.
 */
#define ADDRESS_TEXT_BYTES 128
size_t address_host_text(const struct address *a, char *out);
/*
 * Who it is of, as far as a stranger cannot choose: all of IPv4, the first 64 bits of IPv6, of which anybody
 * has a whole network. Returns the length; 0: of a Unix socket.
 */
enum { ADDRESS_OWNER_BYTES = 8 };
size_t address_owner(const struct address *a, uint8_t ret_owner[ADDRESS_OWNER_BYTES]);
/* True if `a` is in network/prefix_bits; after unmapping, both must be of one family. */
bool address_in(const struct address *a, const struct address *network, uint8_t prefix_bits);
