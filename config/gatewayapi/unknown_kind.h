/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Objects of kinds that are not understood here. Most have nothing to do with a gateway. One that names what
 * it applies to and asks for security (TLS, authentication, authorization), or is written like one of our
 * own kinds, must not be passed over: what it protects answers 500 instead of being served without it. A
 * policy of ours in a version that is not known is one of them.
 */

/* Keeps an object whose kind is not in the table; `group` and `kind` are borrowed. */
void unknown_kind_add(struct manifests *m, struct yaml_document *document, struct span group,
		      struct span kind);
/* After all objects: says what is thought of each, and notes what they forbid. */
void unknown_kinds_decode(struct manifests *m);

/* An object, or its part of that name (listener, rule, port), may not be served to routes of a kind. */
struct unknown_kind_question {
	enum manifest_kind kind;
	struct span namespace;
	struct span name;
	struct span section; /* empty: only refusals of all of it are meant */
	enum manifest_kind route; /* TLSRoute: what it passes through is encrypted already */
};
bool unknown_kind_refuses(const struct manifests *m, const struct unknown_kind_question *question);
/* The name of a key or kind says nothing of TLS, authentication and the like. */
bool unknown_kind_is_harmless_word(struct span name);
#define UNKNOWN_KIND_REFUSAL "a policy asks for security here that this gateway does not provide"
/* Makes it so: `kind` as it is written. False: nothing of that kind is served here. */
bool unknown_kind_refuse(struct manifests *m, struct span kind, struct span namespace, struct span name,
			 struct span section);
void strangers_done(struct manifests *m);
