/* SPDX-License-Identifier: Apache-2.0 */
#include "user/health/health_probe.h"

#include <stdio.h>
#include <string.h>

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/callout/h2_call.h"
#include "user/http/grpc.h"
#include "user/http/grpc_health.h"
#include "user/health/health_history.h"
#include "user/health/tcp_check_client.h"
#include "user/http/h1_write.h"
#include "user/http1/client.h"

enum { ARENA_BLOCK_BYTES = 1024 };

enum probe_kind {
	PROBE_TCP,
	PROBE_HTTP1,
	PROBE_HTTP2, /* also gRPC */
};

struct health_probe {
	struct outbound *outbound;
	struct health_probe_options options; /* one reference of the snapshot */
	struct endpoint where; /* with the port of the check */
	struct upstream_endpoint *endpoint; /* one user count */
	enum probe_kind kind;
	union {
		struct http1_client http1;
		struct h2_call http2;
		struct tcp_check_client tcp;
	};
	struct arena arena; /* of the request */
	struct buf sent; /* a message of gRPC */
	struct buf received; /* the body of a response over HTTP/1.1 */
	uint16_t status; /* 0: no response yet */
	bool is_over;
	char why[HEALTH_WHY_BYTES];
	struct loop_deferred release;
};

/* ------------------------------------------------------------------------------------ the end */

static void probe_stop(struct health_probe *probe)
{
	probe->is_over = true;
	switch (probe->kind) {
	case PROBE_TCP:
		tcp_check_client_stop(&probe->tcp);
		return;
	case PROBE_HTTP1:
		http1_client_stop(&probe->http1);
		return;
	case PROBE_HTTP2:
		h2_call_stop(&probe->http2);
		return;
	}
}

static void probe_free(struct health_probe *probe)
{
	switch (probe->kind) {
	case PROBE_TCP:
		tcp_check_client_done(&probe->tcp);
		break;
	case PROBE_HTTP1:
		http1_client_done(&probe->http1);
		break;
	case PROBE_HTTP2:
		h2_call_done(&probe->http2);
		break;
	}
	if (probe->endpoint)
		upstream_pool_leave(&probe->outbound->pool, probe->endpoint);
	buf_done(&probe->sent);
	buf_done(&probe->received);
	arena_done(&probe->arena);
	snapshot_unref(probe->options.snapshot);
	hg_free(probe);
}

static void probe_on_release(struct loop_deferred *deferred)
{
	probe_free(container_of(deferred, struct health_probe, release));
}

void health_probe_cancel(struct health_probe *probe)
{
	probe_stop(probe);
	loop_defer(probe->outbound->loop, &probe->release);
}

void health_probe_drop(struct health_probe *probe)
{
	probe_stop(probe);
	loop_deferred_cancel(&probe->release);
	probe_free(probe);
}

static void probe_finish(struct health_probe *probe, enum check_result result)
{
	if (probe->is_over)
		return;
	probe_stop(probe);
	loop_defer(probe->outbound->loop, &probe->release);
	probe->options.on_done(probe->options.owner, result, result == CHECK_PASSED ? "" : probe->why);
}

/* No usable response came. error: -errno, 0: none. */
static void probe_fail(struct health_probe *probe, struct span why, const struct dial *dial, int error)
{
	if (dial->tls.fault.text[0])
		snprintf(probe->why, sizeof(probe->why), "%.*s: %.160s", SPAN_FMT(why), dial->tls.fault.text);
	else if (error < 0)
		snprintf(probe->why, sizeof(probe->why), "%.*s: %s", SPAN_FMT(why), strerrordesc_np(-error));
	else
		snprintf(probe->why, sizeof(probe->why), "%.*s", SPAN_FMT(why));
	probe_finish(probe, error < 0 && net_connect_failed_here(error) ? CHECK_NOT_MADE : CHECK_FAILED);
}

/* ------------------------------------------------------------------------------------ TCP */

static struct dial_options probe_dial_options(const struct health_probe *probe, enum dial_protocol protocol)
{
	const struct backend_ref *ref = probe->options.ref;
	uint64_t now_ms = loop_now_ms(probe->outbound->loop);

	return (struct dial_options){ .where = &probe->where,
				      .endpoint = probe->endpoint,
				      .tls = ref->tls ? &ref->tls->settings : NULL,
				      .deadline_ms = now_ms + probe->options.timeout_ms,
				      .protocol = protocol,
				      .is_exclusive = protocol == DIAL_BYTES,
				      .is_quiet = true,
				      .may_repeat = true };
}

static void tcp_on_end(struct tcp_check_client *client, struct span why, int error)
{
	struct health_probe *probe = container_of(client, struct health_probe, tcp);

	if (why.len)
		probe_fail(probe, why, &client->dial, error);
	else
		probe_finish(probe, CHECK_PASSED);
}

static void tcp_start(struct health_probe *probe)
{
	const struct health_check *check = probe->options.check;

	tcp_check_client_init(&probe->tcp, &probe->outbound->pool);
	probe->tcp.options = probe_dial_options(probe, DIAL_BYTES);
	probe->tcp.on_end = tcp_on_end;
	if (check) {
		probe->tcp.send = check->tcp.send;
		probe->tcp.receive = check->tcp.receive;
	}
	tcp_check_client_start(&probe->tcp);
}

/* ------------------------------------------------------------------------------------ HTTP */

static bool has_text(struct span in, struct span wanted)
{
	return in.len >= wanted.len && memmem(in.data, in.len, wanted.data, wanted.len) != NULL;
}

/* Returns false if no more is wanted. */
static bool probe_receive(struct health_probe *probe, struct span bytes)
{
	size_t left = LIMIT_HEALTH_RESPONSE_BYTES - buf_len(&probe->received);

	return buf_append(&probe->received, span_first(bytes, left), LIMIT_HEALTH_RESPONSE_BYTES) == 0 &&
	       buf_len(&probe->received) < LIMIT_HEALTH_RESPONSE_BYTES;
}

static bool has_code(const uint16_t *list, uint32_t count, uint16_t code)
{
	for (uint32_t i = 0; i < count; i++)
		if (list[i] == code)
			return true;
	return false;
}

static bool is_expected(const struct http_check *http, uint16_t status)
{
	return http->expected_count ? has_code(http->expected_list, http->expected_count, status)
				    : status == 200;
}

/* The response is here, as far as it is needed. */
static void http_judge(struct health_probe *probe, struct span body)
{
	const struct http_check *http = &probe->options.check->http;
	bool is_retriable = has_code(http->retriable_list, http->retriable_count, probe->status);

	if (!is_expected(http, probe->status)) {
		snprintf(probe->why, sizeof(probe->why), "status %u", probe->status);
		probe_finish(probe, is_retriable ? CHECK_FAILED : CHECK_REFUSED);
	} else if (http->expected_response.len && !has_text(body, http->expected_response)) {
		snprintf(probe->why, sizeof(probe->why), "the body of the response lacks the expected text");
		probe_finish(probe, CHECK_REFUSED);
	} else {
		probe_finish(probe, CHECK_PASSED);
	}
}

/* False: more of the body changes nothing. */
static bool http_receive(struct health_probe *probe, struct span payload)
{
	return probe->options.check->http.expected_response.len == 0 || probe_receive(probe, payload);
}

static bool http1_on_head(struct http1_client *client, const struct response_head *head)
{
	struct health_probe *probe = container_of(client, struct health_probe, http1);

	probe->status = head->status;
	return true;
}

static void http1_on_body(struct http1_client *client, struct span payload)
{
	struct health_probe *probe = container_of(client, struct health_probe, http1);

	if (!http_receive(probe, payload))
		http_judge(probe, buf_span(&probe->received));
}

/* A body that is cut, too long or slow, does not change what the status says. */
static void http1_on_end(struct http1_client *client, struct span why)
{
	struct health_probe *probe = container_of(client, struct health_probe, http1);

	if (probe->status)
		http_judge(probe, buf_span(&probe->received));
	else
		probe_fail(probe, why, &client->dial, client->dial_error);
}

static const struct http1_client_ops http1_ops = {
	.on_head = http1_on_head,
	.on_body = http1_on_body,
	.on_end = http1_on_end,
};

/* The Host of the check: its hostname, or that of the backend, or the address of the endpoint. */
static struct span authority_of(const struct health_probe *probe)
{
	const struct health_check *check = probe->options.check;
	const struct endpoint *endpoint = probe->options.endpoint;

	if (check->type == HEALTH_CHECK_HTTP && check->http.hostname.len)
		return check->http.hostname;
	if (probe->options.ref->authority.len)
		return probe->options.ref->authority;
	if (endpoint->is_resolved && address_is_unix(&endpoint->address))
		return SPAN("localhost");
	return endpoint->text;
}

/* The request. Its parts live as long as the probe. 0 or -ENOMEM. */
static int request_head_of(struct health_probe *probe, struct request_head *ret_head,
			   struct body_framing *ret_framing, struct span *ret_body)
{
	const struct http_check *http = &probe->options.check->http;
	ptrdiff_t query = span_find(http->path, '?');

	*ret_head = (struct request_head){ .method = method_of(http->method),
					   .method_text = http->method,
					   .path = http->path,
					   .authority = authority_of(probe),
					   .version_major = 1,
					   .version_minor = 1 };
	if (query >= 0) {
		ret_head->has_query = true;
		ret_head->query = span_from(http->path, (size_t)query + 1);
		ret_head->path = span_first(http->path, (size_t)query);
	}
	*ret_body = http->request_body;
	*ret_framing = (struct body_framing){ .kind = BODY_NONE };
	if (ret_body->len)
		*ret_framing = (struct body_framing){ .kind = BODY_LENGTH, .length = ret_body->len };
	fields_init(&ret_head->fields, &probe->arena);
	return fields_add(&ret_head->fields, SPAN("user-agent"), SPAN("headgate"));
}

static int grpc_head_of(struct health_probe *probe, struct request_head *ret_head,
			struct body_framing *ret_framing, struct buf *out)
{
	int error = grpc_health_request(out, probe->options.check->grpc_service);

	*ret_head = (struct request_head){ .method = METHOD_POST,
					   .method_text = SPAN("POST"),
					   .path = SPAN(GRPC_HEALTH_PATH),
					   .authority = authority_of(probe),
					   .version_major = 1,
					   .version_minor = 1 };
	*ret_framing = (struct body_framing){ .kind = BODY_FRAMED };
	fields_init(&ret_head->fields, &probe->arena);
	if (!error)
		error = fields_add(&ret_head->fields, SPAN("content-type"), SPAN("application/grpc"));
	if (!error)
		error = fields_add(&ret_head->fields, SPAN("te"), SPAN("trailers"));
	if (!error)
		error = fields_add(&ret_head->fields, SPAN("user-agent"), SPAN("headgate"));
	return error;
}

static int http1_start(struct health_probe *probe)
{
	struct h1_write_options options = { .connection = probe->options.keeps_connection
								  ? H1_CONNECTION_DEFAULT
								  : H1_CONNECTION_CLOSE,
					    .version_minor = 1 };
	struct http1_client *client = &probe->http1;
	struct body_framing framing;
	struct request_head head;
	struct span body;
	int error;

	error = request_head_of(probe, &head, &framing, &body);
	http1_client_init(client, &probe->outbound->pool, probe->outbound->relay.scratch, head.method,
			  &http1_ops);
	if (!error)
		error = h1_write_request(&client->out, &head, &framing, &options);
	if (!error)
		error = buf_append(&client->out, body, BUF_MAX_BYTES);
	if (error)
		return error;
	client->options = probe_dial_options(probe, DIAL_HTTP1);
	client->end_deadline_ms = client->options.deadline_ms;
	client->most_bytes = LIMIT_HEALTH_RESPONSE_BYTES * 2;
	client->may_repeat = true;
	http1_client_start(client);
	return 0;
}

/* ------------------------------------------------------------------------------------ HTTP/2 */

static bool is_grpc(const struct health_probe *probe)
{
	return probe->options.check->type == HEALTH_CHECK_GRPC;
}

static void grpc_judge(struct health_probe *probe, const struct h2_call *call)
{
	const struct fields *last = call->trailers ? &call->trailers->fields : &call->response->fields;
	int grpc_status = grpc_status_read(last), health = grpc_health_response(buf_span(&call->in));
	static const char *const names[] = {
		[GRPC_HEALTH_UNKNOWN] = "UNKNOWN",
		[GRPC_HEALTH_NOT_SERVING] = "NOT_SERVING",
		[GRPC_HEALTH_SERVICE_UNKNOWN] = "SERVICE_UNKNOWN",
	};

	if (probe->status != 200)
		snprintf(probe->why, sizeof(probe->why), "status %u", probe->status);
	else if (grpc_status != GRPC_OK)
		snprintf(probe->why, sizeof(probe->why),
			 grpc_status < 0 ? "no grpc-status" : "grpc-status %d", grpc_status);
	else if (health < 0)
		snprintf(probe->why, sizeof(probe->why), "the response is not a HealthCheckResponse");
	else if (health != GRPC_HEALTH_SERVING)
		snprintf(probe->why, sizeof(probe->why), "%s",
			 (size_t)health < sizeof(names) / sizeof(*names) ? names[health]
									 : "an unknown status");
	else {
		probe_finish(probe, CHECK_PASSED);
		return;
	}
	probe_finish(probe, CHECK_REFUSED);
}

static void http2_on_end(struct h2_call *call, struct span why)
{
	struct health_probe *probe = container_of(call, struct health_probe, http2);

	probe->status = call->response ? call->response->status : 0;
	if (is_grpc(probe) && why.len == 0)
		grpc_judge(probe, call);
	else if (!is_grpc(probe) && probe->status)
		http_judge(probe, span_first(buf_span(&call->in), LIMIT_HEALTH_RESPONSE_BYTES));
	else
		probe_fail(probe, why, &call->dial, call->dial_error);
}

static int http2_start(struct health_probe *probe)
{
	struct h2_call *call = &probe->http2;
	struct body_framing framing;
	struct request_head head;
	int error;

	h2_call_init(call, &probe->outbound->pool);
	if (is_grpc(probe)) {
		error = grpc_head_of(probe, &head, &framing, &probe->sent);
		call->body = buf_span(&probe->sent);
	} else {
		error = request_head_of(probe, &head, &framing, &call->body);
	}
	call->head = error ? NULL : h2_head_from_request(&head, &framing);
	if (!call->head)
		return -ENOMEM;
	if (probe->options.ref->tls)
		call->head->scheme = SPAN("https");
	call->options = probe_dial_options(probe, DIAL_HTTP2);
	call->end_deadline_ms = call->options.deadline_ms;
	call->most_bytes = LIMIT_HEALTH_RESPONSE_BYTES * 2;
	call->is_single = !probe->options.keeps_connection;
	call->on_end = http2_on_end;
	h2_call_start(call);
	return 0;
}

/* ------------------------------------------------------------------------------------ start */

bool health_probe_can(const struct backend_ref *ref)
{
	switch (ref->backend->kind) {
	case BACKEND_HOST:
	case BACKEND_UNIX:
	case BACKEND_SERVICE:
		return !ref->tls || ref->tls->invalid_reason.len == 0;
	case BACKEND_MCP:
	case BACKEND_DYNAMIC:
	case BACKEND_INVALID:
		break;
	}
	return false;
}

static enum probe_kind kind_of(const struct health_probe_options *options)
{
	if (!options->check || options->check->type == HEALTH_CHECK_TCP)
		return PROBE_TCP;
	if (options->check->type == HEALTH_CHECK_GRPC || options->ref->http_version == BACKEND_HTTP2)
		return PROBE_HTTP2;
	return PROBE_HTTP1;
}

/* Another port is another endpoint of the pool, which knows endpoints by their text. */
static int override_port(struct health_probe *probe, uint16_t port)
{
	struct endpoint *where = &probe->where;
	struct text text;

	if (where->is_resolved && address_is_unix(&where->address))
		return 0;
	where->port = port;
	text_init(&text);
	if (where->is_resolved) {
		address_set_port(&where->address, port);
		address_format(&where->address, &text);
	} else {
		text_fmt(&text, "%.*s:%u", SPAN_FMT(where->host), port);
	}
	where->text = text_error(&text) ? (struct span){ 0 } : arena_copy(&probe->arena, text_span(&text));
	text_done(&text);
	return where->text.data ? 0 : -ENOMEM;
}

static int probe_begin(struct health_probe *probe)
{
	const struct backend_ref *ref = probe->options.ref;
	const struct health_check *check = probe->options.check;
	const struct upstream_wants wants = {
		.keepalive = &probe->options.snapshot->config.upstream_keepalives,
		.tls = ref->tls ? &ref->tls->settings : NULL,
		.proxy_version = ref->proxy ? ref->proxy->version : 0,
	};

	if (check && check->port && override_port(probe, check->port) < 0)
		return -ENOMEM;
	probe->endpoint = upstream_pool_endpoint(&probe->outbound->pool, &probe->where, &wants);
	if (!probe->endpoint)
		return -ENOMEM;
	switch (probe->kind) {
	case PROBE_HTTP1:
		return http1_start(probe);
	case PROBE_HTTP2:
		return http2_start(probe);
	case PROBE_TCP:
		break;
	}
	tcp_start(probe);
	return 0;
}

struct health_probe *health_probe_start(struct outbound *outbound, const struct health_probe_options *options)
{
	struct health_probe *probe = hg_calloc(1, sizeof(*probe));

	if (!probe)
		return NULL;
	probe->outbound = outbound;
	probe->options = *options;
	probe->options.snapshot = snapshot_ref(options->snapshot);
	probe->where = *options->endpoint;
	probe->kind = kind_of(options);
	buf_init(&probe->sent);
	buf_init(&probe->received);
	arena_init(&probe->arena, ARENA_BLOCK_BYTES);
	loop_deferred_init(&probe->release, probe_on_release);
	if (probe_begin(probe) == 0)
		return probe;
	probe_free(probe);
	return NULL;
}
