/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/limits.h"

/*
 * Where a request has been and found nobody, so that its next attempt goes elsewhere. Beyond
 * LIMIT_PREVIOUS_HOSTS the oldest is forgotten.
 */
struct previous_hosts {
	uint32_t count; /* of all that were noted */
	struct previous_host {
		uint32_t backend; /* index in the snapshot */
		uint32_t endpoint; /* index in the backend */
	} list[LIMIT_PREVIOUS_HOSTS];
};

void previous_hosts_add(struct previous_hosts *previous_hosts, uint32_t backend, uint32_t endpoint);
/* tried: NULL: nowhere. */
bool previous_hosts_has(const struct previous_hosts *previous_hosts, uint32_t backend, uint32_t endpoint);
