/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/net/address.h"

/*
 * Whether a packet to this IP address would stay on this host, or go to a group: the kernel's own answer
 * (RTM_GETROUTE, rtnetlink(7)), which knows secondary addresses and local routes, too. The local address of a
 * connected socket does not tell: to a secondary address the kernel connects from the primary one.
 * Returns 1; 0: another host's address, or one without a route; or -errno, and nothing is known. Needs no
 * privilege, and does not block.
 */
int own_address_has(const struct address *address);
