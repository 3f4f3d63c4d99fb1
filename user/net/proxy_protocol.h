/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/span.h"
#include "user/net/address.h"

/*
 * The PROXY protocol header, versions 1 and 2, that a load balancer in front puts before the first byte of a
 * connection (haproxy.org, doc/proxy-protocol.txt). Pure: reads from the begin of the received bytes each
 * time, which the size limits keep cheap. Only peers on a trust list may be believed; that is the caller's
 * decision.
 */
enum {
	PROXY_PROTOCOL_V1_BYTES = 107, /* longest line of version 1 with its CRLF, section 2.1 */
	PROXY_PROTOCOL_V2_BYTES = 536, /* header, two Unix addresses, room for TLVs */
};

enum proxy_protocol_verdict {
	PROXY_PROTOCOL_MORE, /* so far so good */
	PROXY_PROTOCOL_ADDRESSES, /* source and destination are set */
	/*
	 * A valid header that names nobody: LOCAL (health checks), UNKNOWN, AF_UNSPEC. The socket's own peer
	 * counts.
	 */
	PROXY_PROTOCOL_LOCAL,
	PROXY_PROTOCOL_ABSENT, /* the first bytes are something else */
	PROXY_PROTOCOL_TOO_LONG, /* no end within the limit of the version */
	PROXY_PROTOCOL_BAD, /* begins as a header and breaks its grammar */
};

struct proxy_protocol {
	uint8_t version; /* 1 or 2 */
	size_t len; /* bytes of the header: what follows is the stream */
	struct address source;
	struct address destination;
};

/* *ret_header is set for ADDRESSES and LOCAL only. TLVs of version 2 are skipped. */
enum proxy_protocol_verdict proxy_protocol_parse(struct span bytes, struct proxy_protocol *ret_header);
