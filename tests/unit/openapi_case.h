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

static inline const struct openapi_api *openapi_of(const struct config_case *c)
{
	static struct openapi_operation nothing;
	static const struct openapi_api none = { .operation_list = &nothing };

	config_case_accepted(c);
	for (uint32_t i = 0; i < c->snapshot->backend_count; i++) {
		if (c->snapshot->backend_list[i].kind == BACKEND_MCP)
			return c->snapshot->backend_list[i].mcp->server_list[0].api;
	}
	fail_msg("no MCP backend");
	return &none;
}
