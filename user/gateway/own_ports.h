/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/snapshot.h"

/*
 * Where the gateway itself listens: config.adminAddr, statsAddr and readinessAddr, or what the environment
 * says instead. No listener can have one of these addresses.
 */

/* The key of the server that listens on the address, or on one that excludes it (bind(2)); NULL: none. */
const char *own_ports_key(const struct static_config *config, const struct address *address);
/*
 * 0, or -EINVAL after an error for each pair of servers with one address and, with_listeners, for each bind
 * that has the address of a server.
 */
int own_ports_check(const struct snapshot *snapshot, bool with_listeners, struct config_report *report);
