/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/gatewayapi/condition.h"
#include "config/gatewayapi/object.h"

/*
 * The status of the objects of a configuration: helpers of the decoders, which set what is wrong while they
 * read, and the last step, which sets what is right and sums up.
 */

/* Sets a condition to False; the text begins with its reason, or gets `fallback`. */
void status_fail_text(struct decoder *d, struct conditions *conditions, enum condition_type type,
		      struct span text, const char *fallback);
/* The same with a reason and a format. */
void status_fail(struct decoder *d, struct conditions *conditions, enum condition_type type,
		 const char *reason, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Appends an entry to `parents` or `ancestors`. NULL: no memory. */
struct status_parent *status_parent_new(struct decoder *d, struct status_object *status);

/*
 * A target of a policy, with its conditions. Its Gateways become the ancestors of the policy: the Gateway
 * itself, those that accept the route, or those with a route to the Service.
 */
struct status_target {
	struct status_object *status; /* of the policy */
	enum manifest_kind kind;
	struct span namespace;
	struct span name;
	struct conditions conditions;
};

struct status_target *status_target_new(struct manifests *m, struct status_object *status,
					enum manifest_kind kind, struct span namespace, struct span name);
/* Records that a Gateway has a route with these references. */
void status_use_services(struct manifests *m, const struct backend_ref *list, uint32_t count,
			 const struct manifest_object *gateway);

/* After everything else: completes the conditions, and gives the list to the snapshot. */
void status_finish(struct manifests *m);
void status_done(struct manifests *m);
