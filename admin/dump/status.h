/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"

/* What a machine's Gateways without spec.addresses are reached at. */
struct status_host {
	const struct span *address_list; /* borrowed */
	uint32_t address_count;
	/* For an API server: parents that do not exist are nobody's, so nobody writes about them. */
	bool leaves_missing_out;
};

/*
 * Appends the status of all Kubernetes objects as JSON, in the form of the API: {"items": [...]}, each with
 * apiVersion, kind, metadata and status. Without lastTransitionTime, which belongs to whoever stores it.
 */
void status_write(const struct snapshot *snapshot, const struct status_host *host, struct text *out);

/* Appends a table for people: a line for each object, listener, parent and ancestor, and what is wrong. */
void status_table(const struct snapshot *snapshot, struct text *out);
