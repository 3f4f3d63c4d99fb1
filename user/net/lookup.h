/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/loop/loop.h"
#include "user/net/address.h"

/*
 * One look-up of a name by c-ares in a loop: numbers, /etc/hosts and DNS, as /etc/nsswitch.conf and
 * /etc/resolv.conf say at that moment; A and AAAA in the order of RFC 6724, duplicates left out, at most
 * LIMIT_ADDRESSES. "localhost" and names below it always have an address and are no question for a server
 * (RFC 6761 6.3). Each look-up has a channel of its own, and so ports that nobody can know beforehand.
 */
struct lookup;

/* Once, before there are threads that look up. 0 or -ENOMEM. */
int lookup_init(void);
/*
 * servers: "127.0.0.1:5353,[::1]:53" instead of those of /etc/resolv.conf, or NULL. on_done is called from
 * the loop, once, never from inside lookup_start(), unless the look-up is cancelled; it may do anything. The
 * list is valid for the call; the ports are 0. result: 0, -ENOENT when the name has no address, -EAGAIN when
 * no name server answered, -EIO for an answer without sense, -ENOMEM. NULL without memory.
 */
struct lookup *lookup_start(struct loop *loop, const char *servers, const char *host,
			    void (*on_done)(void *context, int result, struct address *list, uint32_t count),
			    void *context);
void lookup_cancel(struct lookup *lookup); /* NULL is allowed */
/* "no such name", "no name server answered", or the words of strerror(3). */
const char *lookup_error_text(int error);
