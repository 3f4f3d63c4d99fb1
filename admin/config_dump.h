/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"

/*
 * GET /config_dump: the snapshot in force as JSON. Names, casing, order, nulls and key formats are those of
 * the documentation we follow, so that its jq queries work unchanged: binds, policies and backends are
 * arrays sorted by key, listeners and routes objects by key (never null or absent), durations Go text,
 * statuses "503 Service Unavailable", unset members of frontend policies null and of all others left out.
 */

/* What the configuration does not say: how the process really runs. */
struct config_dump_facts {
	uint32_t worker_count;
	struct span admin_addr; /* as in use: environment over configuration */
	struct span stats_addr;
	struct span readiness_addr;
};

/* 0 or -ENOMEM. */
int config_dump(const struct snapshot *snapshot, const struct config_dump_facts *facts, struct text *out);
