/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/target/remote_request.h"

/*
 * A REST API as an MCP server: its operations are tools (config/model_openapi.h). The gateway itself answers
 * all messages but tools/call, which is one request to the API.
 */
struct api_options {
	struct remote_place place; /* its modifier and TLS are in its snapshot */
	struct fetched *api; /* struct openapi_api; in the snapshot */
	struct span name; /* of the target, for clients if the document has no title; in the snapshot */
};

/* 0 or -ENOMEM. */
int api_open(struct mcp_targets *targets, const struct api_options *options,
	     const struct mcp_target_events *events, void *owner, struct mcp_target **ret_target);
