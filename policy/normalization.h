/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/model.h"
#include "user/http/path.h"

/* Paths of requests have one spelling when they meet those of routes: what a listener says of it. */

/* False: they stay as they came. */
bool path_rules_of(const struct request_rules *rules, struct path_rules *ret_rules);
/*
 * A warning for each path of a compiled listener's routes that no request has any more once it is normalised,
 * with the path to write. 0 or -ENOMEM.
 */
int normalization_check(const struct listener *listener, struct arena *arena, struct config_report *report);
