/* SPDX-License-Identifier: Apache-2.0 */
#include "user/callout/callout.h"

#include <errno.h>
#include <stdio.h>

#include "config/snapshot.h"
#include "policy/circuit.h"
#include "policy/circuit_breaker.h"
#include "policy/guard/backend_auth.h"
#include "policy/headers.h"
#include "policy/health.h"
#include "policy/previous_hosts.h"
#include "policy/timeout.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/random.h"
#include "user/base/units.h"
#include "user/callout/h2_call.h"
#include "user/http/grpc.h"
#include "user/http/h1_write.h"
#include "user/http1/client.h"
#include "user/upstream/upstream_choice.h"

enum {
	ARENA_BLOCK_BYTES = 1024,
	GRPC_PREFIX_BYTES = 5, /* a flag and the length of the message */
	FAULT_BYTES = 256,
};

struct callout {
	struct callouts *callouts; /* borrowed */
	enum callout_kind kind;
	const struct backend_ref *ref; /* borrowed, like these two */
	const struct backend *backend; /* of it, in the snapshot in use */
	const struct static_config *config;
	void (*on_done)(struct callout *callout, void *context);
	void *context;
	struct upstream_endpoint *endpoint; /* one user count while the call runs; NULL: none */
	uint32_t endpoint_index;
	struct previous_hosts tried;
	bool is_probe; /* of the endpoint's circuit */
	bool is_grpc;
	bool may_repeat;
	bool was_sent; /* the request, or a part of it, at this endpoint */
	bool has_response; /* a whole one, valid or not */
	bool is_open; /* http1 or h2 is initialized */
	bool is_done;
	bool is_freed;
	enum http_method method;
	uint64_t began_ns, end_deadline_ms;
	uint32_t us;
	struct arena arena;
	struct buf out; /* owner: the request; of gRPC the framed message */
	struct request_head head; /* of gRPC; in arena */
	struct buf in; /* owner: the body of the response over HTTP/1.1 */
	struct callout_response response;
	enum callout_result result;
	struct span fault; /* static, or in arena */
	struct loop_deferred release;
	union {
		struct http1_client http1;
		struct h2_call h2; /* is_grpc */
	};
};

static struct upstream_pool *pool_of(const struct callout *callout)
{
	return callout->callouts->pool;
}

static uint64_t now_ms(const struct callout *callout)
{
	return loop_now_ms(pool_of(callout)->loop);
}

/* ------------------------------------------------------------------------------------ endpoints */

static void leave_endpoint(struct callout *callout)
{
	struct upstream_endpoint *endpoint = callout->endpoint;

	callout->endpoint = NULL;
	if (!endpoint)
		return;
	circuit_cancelled(&endpoint->circuit, callout->is_probe);
	endpoint->load.in_flight--;
	upstream_pool_leave(pool_of(callout), endpoint);
}

/* For a health policy of the backend. */
static void report_health(struct callout *callout, enum callout_result result)
{
	const struct endpoint *where = &callout->backend->endpoint_list[callout->endpoint_index];
	struct counters *counters = pool_of(callout)->counters;
	static const struct request_head no_head;
	struct health_outcome outcome = { .backend = callout->backend,
					  .request = &no_head,
					  .status = result == CALLOUT_LATE ? 504 : 503,
					  .random = random_next(&pool_of(callout)->random) };
	uint64_t eviction_ms;

	if (!where->health || !callout->ref->health)
		return;
	if (result == CALLOUT_ANSWERED) {
		outcome.response = &callout->response.fields;
		outcome.status = callout->response.status;
	}
	switch (health_record(where->health, callout->ref->health, &outcome, now_ms(callout), &eviction_ms)) {
	case HEALTH_GOOD:
		return;
	case HEALTH_EVICTED:
		counter_add(counters, COUNTER_EVICTIONS, 1);
		break;
	case HEALTH_BAD:
		break;
	}
	counter_add(counters, COUNTER_UNHEALTHY, 1);
}

/*
 * Reports the outcome to what decides about later calls, and lets the endpoint go. Only a service that cannot
 * be reached, or is silent, is not asked any more: an answer that is an error, or a connection that ends, can
 * be caused by a single request, and must not decide about others.
 */
static void callout_outcome(struct callout *callout, enum callout_result result)
{
	struct upstream_endpoint *endpoint = callout->endpoint;

	if (!endpoint)
		return;
	report_health(callout, result);
	if (result == CALLOUT_ANSWERED || callout->has_response)
		circuit_answered(&endpoint->circuit, now_ms(callout));
	else if (result == CALLOUT_LATE || !callout->was_sent)
		circuit_failed(&endpoint->circuit, callout->began_ns / NS_PER_MS, callout->is_probe,
			       now_ms(callout));
	leave_endpoint(callout);
}

/*
 * Chooses an endpoint that was not tried yet and may be asked. 0; -ENOMEM; -EHOSTDOWN: there is none.
 */
static int choose_endpoint(struct callout *callout)
{
	struct upstream_wants wants = upstream_wants_of(callout->ref, callout->config);
	const struct backend *backend = callout->backend;

	while (callout->tried.count < LIMIT_PREVIOUS_HOSTS &&
	       callout->tried.count < backend->endpoint_count) {
		struct upstream_choice choice = { .backend = backend,
						  .wants = &wants,
						  .balancer = callout->ref->balancer,
						  .previous_hosts = &callout->tried,
						  .last = callout->endpoint_index };
		struct upstream_endpoint *endpoint = upstream_choose(pool_of(callout), &choice);

		if (!endpoint)
			return -ENOMEM;
		callout->endpoint_index = choice.index;
		previous_hosts_add(&callout->tried, backend->index, callout->endpoint_index);
		if (circuit_admits(&endpoint->circuit, now_ms(callout), &callout->is_probe)) {
			callout->endpoint = endpoint;
			endpoint->load.in_flight++;
			return 0;
		}
		upstream_pool_leave(pool_of(callout), endpoint);
	}
	return -EHOSTDOWN;
}

/* ------------------------------------------------------------------------------------ the end */

static void close_exchange(struct callout *callout)
{
	if (!callout->is_open)
		return;
	if (callout->is_grpc)
		h2_call_stop(&callout->h2);
	else
		http1_client_stop(&callout->http1);
}

static void done_exchange(struct callout *callout)
{
	if (!callout->is_open)
		return;
	callout->is_open = false;
	if (callout->is_grpc)
		h2_call_done(&callout->h2);
	else
		http1_client_done(&callout->http1);
}

static void on_release(struct loop_deferred *deferred)
{
	struct callout *callout = container_of(deferred, struct callout, release);

	callout->callouts->count--;
	done_exchange(callout);
	buf_done(&callout->out);
	buf_done(&callout->in);
	arena_done(&callout->arena);
	hg_give(callout);
}

void callout_free(struct callout *callout)
{
	if (!callout || callout->is_freed)
		return;
	callout->is_freed = true;
	close_exchange(callout);
	leave_endpoint(callout);
	loop_defer(pool_of(callout)->loop, &callout->release);
}

void callout_spare(struct callouts *callouts, enum callout_kind kind, enum callout_result result)
{
	tally_add(&callouts->pool->counters->callout_results[kind][result], 1);
}

static void count(struct callout *callout)
{
	struct counters *counters = pool_of(callout)->counters;
	uint64_t ns = loop_now_ns(pool_of(callout)->loop) - callout->began_ns;

	callout->us = ns / NS_PER_US > UINT32_MAX ? UINT32_MAX : (uint32_t)(ns / NS_PER_US);
	histogram_add(&counters->callouts[callout->kind], &histogram_processing, ns);
	tally_add(&counters->callout_results[callout->kind][callout->result], 1);
}

/* Calls the owner last, because it may free the call. */
static void finish(struct callout *callout, enum callout_result result, struct span fault)
{
	callout->result = result;
	callout->fault = fault;
	callout->is_done = true;
	callout_outcome(callout, result);
	count(callout);
	callout->on_done(callout, callout->context);
}

/* ------------------------------------------------------------------------------------ gRPC */

/* A reason of our own and what the service said, in the arena. */
static struct span fault_of_status(struct callout *callout, int status, const struct fields *fields)
{
	const struct field *message = fields_find(fields, SPAN("grpc-message"));
	struct span text = message ? span_first(message->value, FAULT_BYTES / 2) : SPAN("no message");
	char out[FAULT_BYTES];
	int len = snprintf(out, sizeof(out), "grpc-status %d: %.*s", status, SPAN_FMT(text));
	struct span copy = arena_copy(&callout->arena, span_of(out, (size_t)len));

	return copy.data ? copy : SPAN("a grpc-status other than 0");
}

/* Takes the one message out of its frame. */
static bool read_message(struct span in, struct span *ret)
{
	uint32_t len = 0;

	if (in.len < GRPC_PREFIX_BYTES || in.data[0] != 0)
		return false;
	for (size_t i = 1; i < GRPC_PREFIX_BYTES; i++)
		len = len << 8 | (uint8_t)in.data[i];
	*ret = span_from(in, GRPC_PREFIX_BYTES);
	return ret->len == len;
}

/* Empty: the response is that of gRPC, with a message. */
static struct span read_grpc(struct callout *callout)
{
	struct h2_call *call = &callout->h2;
	const struct fields *head = &call->response->fields;
	const struct fields *last = call->trailers ? &call->trailers->fields : head;
	int status;

	if (call->response->status != 200 || !grpc_is_call(head))
		return SPAN("a response that is not of gRPC");
	callout->response.grpc_status = status = grpc_status_read(last);
	if (status < 0)
		return SPAN("a response without grpc-status");
	if (status != GRPC_OK)
		return fault_of_status(callout, status, last);
	callout->response = (struct callout_response){ .status = 200, .fields = *head };
	return read_message(buf_span(&call->in), &callout->response.body)
		       ? SPAN("")
		       : SPAN("a malformed message of gRPC");
}

/* ------------------------------------------------------------------------------------ the exchange */

static int open_exchange(struct callout *callout);

/* A refused connection: the service has seen nothing, and another endpoint may be there. */
static bool callout_goes_elsewhere(struct callout *callout)
{
	if (callout->was_sent || now_ms(callout) >= callout->end_deadline_ms)
		return false;
	callout_outcome(callout, CALLOUT_FAILED);
	if (choose_endpoint(callout) < 0)
		return false;
	done_exchange(callout);
	return open_exchange(callout) == 0;
}

static void fail(struct callout *callout, struct span why, bool was_sent, bool was_late)
{
	callout->was_sent = was_sent;
	if (!callout_goes_elsewhere(callout))
		finish(callout, was_late ? CALLOUT_LATE : CALLOUT_FAILED, why);
}

static void on_h2_end(struct h2_call *call, struct span why)
{
	struct callout *callout = container_of(call, struct callout, h2);

	if (why.len) {
		fail(callout, why, call->was_sent, call->was_late);
		return;
	}
	callout->has_response = true;
	why = read_grpc(callout);
	finish(callout, why.len ? CALLOUT_FAILED : CALLOUT_ANSWERED, why);
}

static bool on_http1_head(struct http1_client *client, const struct response_head *head)
{
	struct callout *callout = container_of(client, struct callout, http1);

	callout->response = (struct callout_response){ .status = head->status, .fields = head->fields };
	return true;
}

/* The client's own limit ends the call when this does not fit. */
static void on_http1_body(struct http1_client *client, struct span payload)
{
	struct callout *callout = container_of(client, struct callout, http1);

	if (buf_append(&callout->in, payload, LIMIT_CALLOUT_BYTES) < 0) {
		http1_client_stop(client);
		finish(callout, CALLOUT_FAILED, SPAN("a response that is too large"));
	}
}

static void on_http1_end(struct http1_client *client, struct span why)
{
	struct callout *callout = container_of(client, struct callout, http1);

	if (why.len) {
		fail(callout, why, client->was_sent, now_ms(callout) >= callout->end_deadline_ms);
		return;
	}
	callout->response.body = buf_span(&callout->in);
	finish(callout, CALLOUT_ANSWERED, SPAN(""));
}

static const struct http1_client_ops http1_ops = { .on_head = on_http1_head,
						   .on_body = on_http1_body,
						   .on_end = on_http1_end };

static struct dial_options dial_options_of(const struct callout *callout)
{
	const struct backend *backend = callout->backend;

	return (struct dial_options){
		.where = &backend->endpoint_list[callout->endpoint_index],
		.endpoint = callout->endpoint,
		.tls = callout->ref->tls ? &callout->ref->tls->settings : NULL,
		.protocol = callout->is_grpc ? DIAL_HTTP2 : DIAL_HTTP1,
		.quota = circuit_breaker_quota(backend, &backend->endpoint_list[callout->endpoint_index]),
		.quota_most = circuit_breaker_most(NULL, callout->config->connections_per_backend),
	};
}

static uint64_t connect_ms_of(const struct callout *callout)
{
	struct exchange_timeouts timeouts;

	timeout_of_exchange(callout->config, NULL, callout->ref, &timeouts);
	return ns_to_ms(timeouts.connect_ns);
}

static int open_h2(struct callout *callout)
{
	const struct body_framing framing = { .kind = BODY_FRAMED };
	struct h2_call *call = &callout->h2;

	h2_call_init(call, pool_of(callout));
	callout->is_open = true;
	call->options = dial_options_of(callout);
	call->connect_ms = connect_ms_of(callout);
	call->end_deadline_ms = callout->end_deadline_ms;
	call->most_bytes = LIMIT_CALLOUT_BYTES;
	call->body = buf_span(&callout->out);
	call->on_end = on_h2_end;
	call->head = h2_head_from_request(&callout->head, &framing);
	if (!call->head)
		return -ENOMEM;
	if (callout->ref->tls)
		call->head->scheme = SPAN("https");
	h2_call_start(call);
	return 0;
}

static int open_http1(struct callout *callout)
{
	struct http1_client *client = &callout->http1;
	int error;

	http1_client_init(client, pool_of(callout), callout->callouts->scratch, callout->method, &http1_ops);
	callout->is_open = true;
	client->options = dial_options_of(callout);
	client->connect_ms = connect_ms_of(callout);
	client->end_deadline_ms = callout->end_deadline_ms;
	client->most_bytes = LIMIT_CALLOUT_BYTES + LIMIT_READ_BYTES;
	client->may_repeat = callout->may_repeat;
	error = buf_append(&client->out, buf_span(&callout->out), BUF_MAX_BYTES);
	if (!error)
		http1_client_start(client);
	return error;
}

static int open_exchange(struct callout *callout)
{
	return callout->is_grpc ? open_h2(callout) : open_http1(callout);
}

/* ------------------------------------------------------------------------------------ the request */

/* With their bytes, which the caller keeps only for this call. */
static int copy_fields(struct arena *arena, const struct fields *from, struct fields *to)
{
	int error = 0;

	fields_init(to, arena);
	for (uint32_t i = 0; i < from->count && !error; i++) {
		struct field field = from->list[i];

		field.name = arena_copy(arena, field.name);
		field.value = arena_copy(arena, field.value);
		error = field.name.data && field.value.data ? fields_put(to, &field) : -ENOMEM;
	}
	return error;
}

/* The deadline that the gateway keeps (gRPC over HTTP/2, "Timeout"), at most eight digits. */
static int set_timeout(struct callout *callout, struct fields *fields, uint64_t ms)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%llum", (unsigned long long)(ms > 99999999 ? 99999999 : ms));
	struct span copy = arena_copy(&callout->arena, span_of(text, (size_t)len));

	return copy.data ? fields_set(fields, SPAN("grpc-timeout"), copy) : -ENOMEM;
}

static int write_grpc_head(struct callout *callout, const struct callout_request *request,
			   uint64_t deadline_ms)
{
	const struct backend_ref *ref = callout->ref;
	struct request_head *own = &callout->head;
	int error;

	*own = (struct request_head){ .method = METHOD_POST,
				      .method_text = SPAN("POST"),
				      .path = arena_copy(&callout->arena, request->head->path),
				      .authority = ref->authority.len ? ref->authority : SPAN("localhost"),
				      .version_major = 2 };
	error = own->path.data ? copy_fields(&callout->arena, &request->head->fields, &own->fields) : -ENOMEM;
	if (!error && ref->request_headers)
		error = headers_modify(&own->fields, ref->request_headers);
	if (!error && ref->auth)
		error = backend_auth_apply(ref->auth, request->token, own, &callout->arena);
	if (!error)
		error = fields_set(&own->fields, SPAN("content-type"), SPAN("application/grpc"));
	if (!error)
		error = fields_set(&own->fields, SPAN("te"), SPAN("trailers"));
	return error ? error : set_timeout(callout, &own->fields, deadline_ms);
}

static int write_grpc(struct callout *callout, const struct callout_request *request, uint64_t deadline_ms)
{
	size_t most = GRPC_PREFIX_BYTES + request->body.len;
	char prefix[GRPC_PREFIX_BYTES] = { 0 };
	int error = write_grpc_head(callout, request, deadline_ms);

	for (size_t i = 1; i < GRPC_PREFIX_BYTES; i++)
		prefix[i] = (char)(request->body.len >> (8 * (GRPC_PREFIX_BYTES - 1 - i)));
	if (!error)
		error = buf_append(&callout->out, span_of(prefix, sizeof(prefix)), most);
	return error ? error : buf_append(&callout->out, request->body, most);
}

static int write_http(struct callout *callout, const struct callout_request *request)
{
	const struct h1_write_options options = { .version_minor = 1 };
	const struct body_framing framing = { .kind = request->body.len ? BODY_LENGTH : BODY_NONE,
					      .length = request->body.len,
					      .announces_length = !request->body.len };
	struct request_head head = *request->head;
	int error = fields_clone(&request->head->fields, &callout->arena, &head.fields);

	callout->method = head.method;
	if (!error && callout->ref->request_headers)
		error = headers_modify(&head.fields, callout->ref->request_headers);
	if (!error && callout->ref->auth)
		error = backend_auth_apply(callout->ref->auth, request->token, &head, &callout->arena);
	if (!error)
		error = h1_write_request(&callout->out, &head, &framing, &options);
	return error ? error : buf_append(&callout->out, request->body, BUF_MAX_BYTES);
}

/* ------------------------------------------------------------------------------------ life */

static uint64_t callout_deadline_ms(const struct callout_request *request)
{
	struct exchange_timeouts timeouts;

	timeout_of_exchange(&request->snapshot->config, NULL, request->ref, &timeouts);
	return timeouts.per_try_ns ? ns_to_ms(timeouts.per_try_ns) : request->default_ms;
}

static struct callout *callout_create(struct callouts *callouts, const struct callout_request *request)
{
	struct callout *callout = hg_take_zeroed(sizeof(*callout));

	if (!callout)
		return NULL;
	callouts->count++;
	callout->callouts = callouts;
	callout->kind = request->kind;
	callout->ref = request->ref;
	callout->backend = snapshot_backend(request->snapshot, request->ref->backend);
	callout->config = &request->snapshot->config;
	callout->is_grpc = request->is_grpc;
	callout->may_repeat = request->may_repeat;
	callout->endpoint_index = UINT32_MAX;
	callout->began_ns = loop_now_ns(callouts->pool->loop);
	arena_init(&callout->arena, ARENA_BLOCK_BYTES);
	buf_init(&callout->out);
	buf_init(&callout->in);
	loop_deferred_init(&callout->release, on_release);
	return callout;
}

int callout_start(struct callouts *callouts, const struct callout_request *request,
		  void (*on_done)(struct callout *callout, void *context), void *context,
		  struct callout **ret_callout)
{
	uint64_t deadline_ms = callout_deadline_ms(request);
	struct callout *callout;
	int error;

	if (callouts->count >= LIMIT_CALLOUTS)
		return -EBUSY;
	callout = callout_create(callouts, request);
	if (!callout)
		return -ENOMEM;
	callout->on_done = on_done;
	callout->context = context;
	callout->end_deadline_ms = now_ms(callout) + deadline_ms;
	error = choose_endpoint(callout);
	if (!error)
		error = request->is_grpc ? write_grpc(callout, request, deadline_ms)
					 : write_http(callout, request);
	if (!error)
		error = open_exchange(callout);
	if (error) {
		callout_free(callout);
		return error == -ENOBUFS ? -EINVAL : error;
	}
	*ret_callout = callout;
	return 0;
}

bool callout_is_done(const struct callout *callout)
{
	return callout->is_done;
}

enum callout_result callout_result(const struct callout *callout)
{
	return callout->result;
}

struct span callout_fault(const struct callout *callout)
{
	return callout->fault;
}

const struct callout_response *callout_response(const struct callout *callout)
{
	return &callout->response;
}

uint32_t callout_us(const struct callout *callout)
{
	return callout->us;
}
