/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/expression/expression_value.h"
#include "user/net/address.h"

/* Addresses and networks as values: IPv4-mapped IPv6 is IPv4. */

/* NONE: not an IP address. */
struct expression_value expression_ip(const struct address *address);
struct expression_value expression_ip_parse(struct span text);
/* "10.0.0.0/8", "2001:db8::/32", or an address alone: all its bits. Bits behind the prefix are ignored. */
struct expression_value expression_network_parse(struct span text);
/* The first bits of an IPv6 address, all of an IPv4 address. NONE: not 0..128 bits. */
struct expression_value expression_network_of(struct expression_value ip, int64_t bits);
bool expression_network_has(struct expression_value network, struct expression_value ip);
bool expression_ip_eq(struct expression_value a, struct expression_value b);
/* Of an address or a network; returns the length. */
#define EXPRESSION_IP_BYTES 56
size_t expression_ip_format(struct expression_value ip, char out[EXPRESSION_IP_BYTES]);
