/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"

/*
 * Rewrites a valid standalone document in the current form: `binds`, and the port of `mcp`, become
 * `gateways`; routes move to the top level; policies name listeners by their new names. Reports an error for
 * each part that the current form cannot express. Returns the root of a new tree, in the decoder's arena,
 * that borrows from the old one; NULL: no memory (d->failed).
 */
const struct yaml_node *standalone_convert(struct decoder *d, const struct yaml_node *root);
