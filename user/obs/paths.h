/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/latency.h"
#include "user/obs/record.h"
#include "user/obs/series.h"

/*
 * What each path through the gateway has served. A path is a combination of listener, route, backend and
 * endpoint. Each request counts for one path; the numbers of a route, a backend or an endpoint are sums over
 * paths. There are at most LIMIT_PATH_SERIES of them: one with all labels "overflow" collects the rest.
 */
enum path_label {
	PATH_BIND,
	PATH_LISTENER,
	PATH_ROUTE,
	PATH_RULE,
	PATH_BACKEND,
	PATH_ENDPOINT,
	PATH_LABEL_COUNT,
};

/* Beside the count of a series: its `extra`. */
struct path_numbers {
	atomic_uint_fast64_t failures;
	atomic_uint_fast64_t bytes_in; /* payload */
	atomic_uint_fast64_t bytes_out;
	atomic_uint_fast64_t last_s; /* when the last one ended, monotonic */
	struct latency latency;
};

struct path_metrics;

struct path_metrics *path_metrics_create(void); /* NULL without memory */
void path_metrics_free(struct path_metrics *m);
/* now_s: monotonic. */
void path_metrics_add(struct path_metrics *m, const struct stream_record *record, uint64_t now_s);
/* Series of kind SERIES_PATH with a struct path_numbers each. */
const struct series_table *path_metrics_table(const struct path_metrics *m);
