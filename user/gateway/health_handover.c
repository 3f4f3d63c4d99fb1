/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/health_handover.h"

#include "user/base/log.h"

void health_handover_send(const struct health_registry *registry, const struct takeover *takeover)
{
	struct buf saved;

	buf_init(&saved);
	if (health_registry_save(registry, &saved) < 0)
		log_warn("upgrade: no memory to hand over the health of all endpoints");
	/* Without memory also, because the new program waits. */
	takeover_send_health(takeover, buf_span(&saved));
	buf_done(&saved);
}

void health_handover_take(struct health_registry *registry, struct takeover *takeover)
{
	struct buf saved;
	uint32_t count;

	buf_init(&saved);
	takeover_take_health(takeover, &saved);
	count = health_registry_restore(registry, buf_span(&saved));
	if (count)
		log_info("upgrade: the health of %u endpoints is that of the program before", count);
	buf_done(&saved);
}
