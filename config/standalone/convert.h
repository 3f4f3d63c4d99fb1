/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Rewrites a standalone document that loads to the current form: `binds`, and the port of `mcp`, become
 * `gateways` with routes at the top level, and policies name listeners by their new names. What has no place
 * in that form is reported as an error. Returns the root of a new tree, in the decoder's arena, that borrows
 * from the old one; NULL: no memory (d->failed).
 */
const struct yaml_node *standalone_convert(struct decoder *d, const struct yaml_node *root);
