/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/decode.h"

/* The `config:` section on top of the defaults already in *config. */
void standalone_static(struct decoder *d, const struct yaml_node *node, struct static_config *config);
