/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"

struct health_history;

/*
 * GET /endpoints: the endpoints of backends with several of them or a health policy, a JSON array sorted by
 * backend, in the order of their backend:
 *
 *         {"backend": "ns/svc.ns.svc.cluster.local", "endpoint": "10.0.0.1:8000", "index": 0,
 *          "priority": 0, "weight": 1, "health": 0.49, "failures": 2,
 *          "evicted": true, "evicted_left_ms": 2100, "evictions_in_a_row": 1, "evictions_total": 4,
 *          "ejected": false, "panic": false,
 *          "checks": {"healthy": true, "passed": 7, "failed": 0, "total": 9, "failed_total": 1,
 *                     "last_failure": "status 503"}}
 *
 * evicted: it should get no requests; panic: it gets them nevertheless. checks: only with active checks;
 * passed, failed: in a row. An endpoint of several backends appears for each of them, with the same numbers.
 * text_error() reports lack of memory.
 */
void health_list_write(const struct snapshot *snapshot, uint64_t now_ms, struct text *out);
/* GET /endpoints?history=1: the last changes, oldest first: {time, event, backend, endpoint, why}. */
void health_history_write(const struct health_history *history, struct text *out);
/* The number of endpoints whose active checks fail, each counted once per backend. */
uint64_t health_unhealthy_count(const struct snapshot *snapshot);
/* The number of endpoints that are evicted now, each counted once per backend. */
uint64_t health_evicted_count(const struct snapshot *snapshot, uint64_t now_ms);
