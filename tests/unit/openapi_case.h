/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/config_text.h"

#include <string.h>

#include "config/model_openapi.h"

/* A target with an OpenAPI document in place: `paths` and `more` are YAML, of one line each. */
#define OPENAPI_DOCUMENT(paths, more)                                                                        \
	"mcp:\n  targets:\n  - name: a\n    openapi:\n      host: api.example:81\n      schema: |\n"         \
	"        openapi: 3.0.3\n        info: {title: Pets, version: '1.2'}\n"                              \
	"        servers: [{url: 'http://x/v3/'}]\n        paths: {" paths "}\n        " more "\n"
#define OPENAPI_PATHS(paths) OPENAPI_DOCUMENT(paths, "")

/* The first MCP server of the configuration. */
static inline const struct mcp_server *server_of(const struct config_case *c)
{
	static const struct mcp_server none;

	config_case_accepted(c);
	for (uint32_t i = 0; i < c->snapshot->backend_count; i++) {
		if (c->snapshot->backend_list[i].kind == BACKEND_MCP)
			return &c->snapshot->backend_list[i].mcp->server_list[0];
	}
	fail_msg("no MCP backend");
	return &none;
}

/* What it has of a document; the snapshot owns it. */
static inline const struct openapi_api *openapi_of(const struct config_case *c)
{
	struct openapi_api *api = openapi_hold(server_of(c)->api);

	assert_non_null(api);
	openapi_unref(api);
	return api;
}
