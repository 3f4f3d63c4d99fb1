/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/json_writer.h"

/*
 * GET /config_dump: the current snapshot as JSON. Names, casing, order, nulls and key formats are those of
 * agentgateway's documentation, so that its jq queries work unchanged: binds, policies and backends are
 * arrays sorted by key, listeners and routes objects by key (never null or absent), durations Go text,
 * statuses "503 Service Unavailable"; unset members of frontend policies are null, all others are omitted.
 */

/* Runtime values that differ from the configuration or are not in it. */
struct config_dump_facts {
	uint32_t worker_count;
	struct span admin_addr; /* in use: the environment overrides the configuration */
	struct span stats_addr;
	struct span readiness_addr;
};

/* 0 or -ENOMEM. */
int config_dump(const struct snapshot *snapshot, const struct config_dump_facts *facts, struct text *out);
/* One element of `matches` of a route; its key is set by json_key(). */
void dump_route_match(struct json_writer *w, const struct route_match *match);
