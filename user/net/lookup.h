/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"
#include "user/net/address.h"

/*
 * Looks up one name by c-ares in a loop: numbers, /etc/hosts and DNS, by the current /etc/nsswitch.conf and
 * /etc/resolv.conf; A and AAAA in the order of RFC 6724, without duplicates, at most LIMIT_ADDRESSES.
 * "localhost" and names below it always have an address and are never sent to a server (RFC 6761 6.3). Each
 * look-up has its own channel, and so unpredictable ports.
 */
struct lookup;

/* Call once, before threads look up names. 0 or -ENOMEM. */
int lookup_init(void);
/* Which addresses of a name are used. */
enum lookup_family {
	LOOKUP_ALL, /* in the order of RFC 6724 */
	LOOKUP_V4_FIRST,
	LOOKUP_V4_ONLY,
	LOOKUP_V6_ONLY,
};

struct lookup_options {
	const char *servers; /* "127.0.0.1:5353,[::1]:53" instead of those of /etc/resolv.conf; or NULL */
	enum lookup_family family; /* of names: a number is its own answer */
	enum lookup_edns {
		LOOKUP_EDNS_SYSTEM, /* as resolv.conf(5) says */
		LOOKUP_EDNS_OFF,
		LOOKUP_EDNS_ON,
	} edns; /* RFC 6891: UDP responses may have more than 512 bytes */
};

/*
 * on_done is called from the loop, once, never inside lookup_start(), unless the look-up is cancelled; it may
 * do anything. The list is valid during the call; its ports are 0. result: 0, -ENOENT if the name has no
 * address of the family, -EAGAIN if no name server answered, -EIO for a malformed response, -ENOMEM. Returns
 * NULL without memory.
 */
struct lookup *lookup_start(struct loop *loop, const struct lookup_options *options, const char *host,
			    void (*on_done)(void *context, int result, struct address *list, uint32_t count),
			    void *context);
void lookup_cancel(struct lookup *lookup); /* NULL allowed */
/* "no such name", "no name server answered", or the text of strerror(3). */
const char *lookup_error_text(int error);
