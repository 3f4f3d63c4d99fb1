/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/limits.h"

/*
 * Where a request has been and found nobody, so that its next attempt goes elsewhere. Beyond
 * LIMIT_TRIED_ENDPOINTS the oldest is forgotten.
 */
struct tried_endpoints {
	uint32_t count; /* of all that were noted */
	struct tried_endpoint {
		uint32_t backend; /* index in the snapshot */
		uint32_t endpoint; /* index in the backend */
	} list[LIMIT_TRIED_ENDPOINTS];
};

void tried_note(struct tried_endpoints *tried, uint32_t backend, uint32_t endpoint);
/* tried: NULL: nowhere. */
bool tried_has(const struct tried_endpoints *tried, uint32_t backend, uint32_t endpoint);
