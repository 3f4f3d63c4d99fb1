/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/object.h"

/*
 * Objects of unknown kinds. Most do not concern a gateway. But an object with targets that concerns security
 * (TLS, authentication, authorization), or resembles one of our own kinds, must not be ignored: its targets
 * answer 500 instead of being served without protection. This includes policies of ours in an unknown
 * version.
 */

/* Keeps an object of an unknown kind; `group` and `kind` are borrowed. */
void unknown_kind_add(struct manifests *m, struct yaml_document *document, struct span group,
		      struct span kind);
/*
 * The same for a policy that has no name or exists twice, and, with an empty kind, for an object without a
 * kind.
 */
void unknown_kind_add_broken(struct manifests *m, struct yaml_document *document, struct span group,
			     struct span kind);
/* After all objects: reports each of them, and records what must not be served. */
void unknown_kinds_decode(struct manifests *m);

/* Asks whether an object, or a part (listener, rule, port), must not be served to routes of a kind. */
struct unknown_kind_question {
	enum manifest_kind kind;
	struct span namespace;
	struct span name;
	struct span section; /* empty: only refusals of the whole object count */
	enum manifest_kind route; /* TLSRoute: its bytes are already encrypted */
};
bool unknown_kind_refuses(const struct manifests *m, const struct unknown_kind_question *question);
/* True if the name of a key or kind does not concern TLS, authentication and the like. */
bool unknown_kind_is_harmless_word(struct span name);
#define UNKNOWN_KIND_REFUSAL "a policy asks for security here that this gateway does not provide"
/* Refuses an object; `kind` as written. False: no objects of that kind are served here. */
bool unknown_kind_refuse(struct manifests *m, struct span kind, struct span namespace, struct span name,
			 struct span section);
/* The same for a policy that needs what is missing here: TLSRoutes are refused, too. */
void unknown_kind_refuse_object(struct manifests *m, enum manifest_kind kind, struct span namespace,
				struct span name, struct span section);
/*
 * Refuses what a target of a policy names, as far as it can be read: an object by its name, objects by their
 * labels, or, without a name and labels, all objects of its kind in the namespace. False: no objects of that
 * kind are served here.
 */
bool unknown_kind_refuse_target(struct manifests *m, struct span namespace, const struct yaml_node *node);
void strangers_done(struct manifests *m);
