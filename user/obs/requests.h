/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/obs/counters.h"
#include "user/obs/record.h"
#include "user/obs/series.h"

/*
 * Metrics of requests and client connections by label. A label without a value is "unknown".
 *
 * One table a worker (series.h), bounded by LIMIT_METRIC_SERIES; past the bound, or without memory, one
 * series with all labels "overflow" collects the rest. Methods that are not registered count as "OTHER", so
 * that a client cannot make series.
 */
struct request_metrics;

/* In the order of the labels in metrics.def, which has all but the last. */
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
	LABEL_ADDED, /* those of a policy, as they stand in a sample; empty: none */
	REQUEST_LABEL_COUNT = SERIES_LABELS,
	/* of SERIES_GUARD */
	LABEL_OF_POLICY = 0,
	LABEL_OF_RULE = 1,
};

struct request_metrics *request_metrics_create(void);
void request_metrics_free(struct request_metrics *m);
void request_metrics_add(struct request_metrics *m, const struct stream_record *record);
/* A guard refused a request: the name of its policy, and which one. */
void request_metrics_refusal(struct request_metrics *m, struct span policy, struct span rule);
void request_metrics_connection(struct request_metrics *m, struct span bind, struct span gateway,
				struct span listener, struct span protocol);

const struct series_table *request_metrics_table(const struct request_metrics *m);
