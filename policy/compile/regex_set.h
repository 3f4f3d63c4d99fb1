/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"

/*
 * Compiles every regular expression of a snapshot's routes, each distinct pattern once: a route on many
 * listeners costs no more than on one. The snapshot frees them. Returns 0, or -ENOMEM; invalid patterns and
 * unknown pseudo headers are errors in the report.
 */
int regex_set_compile(struct snapshot *snapshot, struct config_report *report);
