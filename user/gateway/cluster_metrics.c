/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/cluster_metrics.h"

#include "admin/prometheus.h"
#include "user/base/units.h"

void cluster_metrics(const struct cluster *cluster, struct text *out)
{
	const struct span results[] = { SPAN("ok"), SPAN("failed") };

	prometheus_single(out, METRIC_API_COMPLETE, cluster_is_complete(cluster));
	prometheus_single(out, METRIC_API_AWAY, cluster_away_us(cluster) / US_PER_S);
	prometheus_single(out, METRIC_API_LEASE, cluster_lease_is_held(&cluster->lease));
	prometheus_single(out, METRIC_API_ENDPOINT_UPDATES, cluster->endpoint_updates);
	prometheus_begin(out, METRIC_API_OBJECTS);
	for (unsigned kind = 0; kind < KIND_COUNT; kind++) {
		struct span name = span_str(kind_list[kind].name);

		prometheus_sample(out, METRIC_API_OBJECTS, &name, cluster->store.count[kind]);
	}
	prometheus_begin(out, METRIC_API_STATUSES);
	prometheus_sample(out, METRIC_API_STATUSES, &results[0], cluster->writer.written);
	prometheus_sample(out, METRIC_API_STATUSES, &results[1], cluster->writer.failed);
}
