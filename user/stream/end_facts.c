/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/end_facts.h"

#include "user/base/units.h"

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

int end_facts_fill(struct end_facts *end, struct stream *stream, uint32_t needs,
		   const struct stream_record *record)
{
	struct expression_facts *facts = &end->facts.facts;
	int error;

	arena_init(&end->arena, 1024);
	error = stream_facts_fill(&end->facts, stream, needs, &end->arena);
	if ((!facts->request || stream->is_resumed) && record->method.len) {
		end->head = head_of(record);
		facts->request = &end->head;
	}
	fill_response(facts, stream, record);
	end->mcp = mcp_of(record);
	if (record->mcp_method.len)
		facts->mcp = &end->mcp;
	facts->end_ns = proxy_wall_us(stream->proxy) * NS_PER_US;
	return error;
}

void end_facts_done(struct end_facts *end)
{
	arena_done(&end->arena);
}
