/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/counters.h"
#include "user/obs/record.h"

/*
 * Metrics of requests and client connections by label. A label without a value is "unknown".
 *
 * One table for each worker. Only its worker writes; any thread may read at any time without a lock, because
 * series are only added, are complete before they become visible, and never move until the table is freed.
 * The table is limited (LIMIT_METRIC_SERIES); beyond the limit, or without memory, one series with all labels
 * "overflow" collects the rest. Methods that are not registered count as "OTHER", so that clients cannot
 * create series.
 */
struct request_metrics;

/* In the order of the labels in metrics.def. */
enum request_label {
	LABEL_BACKEND,
	LABEL_PROTOCOL,
	LABEL_METHOD,
	LABEL_STATUS,
	LABEL_REASON,
	LABEL_BIND,
	LABEL_GATEWAY,
	LABEL_LISTENER,
	LABEL_ROUTE,
	LABEL_ROUTE_RULE,
	REQUEST_LABEL_COUNT,
};

enum request_series_kind {
	SERIES_REQUEST,
	SERIES_CONNECTION, /* only bind, gateway, listener and protocol are set, no histogram */
};

struct request_series {
	enum request_series_kind kind;
	uint32_t next; /* in the same hash slot: index + 1, 0: none */
	uint64_t hash; /* of kind and labels: equal series of two workers have equal hashes */
	struct span labels[REQUEST_LABEL_COUNT]; /* bytes after the series; empty: not part of this kind */
	atomic_uint_fast64_t count;
	struct histogram duration; /* bounds: histogram_http */
};

struct request_metrics *request_metrics_create(void);
void request_metrics_free(struct request_metrics *m);
void request_metrics_add(struct request_metrics *m, const struct stream_record *record);
void request_metrics_connection(struct request_metrics *m, struct span bind, struct span gateway,
				struct span listener, struct span protocol);

/* For reading, from any thread: indexes 0..count-1 stay valid until the table is freed. */
uint32_t request_metrics_count(const struct request_metrics *m);
const struct request_series *request_metrics_at(const struct request_metrics *m, uint32_t index);
bool request_series_eq(const struct request_series *a, const struct request_series *b); /* kind and labels */
