/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/log.h"

#include "user/base/units.h"
#include "user/client/log_fields.h"
#include "user/client/metric_labels.h"
#include "user/stream/facts.h"

/* What is left of the head of a tunnel, or of one that a process before this one has read. */
static struct request_head head_of(const struct stream_record *record)
{
	ptrdiff_t mark = span_find(record->path, '?');

	return (struct request_head){
		.method = method_of(record->method),
		.method_text = record->method,
		.target = record->path,
		.path = mark < 0 ? record->path : span_first(record->path, (size_t)mark),
		.query = mark < 0 ? (struct span){ 0 } : span_from(record->path, (size_t)mark + 1),
		.has_query = mark >= 0,
		.authority = record->host,
		.version_major = span_eq(record->version, SPAN("HTTP/2.0")) ? 2 : 1,
		.version_minor = span_eq(record->version, SPAN("HTTP/1.1")),
	};
}

static void fill_response(struct expression_facts *facts, const struct stream *stream,
			  const struct stream_record *record)
{
	facts->response_code = record->status;
	/* A response of our own has given the backend's back. */
	if (stream->exchange && stream->head_sent && !stream->exchange->reply.status)
		facts->response_fields = &stream->exchange->response.fields;
}

static struct expression_mcp mcp_of(const struct stream_record *record)
{
	struct expression_mcp mcp = { .method = record->mcp_method, .session = record->mcp_session };

	if (span_eq(mcp.method, SPAN("tools/call")))
		mcp.tool = record->mcp_tool;
	else if (span_starts(mcp.method, SPAN("prompts/")))
		mcp.prompt = record->mcp_tool;
	else if (span_starts(mcp.method, SPAN("resources/")))
		mcp.resource = record->mcp_tool;
	else if (span_starts(mcp.method, SPAN("tasks/")))
		mcp.task = record->mcp_tool;
	return mcp;
}

/* The names of its facts and values are borrowed from this. */
struct log_place {
	struct arena arena; /* owner */
	struct stream_facts facts;
	struct request_head head;
	struct expression_mcp mcp;
	struct log_fields fields;
};

/* -ENOMEM: the facts are not known. */
static int fill(struct log_place *place, struct stream *stream, uint32_t needs,
		const struct stream_record *record)
{
	struct expression_facts *facts = &place->facts.facts;
	int error = stream_facts_fill(&place->facts, stream, needs, &place->arena);

	if ((!facts->request || stream->is_resumed) && record->method.len) {
		place->head = head_of(record);
		facts->request = &place->head;
	}
	fill_response(facts, stream, record);
	place->mcp = mcp_of(record);
	if (record->mcp_method.len)
		facts->mcp = &place->mcp;
	facts->end_ns = proxy_wall_us(stream->proxy) * NS_PER_US;
	return error;
}

void stream_log(struct stream *stream, const struct stream_record *record)
{
	const struct access_log_policy *policy = stream->lease->snapshot->access_log;
	const struct access_extras *extras = NULL;
	struct log_place place;
	bool is_wanted = true;

	if (!log_fields_are_wanted(policy)) {
		proxy_log(stream->proxy, stream->lease, record, NULL);
		return;
	}
	arena_init(&place.arena, 1024);
	/* Without memory the line has only its usual fields: none is lost. */
	if (fill(&place, stream, policy->needs, record) == 0) {
		is_wanted = log_fields_fill(&place.fields, policy, &place.facts.facts);
		extras = &place.fields.extras;
	}
	if (is_wanted)
		proxy_log(stream->proxy, stream->lease, record, extras);
	arena_done(&place.arena);
}

void stream_add_labels(struct stream *stream, struct stream_record *record, struct metric_labels *labels)
{
	const struct metrics_policy *policy = stream->lease->snapshot->metrics;
	struct proxy *proxy = stream->proxy;
	struct log_place place;

	if (!proxy->label_bound)
		proxy->label_bound = label_bound_create(&proxy->shared->hash_key);
	arena_init(&place.arena, 1024);
	if (proxy->label_bound && fill(&place, stream, policy->needs, record) == 0)
		record->added_labels =
			metric_labels_make(labels, policy, &place.facts.facts, proxy->label_bound);
	arena_done(&place.arena);
}
