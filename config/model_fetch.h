/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/fetched.h"
#include "user/base/span.h"

/* Part of config/model.h: what the gateway fetches from URLs (user/gateway/fetcher.h). */

enum fetch_kind {
	FETCH_KEYS, /* of an issuer: struct jwk_set */
	FETCH_OPENAPI, /* struct openapi_api */
	FETCH_KINDS,
};

struct backend;
struct backend_ref;
struct backend_tls;

struct fetch_source {
	enum fetch_kind kind;
	struct span url; /* as written; of a reference: its backend and the path */
	struct span prefix; /* FETCH_OPENAPI: as in struct mcp_server */
	const struct backend *backend;
	const struct backend_ref *ref; /* to the backend; NULL: it is that of the URL */
	struct span path; /* with its query */
	uint32_t keep_s; /* 0: as long as the response says */
	struct fetched **place; /* of who uses it; what is there has no value until the URL is fetched */
	const struct backend_tls *tls; /* set by policy_compile(); NULL: plaintext */
	struct span authority; /* set by policy_compile() */
};
