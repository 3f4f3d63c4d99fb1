/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/log.h"

#include "user/client/log_entry.h"
#include "user/client/metric_labels.h"
#include "user/stream/end_facts.h"

void stream_log(struct stream *stream, const struct stream_record *record)
{
	const struct access_log_policy *policy = stream->lease->snapshot->access_log;
	struct end_facts end;
	bool is_known;

	if (!log_entry_has_expressions(policy)) {
		log_entry_write(stream->proxy, stream->lease, record, NULL);
		return;
	}
	/* Without memory the entry has only its usual fields: none is lost. */
	is_known = end_facts_fill(&end, stream, policy->needs, record) == 0;
	log_entry_write(stream->proxy, stream->lease, record, is_known ? &end.facts.facts : NULL);
	end_facts_done(&end);
}

void stream_add_labels(struct stream *stream, struct stream_record *record, struct metric_labels *labels)
{
	const struct metrics_policy *policy = stream->lease->snapshot->metrics;
	struct proxy *proxy = stream->proxy;
	struct end_facts end;

	if (!proxy->label_bound)
		proxy->label_bound = label_bound_create(&proxy->shared->hash_key);
	if (!proxy->label_bound)
		return;
	if (end_facts_fill(&end, stream, policy->needs, record) == 0)
		record->added_labels =
			metric_labels_make(labels, policy, &end.facts.facts, proxy->label_bound);
	end_facts_done(&end);
}
