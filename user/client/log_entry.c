/* SPDX-License-Identifier: Apache-2.0 */
#include "user/client/log_entry.h"

#include "config/snapshot.h"
#include "policy/expression/expression.h"
#include "user/otlp/exporter.h"
#include "user/otlp/log_record.h"

static void write_line(struct proxy *proxy, const struct access_log_policy *policy,
		       const struct stream_record *record, const struct expression_facts *facts)
{
	const struct access_extras *extras = NULL;
	struct log_fields fields;

	if (facts && log_fields_are_wanted(policy)) {
		if (!log_fields_fill(&fields, policy, facts))
			return;
		extras = &fields.extras;
	}
	access_log_add(proxy->log, record, extras, proxy_wall_us(proxy), policy ? policy->remove_list : NULL,
		       policy ? policy->remove_count : 0);
	proxy_log_soon(proxy);
}

/* It goes to the collector that is configured now: one that was removed gets nothing more. */
static void export_record(struct proxy *proxy, struct snapshot *snapshot, const struct stream_record *record,
			  const struct expression_facts *facts)
{
	const struct access_log_policy *policy = &snapshot->access_log->otlp->log;
	struct snapshot *now = proxy->lease ? proxy->lease->snapshot : snapshot;
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct otlp_writer w;

	if (!now->access_log || !now->access_log->otlp || (facts && !log_filter_wants(policy, facts)))
		return;
	if (!proxy_may_export(proxy, OTLP_LOGS))
		return;
	otlp_init(&w, memory, sizeof(memory));
	log_record_write(&w, policy, record, facts, proxy_wall_us(proxy) * NS_PER_US);
	exporter_add(proxy->exporters[OTLP_LOGS], now, &now->access_log->otlp->target, otlp_span(&w));
}

void log_entry_write(struct proxy *proxy, const struct lease *lease, const struct stream_record *record,
		     const struct expression_facts *facts)
{
	const struct access_log_policy *policy = lease->snapshot->access_log;

	if (lease->snapshot->config.access_log)
		write_line(proxy, policy, record, facts);
	if (policy && policy->otlp)
		export_record(proxy, lease->snapshot, record, facts);
}
