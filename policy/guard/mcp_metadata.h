/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "policy/guard/guard.h"

/*
 * How clients of MCP learn where to get tokens: the metadata of the protected resource (RFC 9728) at
 * /.well-known/oauth-protected-resource, with or without the path of the endpoint behind it, and that of the
 * authorization server (RFC 8414) at /.well-known/oauth-authorization-server. Nobody needs a token for them.
 */

/* GUARD_PASS: the path is none of these. Otherwise the answer, or an error as of a guard. */
int mcp_metadata_answer(const struct mcp_auth *auth, const struct guard_facts *facts,
			struct guard_answer *answer);
/*
 * The challenge of a 401, which names the metadata (RFC 9728 5.1, RFC 6750 3). is_invalid: there was a token.
 * In memory of the arena of the answer; data NULL without memory.
 */
struct span mcp_metadata_challenge(const struct mcp_auth *auth, const struct guard_facts *facts,
				   bool is_invalid, const struct guard_answer *answer);
