/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/errors.h"
#include "config/model.h"

/*
 * Compiles every regular expression of a snapshot's routes, each distinct pattern once: a route that hangs on
 * many listeners costs no more than on one. The snapshot frees them. 0, or -ENOMEM; patterns that do not
 * compile and pseudo headers that do not exist are errors in the report, one each.
 */
int regex_set_compile(struct snapshot *snapshot, struct config_report *report);
