/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/snapshot.h"
#include "user/kernel/local/local.h"

/*
 * The ports whose connections the same-host lanes may pair: those of `from` that `to` has no more are
 * forgotten, those of `to` are made known. Any of the three may be NULL.
 */
void local_ports_follow(struct local *local, const struct snapshot *from, const struct snapshot *to);
