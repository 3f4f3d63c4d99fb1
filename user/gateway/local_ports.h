/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/kernel/local/local.h"

/*
 * Updates the ports whose connections the same-host lanes may pair: removes those of `from` that are not in
 * `to`, adds those of `to`. Each argument may be NULL.
 */
void local_ports_follow(struct local *local, const struct snapshot *from, const struct snapshot *to);
