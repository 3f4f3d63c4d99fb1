/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/model.h"
#include "user/base/text.h"

/*
 * GET /endpoints: the endpoints that have a health policy, a JSON array sorted by backend, in the order of
 * their backend:
 *
 *         {"backend": "ns/svc.ns.svc.cluster.local", "endpoint": "10.0.0.1:8000", "health": 0.49,
 * "failures": 2,
 *          "evicted": true, "evicted_left_ms": 2100, "evictions_in_a_row": 1, "evictions_total": 4}
 *
 * An endpoint of several backends appears for each of them, with the same numbers. text_error() reports lack
 * of memory.
 */
void health_list_write(const struct snapshot *snapshot, uint64_t now_ms, struct text *out);
/* The number of endpoints that are evicted now, each counted once per backend. */
uint64_t health_evicted_count(const struct snapshot *snapshot, uint64_t now_ms);
