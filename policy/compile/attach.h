/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"

/* Attached policies by target. Exists only while a snapshot is compiled. */

/* From weak to strong: the strongest level that sets a kind wins, as a whole object. */
enum policy_level {
	LEVEL_NONE,
	LEVEL_GATEWAY,
	LEVEL_GATEWAY_PORT, /* a gateway, restricted to one port */
	LEVEL_LISTENER_SET,
	LEVEL_LISTENER,
	LEVEL_BACKEND, /* a named backend, or a service with all its ports */
	LEVEL_BACKEND_PORT, /* one port of a service, one target of an MCP backend */
	LEVEL_PARENT, /* the route that delegates to it, with all that is written there */
	LEVEL_ROUTE,
	LEVEL_RULE,
	LEVEL_INLINE_ROUTE, /* written in the rule itself */
	LEVEL_INLINE_BACKEND, /* written in the backend */
	LEVEL_INLINE_REF, /* written where the route names the backend */
};

struct attachment {
	struct targeted_policy *policy;
	struct arena *arena; /* the snapshot's */
	struct span namespace; /* of the target object */
	bool is_foreign; /* the namespace differs from the one in the policy: see attachments_build */
	bool is_excused; /* another warning already reports why it has no effect */
	bool is_tied; /* the tie has been reported */
};

struct attachments {
	struct attachment *list; /* in the scratch arena; by target, then in winning order */
	uint32_t count;
};

struct attachment_run {
	struct attachment *list;
	uint32_t count;
};

/*
 * Finds the namespace that each policy applies to, and sorts. A policy on a gateway that does not exist in
 * its namespace applies to the only gateway of that name in another one, with a warning;
 * target.attach_namespace is set to that namespace. A policy of a kind that cannot affect its target is
 * excused with a warning. Clears is_attached of all. 0 or -ENOMEM.
 */
int attachments_build(struct snapshot *snapshot, struct arena *scratch, struct config_report *report,
		      struct attachments *ret_attachments);
/* Returns all policies on that object and its parts, in winning order. */
struct attachment_run attachments_of(const struct attachments *attachments, enum target_kind kind,
				     struct span namespace, struct span name);
/*
 * Warns about every policy that has no existing target and is not excused. A guard of a standalone file,
 * which is complete, is an error then: manifests may get the target later.
 */
void attachments_finish(const struct attachments *attachments, struct config_report *report);

/*
 * Compares policies of one level; negative if `a` wins: by the gateway's own namespace, then age, then the
 * smaller key.
 */
int attachment_compare(const struct attachment *a, const struct attachment *b);

/*
 * Returns the level of a policy on a gateway for one listener; LEVEL_NONE: it has another target, or is
 * excused.
 */
enum policy_level attachment_on_listener(const struct attachment *attachment, const struct listener *listener,
					 uint16_t port);
/* The same for one rule of a route. `kind` as in struct route; a target without a kind matches every kind. */
enum policy_level attachment_on_route(const struct attachment *attachment, struct span rule_name,
				      struct span kind);
/* The same for one target of an MCP backend, by its name. */
enum policy_level attachment_on_target(const struct attachment *attachment, struct span name);
/* The same for one port of a service; the port is 0 for named backends. */
enum policy_level attachment_on_backend(const struct attachment *attachment, uint16_t port);

enum policy_section policy_section_of(enum policy_kind kind);
const char *policy_kind_name(enum policy_kind kind); /* as in the dump */

/* Reports `policy KEY: its TARGET KIND ` and the sentence as a warning at the place of the policy. */
void attachment_warn(struct config_report *report, const struct targeted_policy *policy, const char *format,
		     ...) __attribute__((format(printf, 3, 4)));
