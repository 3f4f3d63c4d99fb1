/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/decode.h"
#include "config/model_openapi.h"

/*
 * Reads an OpenAPI document of version 3.0 or 3.1, YAML or JSON. file: in messages; node: where the document
 * is named, NULL: nowhere. prefix: of all paths, "/": that of the document's server. Operations that cannot
 * be tools are left out, with a warning. One reference, or NULL: reported, or no memory (*ret_failed).
 */
struct openapi_api *openapi_read(struct config_report *report, const struct yaml_node *node, struct span file,
				 struct span text, struct span prefix, bool *ret_failed);
/*
 * The key `schema` of a target, whose path is set: such a document in place, in a file, which is watched, or
 * behind a URL. False: reported.
 */
bool openapi_value(struct decoder *d, const struct yaml_node *node, struct mcp_server *server);
