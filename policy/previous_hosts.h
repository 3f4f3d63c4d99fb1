/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "user/base/limits.h"

/*
 * The endpoints that failed for a request, so that its next attempt uses another one. Beyond
 * LIMIT_PREVIOUS_HOSTS the oldest is dropped.
 */
struct previous_hosts {
	uint32_t count; /* of all noted endpoints */
	struct previous_host {
		uint32_t backend; /* index in the snapshot */
		uint32_t endpoint; /* index in the backend */
	} list[LIMIT_PREVIOUS_HOSTS];
};

void previous_hosts_add(struct previous_hosts *previous_hosts, uint32_t backend, uint32_t endpoint);
/* tried NULL: none. */
bool previous_hosts_has(const struct previous_hosts *previous_hosts, uint32_t backend, uint32_t endpoint);
