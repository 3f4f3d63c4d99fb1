/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/auth/api_key.h"
#include "user/auth/htpasswd.h"
#include "user/auth/jwt.h"

/* Part of config/model.h: policies that ask clients for credentials (policy/guard/authenticate.h). */

enum location_kind {
	LOCATION_HEADER,
	LOCATION_QUERY,
	LOCATION_COOKIE,
	LOCATION_EXPRESSION, /* which cannot be taken out of a request */
};

struct expression; /* policy/expression/expression.h */

/* Where a request has its credential. */
struct credential_location {
	unsigned kind; /* enum location_kind */
	struct span name; /* of a header in lower case, a query parameter or a cookie */
	struct span prefix; /* of the header's value, "Bearer "; compared without case; empty: none */
	struct span text; /* the expression as written */
	const struct expression *expression;
};

/* In the order of the words. */
enum credential_mode {
	CREDENTIAL_STRICT, /* a valid one is necessary */
	CREDENTIAL_OPTIONAL, /* none is necessary, an invalid one is refused */
	CREDENTIAL_PERMISSIVE, /* an invalid one counts as none */
};

/* A credential that a backend gets, and where. */
struct backend_credential {
	struct credential_location location; /* no expression */
	/*
	 * Secret, as it stands there: behind the prefix of the header, or "name=value". Of `passthrough` only
	 * what stands before the token.
	 */
	struct span text;
};

/* What a backend gets from the gateway to know who asks: policy/guard/backend_auth.h. */
struct backend_auth_policy {
	bool has_key;
	bool has_passthrough; /* instead: the client's token, which jwtAuth has verified and taken out */
	bool has_location; /* false: Authorization: Bearer */
	struct backend_credential own; /* of the key or the token, if it has one of them */
	struct backend_credential *credential_list; /* beside it */
	uint32_t credential_count;
};

struct basic_auth_policy {
	struct htpasswd users;
	struct span realm;
	unsigned mode; /* enum credential_mode */
	struct credential_location location;
	struct span challenge; /* of WWW-Authenticate; made from the realm */
};

struct api_key_policy {
	struct api_keys keys;
	unsigned mode;
	struct credential_location location;
	struct span challenge;
};

/* In the order of the words. */
enum authorization_effect {
	AUTHORIZATION_ALLOW,
	AUTHORIZATION_DENY,
	AUTHORIZATION_REQUIRE,
};

/* It holds if all of its expressions do. */
struct authorization_rule {
	unsigned effect; /* enum authorization_effect */
	struct span *text_list; /* the expressions as written */
	struct expression *expression_list;
	uint32_t expression_count;
};

/* policy/guard/authorize.h. The rules of all levels count. */
struct authorization_policy {
	struct authorization_rule *rule_list;
	uint32_t rule_count;
	uint32_t needs; /* enum expression_needs, of all expressions */
};

/* In the order of the words. */
enum mcp_provider {
	MCP_PROVIDER_AUTH0,
	MCP_PROVIDER_KEYCLOAK,
	MCP_PROVIDER_OKTA,
	MCP_PROVIDER_DESCOPE,
	MCP_PROVIDER_AUTHENTIK,
	MCP_PROVIDER_ENTRA,
	MCP_PROVIDERS,
};

/* What clients of MCP are told about tokens: policy/guard/mcp_metadata.h. */
struct mcp_auth {
	struct span issuer;
	bool has_provider;
	unsigned provider; /* enum mcp_provider */
	struct span metadata; /* resourceMetadata as JSON, as written */
	/* Made from it: members of the metadata of the resource that no request changes, as JSON. */
	struct span members;
	bool has_resource, has_servers; /* `members` has them */
	struct span origin; /* scheme://authority of its `resource`; empty: that of each request */
	struct span server_url; /* metadata of the authorization server (RFC 8414 3) */
};

struct jwt_auth_policy {
	struct jwt_providers providers;
	unsigned mode;
	struct credential_location location;
	struct span challenge; /* without a token */
	struct span challenge_invalid; /* with one that is refused */
	const struct mcp_auth *mcp; /* NULL: not for MCP; else the challenge names the metadata */
};
