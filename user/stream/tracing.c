/* SPDX-License-Identifier: Apache-2.0 */
#include "user/stream/tracing.h"

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/text.h"
#include "user/base/units.h"
#include "user/client/client_tls.h"
#include "user/http/target.h"
#include "user/http/trace_context.h"
#include "user/otlp/exporter.h"
#include "user/otlp/otlp_writer.h"
#include "user/stream/end_facts.h"

enum {
	STATE_BYTES = 512, /* of tracestate, in a span; W3C Trace Context 3.3.1.5 */
	PER_MILLION = 1000000,
	/* opentelemetry/proto/trace/v1/trace.proto: Span */
	TRACE_ID = 1,
	SPAN_ID = 2,
	TRACE_STATE = 3,
	PARENT_ID = 4,
	NAME = 5,
	KIND = 6,
	START = 7,
	END = 8,
	ATTRIBUTE = 9,
	DROPPED = 10,
	STATUS = 15,
	FLAGS = 16,
	KIND_SERVER = 2,
	KIND_CLIENT = 3,
	STATUS_MESSAGE = 2,
	STATUS_CODE = 3,
	STATUS_ERROR = 2,
	STATUS_BYTES = 256,
	/* What may follow the attributes: the name, the status, the number of those that did not fit. */
	RESERVED_BYTES = LIMIT_OTLP_VALUE_BYTES + STATUS_BYTES + 2 * OTLP_NUMBER_BYTES,
	FLAG_HAS_REMOTE = 0x100, /* the next one is known */
	FLAG_IS_REMOTE = 0x200, /* the parent is in another process */
};

struct stream_tracing {
	const struct tracing_policy *policy; /* borrowed from the lease */
	uint64_t trace_id[2];
	uint64_t span_id;
	uint64_t parent_id; /* 0: the trace begins here */
	uint64_t attempt_id; /* of the running attempt; 0: none runs */
	uint64_t attempt_start_ns;
	struct span
		route; /* the path that the route matches; borrowed from the lease; empty: not known yet */
	uint32_t attempts;
	uint16_t attempt_status; /* 0: no final head came */
	uint8_t flags;
	char parent
		[TRACE_PARENT_BYTES]; /* the field for the backend; digits of the trace's id, for the log */
	char span_digits[TRACE_SPAN_DIGITS]; /* for the log */
	uint16_t state_len;
	char state[]; /* tracestate of the client */
};

struct stream_tracing *stream_tracing_of(const struct stream *stream)
{
	const char *kept;

	if (stream->exchange)
		return stream->exchange->tracing;
	if (!stream->keeps_tracing)
		return NULL;
	kept = (const char *)(stream->texts + 1);
	return *(struct stream_tracing *const *)(kept +
						 (stream->keeps_user ? sizeof(struct stream_user) : 0));
}

/* ------------------------------------------------------------------------------------ the decision */

static bool takes_share(struct stream *stream, double share)
{
	return (double)(proxy_random(stream->proxy) >> 11) < share * (double)(1ull << 53);
}

static bool takes_value(struct stream *stream, struct expression_value value)
{
	switch (value.type) {
	case EXPRESSION_BOOL:
		return value.is_true;
	case EXPRESSION_INT:
		return value.whole > 0;
	case EXPRESSION_DOUBLE:
		return takes_share(stream, value.decimal);
	default:
		return false;
	}
}

static bool is_sampled(struct stream *stream, const struct sampling *sampling)
{
	struct stream_facts f;

	if (!sampling->expression)
		return sampling->per_million == PER_MILLION ||
		       (sampling->per_million &&
			proxy_random(stream->proxy) % PER_MILLION < sampling->per_million);
	if (stream_facts_fill(&f, stream, sampling->expression->needs, &stream->exchange->arena) < 0)
		return false;
	return takes_value(stream, expression_evaluate(sampling->expression, &f.facts));
}

/* True: the request gets spans; *ret_parent: of the client, or zeroed. */
static bool decide(struct stream *stream, const struct tracing_policy *policy,
		   struct trace_context *ret_parent)
{
	*ret_parent = (struct trace_context){ 0 };
	if (!trace_context_find(&stream->exchange->head.fields, ret_parent))
		return policy->random.text.len && is_sampled(stream, &policy->random);
	/* Its client has decided. */
	if (!(ret_parent->flags & TRACE_SAMPLED))
		return false;
	return !policy->client.text.len || is_sampled(stream, &policy->client);
}

/* The client's tracestate belongs to its traceparent; empty: there is none that could be passed on. */
static struct span take_state(struct fields *fields, bool has_parent)
{
	const struct field *field;

	if (!fields_have(fields, FIELD_TRACESTATE))
		return (struct span){ 0 };
	for (uint32_t i = 0; i < fields->count; i++)
		has_parent = has_parent && (fields->list[i].id != FIELD_TRACESTATE ||
					    trace_state_is_valid(fields->list[i].value));
	if (!has_parent) {
		fields_remove_id(fields, FIELD_TRACESTATE);
		return (struct span){ 0 };
	}
	field = fields_get(fields, FIELD_TRACESTATE);
	/* Several are one list: the backend gets them all, and the span none. */
	return fields_count_of(fields, FIELD_TRACESTATE) == 1 && field->value.len <= STATE_BYTES
		       ? field->value
		       : (struct span){ 0 };
}

static void write_parent(struct stream_tracing *tracing, uint64_t span_id)
{
	const struct trace_context context = { { tracing->trace_id[0], tracing->trace_id[1] },
					       span_id,
					       tracing->flags };

	trace_context_write(&context, tracing->parent);
}

void tracing_begin(struct stream *stream)
{
	const struct tracing_policy *policy = stream->lease->snapshot->tracing;
	struct proxy *proxy = stream->proxy;
	struct stream_tracing *tracing;
	struct trace_context parent;
	struct span state;

	if (!policy || !decide(stream, policy, &parent))
		return;
	state = take_state(&stream->exchange->head.fields, parent.span_id);
	tracing = hg_take(sizeof(*tracing) + state.len);
	if (!tracing)
		return;
	*tracing = (struct stream_tracing){ .policy = policy,
					    .trace_id = { parent.trace_id[0], parent.trace_id[1] },
					    .span_id = trace_span_id(proxy_random(proxy)),
					    .parent_id = parent.span_id,
					    .flags = parent.flags | TRACE_SAMPLED,
					    .state_len = (uint16_t)state.len };
	if (state.len)
		memcpy(tracing->state, state.data, state.len);
	if (!parent.span_id) {
		tracing->trace_id[0] = proxy_random(proxy);
		tracing->trace_id[1] = trace_span_id(proxy_random(proxy));
	}
	write_parent(tracing, tracing->span_id);
	memcpy(tracing->span_digits, tracing->parent + TRACE_SPAN_AT, TRACE_SPAN_DIGITS);
	stream->exchange->tracing = tracing;
}

void tracing_free(struct stream_tracing *tracing)
{
	hg_give(tracing);
}

/* ------------------------------------------------------------------------------------ writing */

static uint64_t wall_ns(const struct stream *stream, uint64_t loop_ns)
{
	return proxy_wall_us(stream->proxy) * NS_PER_US - (loop_now_ns(stream->proxy->loop) - loop_ns);
}

static void put_text(struct otlp_writer *w, const char *name, struct span value)
{
	otlp_text_attribute(w, ATTRIBUTE, span_str(name), value);
}

static void put_int(struct otlp_writer *w, const char *name, uint64_t value)
{
	otlp_int_attribute(w, ATTRIBUTE, span_str(name), (int64_t)value);
}

static uint64_t number_of(struct span digits)
{
	uint64_t number = 0;

	for (size_t i = 0; i < digits.len && i < 5; i++)
		number = number * 10 + (uint64_t)(digits.data[i] - '0');
	return number;
}

/* "127.0.0.1:80", "[::1]:80", "name" */
static void put_place(struct otlp_writer *w, const char *address, const char *port, struct span authority)
{
	struct span host = authority_host(authority), digits = authority_port(authority);

	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = span_from(span_first(host, host.len - 1), 1);
	put_text(w, address, host);
	if (digits.len)
		put_int(w, port, number_of(digits));
}

static void put_status(struct otlp_writer *w, struct span message)
{
	char memory[STATUS_BYTES];
	struct otlp_writer status;

	otlp_init(&status, memory, sizeof(memory));
	otlp_text(&status, STATUS_MESSAGE, span_first(message, sizeof(memory) / 2));
	otlp_number(&status, STATUS_CODE, STATUS_ERROR);
	otlp_bytes(w, STATUS, status.data, status.len);
}

/* error.type of a failure: the status, else the reason (semantic conventions of HTTP). */
static void put_error(struct otlp_writer *w, uint16_t status, struct span reason, struct span message)
{
	char digits[8];

	if (status >= 400)
		reason = span_of(digits, text_u64(digits, status));
	put_text(w, "error.type", reason);
	put_status(w, message);
}

static void begin_span(struct otlp_writer *w, const struct stream_tracing *tracing, uint64_t id,
		       uint64_t parent_id, unsigned kind)
{
	w->reserved = RESERVED_BYTES;
	w->removed_list = tracing->policy->hidden_list;
	w->removed_count = tracing->policy->hidden_count;
	otlp_id(w, TRACE_ID, tracing->trace_id, 2);
	otlp_id(w, SPAN_ID, &id, 1);
	otlp_text(w, TRACE_STATE, span_of(tracing->state, tracing->state_len));
	if (parent_id)
		otlp_id(w, PARENT_ID, &parent_id, 1);
	otlp_number(w, KIND, kind);
}

static void put_times(struct otlp_writer *w, const struct stream *stream, uint64_t start_ns)
{
	otlp_fixed64(w, START, wall_ns(stream, start_ns));
	otlp_fixed64(w, END, wall_ns(stream, loop_now_ns(stream->proxy->loop)));
}

/* It goes to the collector that is configured now: one that was removed gets nothing more. */
static void send_span(const struct stream *stream, struct otlp_writer *w)
{
	struct proxy *proxy = stream->proxy;
	struct snapshot *now = proxy->lease ? proxy->lease->snapshot : stream->lease->snapshot;

	if (!now->tracing)
		return;
	if (w->dropped)
		otlp_number(w, DROPPED, w->dropped);
	exporter_add(proxy->exporters[OTLP_TRACES], now, &now->tracing->target, otlp_span(w));
}

/* ------------------------------------------------------------------------------------ attempts */

void tracing_attempt_begin(struct stream *stream)
{
	struct stream_tracing *tracing = stream_tracing_of(stream);

	/* One that waited for a place at the backend goes on. */
	if (!tracing || tracing->attempt_id)
		return;
	tracing->attempt_id = trace_span_id(proxy_random(stream->proxy));
	tracing->attempt_start_ns = loop_now_ns(stream->proxy->loop);
	tracing->attempt_status = 0;
	tracing->attempts++;
	if (stream->exchange && stream->exchange->match)
		tracing->route = stream->exchange->match->path;
}

int tracing_attempt_head(struct stream *stream)
{
	struct stream_tracing *tracing = stream->exchange->tracing;
	struct field field = { SPAN("traceparent"), { 0 }, FIELD_TRACEPARENT };

	if (!tracing)
		return 0;
	write_parent(tracing, tracing->attempt_id);
	field.value = span_of(tracing->parent, sizeof(tracing->parent));
	return fields_replace(&stream->exchange->head.fields, &field);
}

void tracing_attempt_response(struct stream *stream, uint16_t status)
{
	if (stream->exchange->tracing)
		stream->exchange->tracing->attempt_status = status;
}

static struct span outcome_text(enum try_outcome outcome)
{
	static const struct span texts[] = {
		[TRY_RESPONSE] = { "response", 8 },
		[TRY_CONNECT_FAILED] = { "connect_failed", 14 },
		[TRY_CONNECT_TIMEOUT] = { "connect_timeout", 15 },
		[TRY_BACKEND_FULL] = { "backend_full", 12 },
		[TRY_PENDING_TIMEOUT] = { "pending_timeout", 15 },
		[TRY_DNS_FAILED] = { "dns_failed", 10 },
		[TRY_TLS_FAILED] = { "tls_failed", 10 },
		[TRY_TLS_VERIFY_FAILED] = { "tls_unverified", 14 },
		[TRY_TLS_TIMEOUT] = { "tls_timeout", 11 },
		[TRY_RESET] = { "reset", 5 },
		[TRY_PER_TRY_TIMEOUT] = { "per_try_timeout", 15 },
		[TRY_RESPONSE_BAD] = { "response_bad", 12 },
		[TRY_REQUEST_TIMEOUT] = { "request_timeout", 15 },
	};

	return texts[outcome];
}

/* failure: why there is no response; empty: there is, or the attempt was not what failed. */
static void end_attempt(struct stream *stream, struct stream_tracing *tracing, struct span method,
			struct span failure)
{
	char memory[LIMIT_OTLP_RECORD_BYTES];
	struct otlp_writer w;

	if (!tracing->attempt_id)
		return;
	if (proxy_may_export(stream->proxy, OTLP_TRACES)) {
		otlp_init(&w, memory, sizeof(memory));
		begin_span(&w, tracing, tracing->attempt_id, tracing->span_id, KIND_CLIENT);
		otlp_fixed32(&w, FLAGS, tracing->flags | FLAG_HAS_REMOTE);
		otlp_text(&w, NAME, method);
		put_times(&w, stream, tracing->attempt_start_ns);
		put_text(&w, "http.request.method", method);
		if (stream->attempt.endpoint)
			put_place(&w, "server.address", "server.port", stream->attempt.endpoint->text);
		if (stream->backend)
			put_text(&w, "backend", stream->backend->backend->name);
		if (tracing->attempts > 1)
			put_int(&w, "http.request.resend_count", tracing->attempts - 1);
		if (tracing->attempt_status)
			put_int(&w, "http.response.status_code", tracing->attempt_status);
		if (failure.len || tracing->attempt_status >= 400)
			put_error(&w, tracing->attempt_status, failure, (struct span){ 0 });
		send_span(stream, &w);
	}
	tracing->attempt_id = 0;
}

void tracing_attempt_failed(struct stream *stream)
{
	struct stream_tracing *tracing = stream_tracing_of(stream);

	if (tracing)
		end_attempt(stream, tracing,
			    stream->exchange ? stream->exchange->texts.method : SPAN("unknown"),
			    outcome_text(stream->attempt.failed_outcome));
}

/* ------------------------------------------------------------------------------------ the stream */

static struct span version_of(struct span version)
{
	if (span_eq(version, SPAN("HTTP/2.0")))
		return SPAN("2");
	return span_starts(version, SPAN("HTTP/")) ? span_from(version, 5) : (struct span){ 0 };
}

/* The names of the semantic conventions, as far as they have one. */
static void put_request(struct otlp_writer *w, const struct stream *stream,
			const struct stream_record *record)
{
	ptrdiff_t mark = span_find(record->path, '?');

	put_text(w, "http.request.method", record->method);
	put_text(w, "url.scheme", client_is_tls(stream->client) ? SPAN("https") : SPAN("http"));
	put_text(w, "url.path", mark < 0 ? record->path : span_first(record->path, (size_t)mark));
	if (mark >= 0)
		put_text(w, "url.query", span_from(record->path, (size_t)mark + 1));
	put_place(w, "server.address", "server.port", record->host);
	put_place(w, "client.address", "client.port", record->source);
	put_text(w, "network.protocol.version", version_of(record->version));
	put_text(w, "user_agent.original", record->user_agent);
	if (record->status)
		put_int(w, "http.response.status_code", record->status);
	if (record->has_grpc_status)
		put_int(w, "rpc.grpc.status_code", record->grpc_status);
}

/* The names of the access log. */
static void put_place_in_gateway(struct otlp_writer *w, const struct stream_record *record)
{
	put_text(w, "gateway", record->gateway);
	put_text(w, "listener", record->listener);
	put_text(w, "route", record->route);
	put_text(w, "route_rule", record->route_rule);
	put_text(w, "backend", record->backend);
	put_text(w, "endpoint", record->endpoint);
	put_text(w, "protocol", record->protocol);
	put_text(w, "jwt.sub", record->jwt_subject);
	put_text(w, "mcp.method", record->mcp_method);
	put_text(w, "mcp.tool", record->mcp_tool);
	if (record->retry_attempt)
		put_int(w, "retry.attempt", record->retry_attempt);
}

static void put_end(struct otlp_writer *w, const struct stream_record *record)
{
	struct span reason = span_str(end_reason_text(record->reason));
	char lane[LANE_TEXT_BYTES];

	put_int(w, "bytes_in", record->bytes_in);
	put_int(w, "bytes_out", record->bytes_out);
	put_text(w, "lane", span_of(lane, lane_text(record, lane)));
	put_int(w, "stream.id", record->id);
	put_text(w, "close_reason", reason);
	if (end_reason_is_timer(record->reason))
		put_text(w, "timer", reason);
	if (stream_record_has_failed(record))
		put_error(w, record->status, reason, record->error);
}

static void put_added(struct otlp_writer *w, const struct tracing_policy *policy,
		      const struct expression_facts *facts, struct text *name)
{
	w->removed_count = 0;
	for (uint32_t i = 0; i < policy->attribute_count; i++) {
		const struct expression *expression = policy->attribute_expressions[i];
		struct expression_value value;

		if (!otlp_evaluate(expression, facts, &value))
			continue;
		if (span_eq(policy->attribute_list[i].name, SPAN("span.name")) &&
		    value.type == EXPRESSION_TEXT) {
			text_clear(name);
			text_add(name, span_first(value.text, LIMIT_OTLP_VALUE_BYTES));
		} else {
			otlp_value_attribute(w, ATTRIBUTE, policy->attribute_list[i].name, &value);
		}
	}
}

/* "GET /api": the method and the path of the route, which are few; not the path of the client. */
static struct span route_of(const struct stream *stream, const struct stream_tracing *tracing)
{
	return stream->exchange && stream->exchange->match ? stream->exchange->match->path : tracing->route;
}

/* False: the filter drops the span. One that gives up keeps it: no client may hide. */
static bool put_by_policy(struct otlp_writer *w, struct stream *stream, const struct stream_tracing *tracing,
			  const struct stream_record *record, struct text *name)
{
	const struct tracing_policy *policy = tracing->policy;
	struct end_facts end;
	bool is_wanted = true;

	if (!policy->filter && !policy->attribute_count)
		return true;
	if (end_facts_fill(&end, stream, policy->needs, record) == 0) {
		expression_scratch_init(end.facts.facts.scratch);
		is_wanted = !policy->filter ||
			    expression_test(policy->filter, &end.facts.facts) != EXPRESSION_IS_FALSE;
		if (is_wanted)
			put_added(w, policy, &end.facts.facts, name);
	}
	end_facts_done(&end);
	return is_wanted;
}

static void write_stream(struct otlp_writer *w, struct stream *stream, const struct stream_tracing *tracing,
			 const struct stream_record *record)
{
	uint32_t remote = FLAG_HAS_REMOTE | (tracing->parent_id ? FLAG_IS_REMOTE : 0);

	begin_span(w, tracing, tracing->span_id, tracing->parent_id, KIND_SERVER);
	otlp_fixed32(w, FLAGS, tracing->flags | remote);
	put_times(w, stream, stream->start_ns);
	put_request(w, stream, record);
	put_text(w, "http.route", route_of(stream, tracing));
	put_place_in_gateway(w, record);
	put_end(w, record);
}

void tracing_end(struct stream *stream, const struct stream_record *record)
{
	struct stream_tracing *tracing = stream_tracing_of(stream);
	char memory[LIMIT_OTLP_RECORD_BYTES], name_memory[LIMIT_OTLP_VALUE_BYTES + 1];
	struct otlp_writer w;
	struct span route;
	struct text name;

	if (!tracing)
		return;
	route = route_of(stream, tracing);
	end_attempt(stream, tracing, record->method,
		    tracing->attempt_status ? (struct span){ 0 } : span_str(end_reason_text(record->reason)));
	if (!proxy_may_export(stream->proxy, OTLP_TRACES))
		return;
	text_borrow(&name, name_memory, sizeof(name_memory));
	text_add(&name, span_first(record->method, LIMIT_OTLP_VALUE_BYTES / 2));
	if (route.len) {
		text_add(&name, SPAN(" "));
		text_add(&name, span_first(route, LIMIT_OTLP_VALUE_BYTES / 2 - 1));
	}
	otlp_init(&w, memory, sizeof(memory));
	write_stream(&w, stream, tracing, record);
	if (!put_by_policy(&w, stream, tracing, record, &name))
		return;
	otlp_text(&w, NAME, text_span(&name));
	send_span(stream, &w);
}

void tracing_fill_record(const struct stream *stream, struct stream_record *record)
{
	const struct stream_tracing *tracing = stream_tracing_of(stream);

	if (!tracing)
		return;
	record->trace_id = span_of(tracing->parent + TRACE_ID_AT, TRACE_ID_DIGITS);
	record->span_id = span_of(tracing->span_digits, TRACE_SPAN_DIGITS);
}
