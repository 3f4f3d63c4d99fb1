/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/previous_hosts.h"

void previous_hosts_add(struct previous_hosts *previous_hosts, uint32_t backend, uint32_t endpoint)
{
	if (previous_hosts_has(previous_hosts, backend, endpoint))
		return;
	previous_hosts->list[previous_hosts->count++ % LIMIT_PREVIOUS_HOSTS] =
		(struct previous_host){ backend, endpoint };
}

bool previous_hosts_has(const struct previous_hosts *previous_hosts, uint32_t backend, uint32_t endpoint)
{
	uint32_t count = previous_hosts ? previous_hosts->count : 0;

	if (count > LIMIT_PREVIOUS_HOSTS)
		count = LIMIT_PREVIOUS_HOSTS;
	for (uint32_t i = 0; i < count; i++) {
		if (previous_hosts->list[i].backend == backend &&
		    previous_hosts->list[i].endpoint == endpoint)
			return true;
	}
	return false;
}
