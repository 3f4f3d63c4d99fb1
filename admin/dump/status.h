/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"

/* The machine. */
struct status_host {
	const struct span *address_list; /* borrowed; what Gateways without spec.addresses are reached at */
	uint32_t address_count;
	/* own_address_has(); NULL: every address of a Gateway counts as one of this machine */
	int (*has_address)(const struct address *address);
	/* For an API server: parents that do not exist are nobody's, so nobody writes about them. */
	bool leaves_missing_out;
};

/*
 * The conditions of an object on this machine, whose addresses are no part of the configuration: they come
 * and go. Keeps a text in `message`, which the caller frees after the conditions.
 */
struct conditions status_conditions(const struct status_object *object, const struct status_host *host,
				    struct text *message);

/*
 * Appends the status of all Kubernetes objects as JSON, in the form of the API: {"items": [...]}, each with
 * apiVersion, kind, metadata and status. Without lastTransitionTime, which belongs to whoever stores it.
 */
void status_write(const struct snapshot *snapshot, const struct status_host *host, struct text *out);

/* Appends a table for people: a line for each object, listener, parent and ancestor, and what is wrong. */
void status_table(const struct snapshot *snapshot, const struct status_host *host, struct text *out);
