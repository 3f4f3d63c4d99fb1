/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/values/openapi_schema.h"
#include "config/model_openapi.h"

/* An operation of a document, which becomes a tool. */
struct openapi_source {
	struct span path; /* the key of the path item */
	struct span method; /* "GET"; TRACE is no tool, because it shows credentials */
	const struct yaml_node *item; /* the path item */
	const struct yaml_node *node; /* the operation */
};

/*
 * Fills *ret: a tool with this name, whose requests go below `prefix`. False: reported, as an error, or as a
 * warning if the document is right, but no tool can do what the operation needs.
 */
bool openapi_operation_read(struct openapi_document *document, const struct openapi_source *source,
			    struct span prefix, struct span name, struct openapi_operation *ret);
/* True for a path without a query, a template and dot segments, or an empty one. */
bool openapi_path_is_valid(struct span path);
