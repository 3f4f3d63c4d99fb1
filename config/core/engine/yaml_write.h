/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/yaml_node.h"

/*
 * Writes a tree as YAML that yaml_load() reads as the same tree: block style, and the words of plain scalars
 * as they were. Comments and anchors are not in a tree, so they are lost. text_error() tells lack of memory.
 */
void yaml_write(const struct yaml_node *node, struct text *out);
