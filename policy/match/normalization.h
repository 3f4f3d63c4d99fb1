/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"
#include "user/http/path.h"

/*
 * Normalization of request paths before they are compared with those of routes, by the rules of a listener.
 */

/* Returns false if paths stay unchanged. */
bool path_rules_of(const struct request_rules *rules, struct path_rules *ret_rules);
/*
 * Warns about each path of a compiled listener's routes that no normalized request path can equal, with the
 * path to write. 0 or -ENOMEM.
 */
int normalization_check(const struct listener *listener, struct arena *arena, struct config_report *report);
