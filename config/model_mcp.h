/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/span.h"

/* A backend of kind BACKEND_MCP, as part of a snapshot (config/model.h). */

enum mcp_transport {
	MCP_STDIO, /* a child process */
	MCP_HTTP, /* streamable HTTP */
	MCP_SSE, /* HTTP+SSE of 2024-11-05 */
	MCP_OPENAPI, /* a REST API, whose operations are tools */
};

/* In the order of the words of prefixMode. */
enum mcp_prefixes {
	MCP_PREFIXES_CONDITIONAL, /* with more than one target */
	MCP_PREFIXES_ALWAYS,
	MCP_PREFIXES_NEVER,
};

/* In the order of the words of statefulMode and failureMode. */
enum mcp_states {
	MCP_STATES_KEPT,
	MCP_STATES_NONE, /* a session per request */
};

enum mcp_failures {
	MCP_FAILURES_CLOSED,
	MCP_FAILURES_OPEN, /* continue without a lost server */
};

/* config.limits; limits of the process unless stated otherwise. */
struct mcp_limits {
	uint32_t sessions;
	uint32_t sessions_per_client; /* per client address */
	uint32_t uninitialized_sessions; /* sessions whose client has sent nothing after initialize */
	uint32_t children; /* processes */
	uint32_t message_bytes; /* per message, in either direction */
};

struct backend;
struct backend_proxy;
struct backend_tls;
struct header_modifier;
struct fetched; /* user/base/fetched.h */
struct policy_value;

/* An MCP server behind a backend. */
struct mcp_server {
	struct span name;
	enum mcp_transport transport;
	/* MCP_STDIO: NUL-terminated strings; lists end with NULL */
	const char *command;
	const char **argument_list;
	uint32_t argument_count;
	const char **environment_list; /* "NAME=value" */
	uint32_t environment_count;
	bool clear_environment;
	/* All others */
	/* of kind BACKEND_HOST or BACKEND_SERVICE, with at least one endpoint: each session uses one */
	const struct backend *backend;
	uint16_t service_port; /* BACKEND_SERVICE: for the policies of this port */
	/*
	 * Set by policy_compile(): the TLS policy of the backend, or the one implied by https://. NULL:
	 * plaintext
	 */
	const struct backend_tls *tls;
	const struct header_modifier *request_headers; /* set by policy_compile(); NULL: none */
	const struct backend_proxy *proxy; /* set by policy_compile(); as in struct backend_ref */
	struct policy_value *policy_list; /* its own, which override those of the backend */
	uint32_t policy_count;
	/* set by policy_compile(): with TLS in the form of an https URL; empty: that of the backend */
	struct span authority;
	struct span backend_name; /* as in the dump */
	struct span path; /* MCP_OPENAPI: "/", or the prefix of all paths instead of that of the document */
	struct fetched *api; /* MCP_OPENAPI: struct openapi_api, of config/model_openapi.h */
	struct span api_url; /* where it is fetched from; empty: it is fixed */
};

/* Several servers, served as one. */
struct mcp_servers {
	struct mcp_server *server_list;
	uint32_t server_count;
	const struct span *name_list; /* of the servers, in the same order */
	enum mcp_states states;
	enum mcp_prefixes prefixes;
	enum mcp_failures failures;
	bool only_localhost; /* dnsRebindingProtection: client, Host and Origin */
	struct span *origin_list; /* allowedOrigins, "https://name:port" or "*" */
	uint32_t origin_count;
};
