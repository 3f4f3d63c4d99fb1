/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/* Why an IP address cannot be listened on, as in "is a multicast address"; NULL: it can. */
const char *bind_address_fault(const struct address *address);
/*
 * Decodes an IP address to listen on, without a port: one that an interface can have, or the unspecified one
 * (0.0.0.0, ::). Turns an IPv4-mapped IPv6 address into IPv4. False: reported, with `example` as what to
 * write.
 */
bool bind_address_decode(struct decoder *d, const struct yaml_node *node, const char *example,
			 struct address *ret);
