/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * An address to listen on, without a port: an IP address that an interface can have, or that of all
 * interfaces (0.0.0.0, ::). An IPv4 address in the form of IPv6 becomes IPv4. False: reported; `example`
 * shows what to write.
 */
bool bind_address_decode(struct decoder *d, const struct yaml_node *node, const char *example,
			 struct address *ret);
