/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/http/head.h"

/*
 * Puts the credentials for a backend into a head, in place of what the client sent there under any spelling.
 * The fields of the head must be a copy: what reads the request later must not see the credentials. token: of
 * the client, verified; empty: none. Without one, `passthrough` adds nothing, and removes what the client
 * sent at a place that the policy names. 0, or as credential_insert().
 */
int backend_auth_apply(const struct backend_auth_policy *policy, struct span token, struct request_head *head,
		       struct arena *arena);
