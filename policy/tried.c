/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tried.h"

void tried_note(struct tried_endpoints *tried, uint32_t backend, uint32_t endpoint)
{
	if (tried_has(tried, backend, endpoint))
		return;
	tried->list[tried->count++ % LIMIT_TRIED_ENDPOINTS] = (struct tried_endpoint){ backend, endpoint };
}

bool tried_has(const struct tried_endpoints *tried, uint32_t backend, uint32_t endpoint)
{
	uint32_t count = tried ? tried->count : 0;

	if (count > LIMIT_TRIED_ENDPOINTS)
		count = LIMIT_TRIED_ENDPOINTS;
	for (uint32_t i = 0; i < count; i++) {
		if (tried->list[i].backend == backend && tried->list[i].endpoint == endpoint)
			return true;
	}
	return false;
}
