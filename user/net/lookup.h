/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/address.h"

/*
 * One blocking look-up of a name with getaddrinfo(3): A and AAAA in its order (RFC 6724), duplicates left
 * out, at most max addresses, ports 0. AI_ADDRCONFIG is off: on a host with nothing but a loopback interface
 * it would hide every address. "localhost" and names below it always have an address (RFC 6761 6.3). context
 * is ignored; the signature is that of struct resolver_options.
 *
 * 0, -ENOENT when the name has no address, -EAGAIN when no name server answered, -ENOMEM, -EIO, or -errno.
 */
int lookup_system(void *context, const char *host, struct address *list, uint32_t max, uint32_t *ret_count);
/* "no such name", "no name server answered", or the words of strerror(3). */
const char *lookup_error_text(int error);
