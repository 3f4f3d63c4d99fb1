/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"

/*
 * Addresses that a backend may reach whose host a client chooses (BACKEND_DYNAMIC). Without this rule every
 * client could reach what listens only for this host, and the metadata service of a cloud.
 */

/*
 * False for addresses that mean this host (loopback, unspecified), that are valid on one link only
 * (link-local: 169.254.169.254 is the usual metadata service), for groups (multicast, broadcast), and for the
 * metadata services with other addresses (fd00:ec2::254, 100.100.100.200, 168.63.129.16); also inside IPv6
 * (mapped, compatible, translated, NAT64, 6to4, Teredo). RFC 6890 lists them. The backend's list of allowed
 * networks wins.
 */
bool forward_may_reach(const struct backend *backend, const struct address *address);
/* True if the backend's own list allows the address. */
bool forward_is_allowed(const struct backend *backend, const struct address *address);
