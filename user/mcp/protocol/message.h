/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/json/json_text.h"
#include "user/mcp/protocol/fault.h"

/* One JSON-RPC 2.0 message as MCP uses it. Spans point into the text of the message. */
enum mcp_kind {
	MCP_REQUEST,
	MCP_NOTIFICATION,
	MCP_RESULT,
	MCP_ERROR,
};

/* Protocol versions, oldest first, so that they can be compared. */
enum mcp_version {
	MCP_VERSION_NONE, /* missing or unknown */
	MCP_2024_11_05,
	MCP_2025_03_26,
	MCP_2025_06_18,
	MCP_2025_11_25,
	MCP_2026_07_28, /* no sessions from this version on */
	MCP_VERSION_COUNT,
};

enum mcp_version mcp_version_of(struct span text);
struct span mcp_version_text(enum mcp_version version);

/* The methods that the gateway handles; all others are MCP_METHOD_OTHER. */
enum mcp_method {
	MCP_METHOD_OTHER,
#define MCP_METHOD(id, text) MCP_METHOD_##id,
#include "user/mcp/protocol/methods.def"
#undef MCP_METHOD
	MCP_METHOD_COUNT,
};

struct span mcp_method_text(enum mcp_method method);

struct mcp_message {
	enum mcp_kind kind;
	enum mcp_method method; /* of a request or notification */
	struct span text; /* the complete message, trimmed */
	struct span id; /* its JSON text: 7, "seven"; empty for a notification */
	struct span method_text; /* between the quotes; without escapes */
	struct span params; /* an object (or array), or empty */
	struct span result; /* of MCP_RESULT: any value */
	struct span error; /* of MCP_ERROR: an object */
	/* The object of a request: the value's JSON text with its quotes, or empty. */
	struct span name; /* params.name, params.ref.name */
	struct span uri; /* params.uri, params.ref.uri */
	struct span task; /* params.taskId */
	struct span cursor; /* params.cursor */
	struct span meta; /* params._meta or result._meta */
	struct span token; /* params._meta.progressToken of a request, params.progressToken of progress */
	struct span subscription; /* _meta.io.modelcontextprotocol/subscriptionId */
	struct span request_id; /* params.requestId of notifications/cancelled */
	struct span version_text; /* _meta.io.modelcontextprotocol/protocolVersion, params.protocolVersion of
				     initialize: between the quotes */
	bool is_modern; /* _meta contains the version: 2026-07-28 or later */
	/*
	 * A reader that ignores case could find another method, name or URI in it: not for requests that
	 * rules decide about.
	 */
	bool has_alias;
	bool has_capabilities; /* _meta.io.modelcontextprotocol/clientCapabilities is an object */
};

/* The body of a POST or a line of a child: one message, or a batch (2025-03-26). */
struct mcp_post {
	struct span text; /* borrowed */
	struct mcp_message first;
	bool is_batch;
	uint32_t count;
	uint32_t requests; /* number of requests in it */
};

/*
 * Validates and reads all of `text`. MCP_NONE, or the fault; then first.id is the id for the response, if it
 * could be read.
 */
enum mcp_fault mcp_post_read(struct mcp_json_checker *checker, struct span text, struct mcp_post *ret);
/* Iterates over the messages of a post: *at starts at 0; false after the last one. */
bool mcp_post_next(const struct mcp_post *post, size_t *at, struct mcp_message *ret);
/* Whether the post is a single initialize request. */
bool mcp_post_is_initialize(const struct mcp_post *post);
/* Whether _meta contains a version: the protocol without sessions. */
bool mcp_message_is_modern(const struct mcp_message *m);
