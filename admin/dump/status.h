/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"

/* The machine. */
struct status_host {
	const struct span *address_list; /* borrowed; where Gateways without spec.addresses are reached */
	uint32_t address_count;
	/* own_address_has(); NULL: every address of a Gateway counts as one of this machine */
	int (*has_address)(const struct address *address);
	const struct status_listener *const *closed_list; /* borrowed; their ports could not be opened */
	uint32_t closed_count;
	/*
	 * Each Gateway has a Service: fills the list (of at most `max`) with what addresses a load balancer
	 * gave it, and returns how many. NULL: there are no Services.
	 */
	uint32_t (*service_addresses)(const void *context, const struct status_object *gateway,
				      struct status_address *list, uint32_t max);
	const void *context; /* for service_addresses */
	/* Annotation of the definitions of Gateway API, as in "v1.6.3", empty: none; NULL: not known */
	const struct span *bundle_version; /* borrowed */
	/* The definitions of Gateway API are not known to have the fields of the experimental channel. */
	bool lacks_experiments;
	/* For an API server: parents that do not exist are nobody's, so nobody writes about them. */
	bool leaves_missing_out;
};

/*
 * The conditions of an object on this machine and its API server: their addresses and versions are no part of
 * the configuration, they come and go. Keeps a text in `message`, which the caller frees after them.
 */
struct conditions status_conditions(const struct status_object *object, const struct status_host *host,
				    struct text *message);

/* The same for a listener. */
struct conditions status_listener_conditions(const struct status_listener *l, const struct status_host *host);

/*
 * Appends the status of all Kubernetes objects as JSON, in the form of the API: {"items": [...]}, each with
 * apiVersion, kind, metadata and status. Without lastTransitionTime, which belongs to whoever stores it.
 */
void status_write(const struct snapshot *snapshot, const struct status_host *host, struct text *out);

/* Appends a table for people: a line for each object, listener, parent and ancestor, and what is wrong. */
void status_table(const struct snapshot *snapshot, const struct status_host *host, struct text *out);
