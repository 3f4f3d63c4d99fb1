/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/address.h"

/*
 * The header of the PROXY protocol (proxy-protocol.txt of HAProxy, versions 1 and 2), with which a proxy
 * announces the addresses of the connection that it relays. Pure: a reader keeps the first bytes of the
 * connection and asks again when more have come.
 */
enum proxy_header_result {
	PROXY_HEADER_MORE, /* a header may have begun: ask again with further bytes */
	PROXY_HEADER_DONE,
	PROXY_HEADER_NONE, /* the connection does not start with a header */
	PROXY_HEADER_BAD, /* see fault: the connection must be closed */
};

/* Which versions are accepted: one of these, or both. */
enum {
	PROXY_HEADER_V1 = 1,
	PROXY_HEADER_V2 = 2,
};

struct proxy_header {
	size_t bytes; /* the length of the header, TLVs included */
	/*
	 * False: the header announces no address that TCP has (LOCAL, UNKNOWN, an unspecified family, UDP,
	 * Unix sockets), and the addresses of the connection itself apply.
	 */
	bool has_addresses;
	struct address source, destination; /* of one family, as announced: not unmapped */
	const char *fault; /* PROXY_HEADER_BAD: what is wrong, for the log */
};

/*
 * Reads the header at the start of `bytes`, all bytes that the connection has brought so far. Any result but
 * PROXY_HEADER_MORE is final. A header is at most LIMIT_PROXY_HEADER_BYTES long.
 */
enum proxy_header_result proxy_header_parse(struct span bytes, unsigned versions,
					    struct proxy_header *ret_header);

/* What a header that the gateway writes announces. */
struct proxy_announcement {
	unsigned version; /* PROXY_HEADER_V1 or PROXY_HEADER_V2 */
	/* False: the connection serves no client, and nothing else is announced (LOCAL, UNKNOWN). */
	bool has_client;
	/* UNKNOWN or an unspecified family are written unless both are IPv4 or IPv6; len 0: not known */
	struct address source, destination;
	/* The rest is for version 2. Empty texts, and those of more than PROXY_TEXT_BYTES, are left out. */
	struct span alpn; /* that the client uses */
	struct span authority; /* server name in its ClientHello */
	struct span tls_version; /* "TLSv1.3"; empty: its TLS, if any, does not end here */
	struct span tls_cipher; /* name of OpenSSL */
	bool has_certificate; /* the client has one in this TLS session */
	bool is_resumed; /* it showed it on an earlier connection of the session */
	bool is_verified; /* the certificate */
	struct span common_name; /* of a verified certificate */
};

enum {
	PROXY_TEXT_BYTES = 255,
	/* The fixed part, IPv6 addresses, five texts with their heads, and the head of those about TLS. */
	PROXY_HEADER_OUT_BYTES = 16 + 36 + 5 * (3 + PROXY_TEXT_BYTES) + 3 + 5,
};

/* Writes the header; returns its length. Addresses of two families are both written as IPv6. */
size_t proxy_header_write(const struct proxy_announcement *announcement, char out[PROXY_HEADER_OUT_BYTES]);
