/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "admin/hooks.h"
#include "user/base/json_writer.h"
#include "user/obs/paths.h"

/*
 * The numbers of listeners, routes, backends and endpoints: sums over the paths of all workers
 * (user/obs/paths.h).
 */
enum place_kind {
	PLACE_ALL,
	PLACE_LISTENER, /* bind, listener */
	PLACE_ROUTE, /* bind, listener, route, rule */
	PLACE_BACKEND, /* backend */
	PLACE_ENDPOINT, /* backend, endpoint */
	PLACE_KIND_COUNT,
};

struct place {
	uint64_t requests, failures;
	uint64_t bytes_in, bytes_out; /* payload */
	uint64_t last_s; /* when the last request ended, monotonic; 0: never */
	struct latency_sum latency;
};

struct places;

/* NULL without memory. */
struct places *places_collect(const struct admin_hooks *hooks, uint64_t now_s);
void places_free(struct places *places);
/* labels: PATH_LABEL_COUNT of them, of which the kind's count. NULL: nothing was there. */
const struct place *places_find(const struct places *places, enum place_kind kind, const struct span *labels);
/* Members of the open object. NULL: zeros. */
void place_write(struct json_writer *w, const struct place *place, uint64_t now_s);
