/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/mcp/fault.h"
#include "user/mcp/json_text.h"

/* One message of JSON-RPC 2.0 as MCP uses it. Spans point into the text it was read from. */
enum mcp_kind {
	MCP_REQUEST,
	MCP_NOTIFICATION,
	MCP_RESULT,
	MCP_ERROR,
};

/* Revisions in order of time, so that the lowest of several is a comparison. */
enum mcp_version {
	MCP_VERSION_NONE, /* not said, or not one we know */
	MCP_2024_11_05,
	MCP_2025_03_26,
	MCP_2025_06_18,
	MCP_2025_11_25,
	MCP_2026_07_28, /* from here on without sessions */
	MCP_VERSION_COUNT,
};

enum mcp_version mcp_version_of(struct span text);
struct span mcp_version_text(enum mcp_version version);

/* What the gateway does something about. */
enum mcp_method {
	MCP_METHOD_OTHER,
#define MCP_METHOD(id, text) MCP_METHOD_##id,
#include "user/mcp/methods.def"
#undef MCP_METHOD
	MCP_METHOD_COUNT,
};

struct span mcp_method_text(enum mcp_method method);

struct mcp_message {
	enum mcp_kind kind;
	enum mcp_method method; /* of a request or notification */
	struct span text; /* all of it, without blanks around */
	struct span id; /* its text: 7, "seven"; empty for a notification */
	struct span method_text; /* between the quotes; has no escapes */
	struct span params; /* an object (or array), or empty */
	struct span result; /* of MCP_RESULT: any value */
	struct span error; /* of MCP_ERROR: an object */
	/* What names the thing a request is about, a value's text with its quotes, or empty. */
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
	bool is_modern; /* _meta says the version: of the generation without sessions */
	bool has_capabilities; /* _meta.io.modelcontextprotocol/clientCapabilities is an object */
};

/* A body or line: one message, or a batch of them (2025-03-26). */
struct mcp_post {
	struct span text; /* borrowed */
	struct mcp_message first;
	bool is_batch;
	uint32_t count;
	uint32_t requests; /* that want an answer */
};

/*
 * Reads and checks all of `text`. MCP_NONE, or what is wrong with it; then first.id is the id to answer with
 * if it could be read.
 */
enum mcp_fault mcp_post_read(struct mcp_json_checker *checker, struct span text, struct mcp_post *ret);
/* The messages of a post in their order: *at begins at 0. false behind the last one. */
bool mcp_post_next(const struct mcp_post *post, size_t *at, struct mcp_message *ret);
/* True for an initialize request, alone in its post. */
bool mcp_post_is_initialize(const struct mcp_post *post);
/* Revision of a request that carries one in _meta: the generation without sessions. */
bool mcp_message_is_modern(const struct mcp_message *m);
