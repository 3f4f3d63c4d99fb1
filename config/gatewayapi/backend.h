/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * AgentgatewayBackends, and references of routes to backends of every kind. A backend that cannot be served
 * (`ai`, `aws`, `a2a`, a policy that protects and is not supported) makes its references answer 500 with the
 * reason; it never prevents the rest from being served.
 */
struct named_backend {
	const struct manifest_object *object;
	struct backend *backend; /* NULL: invalid */
	const char *invalid_reason; /* of an invalid one; NULL: its error was reported */
};

/* Fills m->backends. Services must be known. */
void backends_decode(struct manifests *m);

/* What may refer to a backend. */
enum backend_user {
	BACKEND_USER_HTTP,
	BACKEND_USER_TCP,
	BACKEND_USER_MIRROR,
	BACKEND_USER_SERVICE, /* a policy that asks it */
};

/*
 * Decodes one backendRef of a route, a mirror or a policy: sets backend and its name, or marks the reference
 * invalid with a warning (unknown port, missing ReferenceGrant, a kind that is not supported). Does not
 * register the reference. False after an error.
 */
bool backend_ref_decode(struct manifests *m, const struct yaml_node *node,
			const struct manifest_object *route, enum backend_user user, struct backend_ref *ref);
