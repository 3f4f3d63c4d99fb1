/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"
#include "config/model_openapi.h"

/*
 * Reads the key `schema` of a target: an OpenAPI document of version 3.0 or 3.1, YAML or JSON, in place or in
 * a file, which is watched. prefix: of all paths, "/": that of the document's server. Operations that cannot
 * be tools are left out, with a warning. NULL: reported.
 */
const struct openapi_api *openapi_value(struct decoder *d, const struct yaml_node *node, struct span prefix);
