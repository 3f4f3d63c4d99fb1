/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"

/*
 * Warns about what is valid in a compiled snapshot, but surely not meant (`headgate lint`):
 *
 *   - credentials that are not necessary: mode optional or permissive
 *   - no deadline for the requests of any route
 *   - a route that gets no requests because another one has them all: a request is made that its match just
 *     fits, and the route of that request is searched. Matches with regular expressions are not judged
 *   - credentials for pages of every origin
 *   - clients of MCP that are told to look for a token at a path that their route does not match
 *   - a listener without routes
 *
 * 0 or -ENOMEM.
 */
int doubts_warn(const struct snapshot *snapshot, struct config_report *report);
