/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/address.h"

/*
 * The header of the PROXY protocol (proxy-protocol.txt of HAProxy, versions 1 and 2), with which a proxy
 * announces the addresses of the connection that it relays. Pure: the caller keeps the first bytes of the
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
