/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/guard/backend_auth.h"

#include <errno.h>

#include "policy/guard/credential.h"

static int replace(const struct credential_location *location, struct span text, struct request_head *head,
		   struct arena *arena)
{
	int error = credential_remove(location, head, arena);

	return error ? error : credential_insert(location, text, head, arena);
}

static int pass_token(const struct backend_auth_policy *policy, struct span token, struct request_head *head,
		      struct arena *arena)
{
	struct span before = policy->own.text;
	char *bytes;

	if (!token.len)
		return policy->has_location ? credential_remove(&policy->own.location, head, arena) : 0;
	bytes = arena_bytes(arena, before.len + token.len);
	if (!bytes)
		return -ENOMEM;
	if (before.len)
		memcpy(bytes, before.data, before.len);
	memcpy(bytes + before.len, token.data, token.len);
	return replace(&policy->own.location, span_of(bytes, before.len + token.len), head, arena);
}

int backend_auth_apply(const struct backend_auth_policy *policy, struct span token, struct request_head *head,
		       struct arena *arena)
{
	int error = 0;

	if (policy->has_key)
		error = replace(&policy->own.location, policy->own.text, head, arena);
	else if (policy->has_passthrough)
		error = pass_token(policy, token, head, arena);
	for (uint32_t i = 0; i < policy->credential_count && !error; i++)
		error = replace(&policy->credential_list[i].location, policy->credential_list[i].text, head,
				arena);
	return error;
}
