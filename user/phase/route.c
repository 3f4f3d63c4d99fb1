/* SPDX-License-Identifier: Apache-2.0 */
#include "user/phase/route.h"

#include "policy/balance.h"
#include "policy/headers.h"
#include "policy/match/route.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/text.h"
#include "user/client/client_tls.h"
#include "user/http/grpc.h"
#include "user/http/target.h"
#include "user/phase/connect_tunnel.h"
#include "user/phase/delay.h"
#include "user/phase/direct.h"
#include "user/phase/endpoint_choice.h"
#include "user/phase/forward_head.h"
#include "user/phase/guard.h"
#include "user/phase/mirror.h"
#include "user/phase/route_rules.h"
#include "user/phase/session.h"
#include "user/phase/transform.h"
#include "user/stream/facts.h"
#include "user/stream/step.h"
#include "user/stream/tracing.h"

static enum stream_step exchange_redirect(struct stream *stream, const struct redirect_policy *redirect)
{
	struct span location = { 0 };

	if (headers_redirect(&stream->exchange->head, redirect, stream->exchange->match,
			     forward_head_scheme(stream), &stream->exchange->arena, &location) < 0)
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	return step_local_reply(stream, redirect->status, (struct span){ 0 }, location);
}

static void exchange_set_deadline(struct stream *stream)
{
	struct exchange_timeouts timeouts;

	timeout_of_exchange(&stream->lease->snapshot->config, &stream->route->effective, NULL, &timeouts);
	if (timeouts.request_ns)
		stream->exchange->request_deadline_ms =
			proxy_now_ms(stream->proxy) + ns_to_ms(timeouts.request_ns);
}

/* False: *ret_step is the response. */
static bool exchange_choose_backend(struct stream *stream, enum stream_step *ret_step)
{
	const struct route *route = stream->route;
	const struct backend *backend;

	if (route->effective.session && session_find(stream) < 0) {
		*ret_step = step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
		return false;
	}
	stream->backend = place_bound_backend(stream);
	if (!stream->backend)
		stream->backend = session_backend(stream);
	if (!stream->backend)
		stream->backend = balance_backend(stream->lease->snapshot->backend_list, route->backend_list,
						  route->backend_count, route->weight_sum,
						  proxy_random(stream->proxy), proxy_now_ms(stream->proxy));
	if (!stream->backend) {
		*ret_step = step_reply(stream, 500, SPAN("no valid backends"), END_NO_BACKEND);
		return false;
	}
	backend = stream_backend(stream);
	if (backend->kind == BACKEND_INVALID) {
		*ret_step = step_reply(stream, 500,
				       backend->invalid_reason.len ? backend->invalid_reason
								   : SPAN("backend does not exist"),
				       END_NO_BACKEND);
		return false;
	}
	if (backend->endpoint_count == 0) {
		*ret_step = step_reply(stream, 503, SPAN("no healthy backends"), END_NO_BACKEND);
		return false;
	}
	return true;
}

static int exchange_prepare_head(struct stream *stream)
{
	const struct route_policies *policies = &stream->route->effective;
	int error;

	if (connect_tunnel_is_asked(stream))
		return connect_tunnel_prepare(stream);
	error = forward_head(stream);
	if (!error && policies->request_headers)
		error = headers_modify(&stream->exchange->head.fields, policies->request_headers);
	if (error)
		return error;
	if (policies->mirror_count || stream->backend->mirror_count)
		mirror_request(stream);
	place_keep_plain(stream);
	return place_use_backend(stream);
}

static bool is_secret(const struct field *field)
{
	return field->id == FIELD_AUTHORIZATION || field->id == FIELD_PROXY_AUTHORIZATION ||
	       field->id == FIELD_COOKIE;
}

/* Responds to a TRACE that ends here with the received request, without secrets (RFC 9110 9.3.8). */
static enum stream_step exchange_trace(struct stream *stream)
{
	const struct request_head *head = &stream->exchange->head;
	struct span body = { 0 };
	struct text text;

	text_init(&text);
	text_fmt(&text, "%.*s %.*s HTTP/%s\r\n", SPAN_FMT(head->method_text), SPAN_FMT(head->target),
		 head->version_major == 2 ? "2"
		 : head->version_minor	  ? "1.1"
					  : "1.0");
	for (uint32_t i = 0; i < head->fields.count; i++) {
		const struct field *field = &head->fields.list[i];

		if (!is_secret(field))
			text_fmt(&text, "%.*s: %.*s\r\n", SPAN_FMT(field->name), SPAN_FMT(field->value));
	}
	text_str(&text, "\r\n");
	if (!text_error(&text))
		body = arena_copy(&stream->exchange->arena, text_span(&text));
	text_done(&text);
	if (!body.data)
		return step_reply(stream, 500, SPAN("no memory"), END_INTERNAL);
	step_local_reply(stream, 200, body, (struct span){ 0 });
	stream->exchange->reply.type = SPAN("message/http");
	return STEP_REPLY;
}

static enum stream_step exchange_end_here(struct stream *stream)
{
	if (stream->exchange->head.method == METHOD_TRACE)
		return exchange_trace(stream);
	return step_local_reply(stream, 200, (struct span){ 0 }, (struct span){ 0 });
}

/* False: *ret_step is the response. */
static bool exchange_apply_rules(struct stream *stream, enum stream_step *ret_step)
{
	struct route_refusal refusal;

	switch (route_rules_apply(&stream->exchange->head, stream->listener, forward_head_loop_id(stream),
				  &stream->exchange->arena, &refusal)) {
	case ROUTE_RULES_PASS:
		return true;
	case ROUTE_RULES_END_HERE:
		*ret_step = exchange_end_here(stream);
		return false;
	case ROUTE_RULES_REFUSE:
		break;
	}
	*ret_step = refusal.http_error ? step_bad_request(stream, refusal.http_error)
				       : step_reply(stream, refusal.status, refusal.text, refusal.reason);
	return false;
}

/* Finds the listener of the request's host. False: *ret_step is the response. */
static bool exchange_take_listener(struct stream *stream, const struct bind *bind, enum stream_step *ret_step)
{
	const struct request_head *head = &stream->exchange->head;
	const struct listener *listener = listener_find(bind, authority_host(head->authority));

	stream->exchange->head.is_secure = client_is_tls(stream->client);
	if (!listener) {
		*ret_step = step_reply(stream, 404, SPAN("listener not found"), END_NO_ROUTE);
		return false;
	}
	/* Another listener may require other certificates (RFC 9110 7.4). */
	if (!client_tls_serves(stream->client, listener)) {
		*ret_step = step_reply(stream, 421, SPAN("this host needs a TLS connection of its own"),
				       END_MISDIRECTED);
		return false;
	}
	stream->listener = listener;
	return true;
}

/* The group of routes that the rule hands this request on to; 0: it has backends of its own. */
static uint32_t choose_group(const struct route *route, uint64_t random)
{
	uint64_t pick = random % (route->delegate_sum + route->weight_sum);

	for (uint32_t i = 0; i < route->delegate_count; i++) {
		if (pick < route->delegate_list[i].weight)
			return route->delegate_list[i].group;
		pick -= route->delegate_list[i].weight;
	}
	return 0;
}

/* Follows delegation: the route that was found hands its requests on to a group, whose best match serves. */
static struct route_found exchange_search(struct stream *stream)
{
	const struct request_head *head = &stream->exchange->head;
	struct route_found found = route_search(stream->listener, head);

	while (found.route && route_delegates(found.route)) {
		uint32_t group = choose_group(found.route, proxy_random(stream->proxy));

		if (!group)
			break;
		found = route_search_group(stream->listener, group, head);
	}
	return found;
}

/* False: *ret_step is the response. */
static bool exchange_find_route(struct stream *stream, enum stream_step *ret_step)
{
	const struct route_found found = exchange_search(stream);

	if (found.gave_up) {
		counter_add(stream->proxy->counters, COUNTER_MATCH_GAVE_UP, 1);
		*ret_step = step_reply(stream, 400, SPAN("too long to be matched"), END_MATCH_GAVE_UP);
		return false;
	}
	stream->route = found.route;
	stream->exchange->match = found.match;
	if (!stream->route) {
		*ret_step = step_reply(stream, 404, SPAN("route not found"), END_NO_ROUTE);
		return false;
	}
	exchange_set_deadline(stream);
	return true;
}

/* Once a backend is chosen. Its guards may wait: exchange_guard() asks them again. */
static enum stream_step exchange_to_backend(struct stream *stream)
{
	enum stream_step step;
	int error;

	/* Before copies are made of the request. */
	if (!guard_pass(stream, &stream->backend->guards, &step))
		return step;
	if (stream->backend->redirect)
		return exchange_redirect(stream, stream->backend->redirect);
	error = exchange_prepare_head(stream);
	if (error)
		return transform_failed(stream, error);
	if (!stream->exchange->user.delay_ms)
		histogram_add(&stream->proxy->counters->request_processing, &histogram_processing,
			      clock_now_ns() - stream->start_ns);
	return STEP_ATTEMPT;
}

enum stream_step exchange_guard(struct stream *stream)
{
	enum stream_step step;

	if (stream->backend)
		return exchange_to_backend(stream);
	if (!stream->route &&
	    (!guard_pass(stream, &stream->listener->guards, &step) || !exchange_find_route(stream, &step)))
		return step;
	if (!guard_pass(stream, &stream->route->effective.guards, &step))
		return step;
	if (stream->route->effective.redirect)
		return exchange_redirect(stream, stream->route->effective.redirect);
	return delay_start(stream) ? STEP_WAIT : STEP_FORWARD;
}

enum stream_step exchange_route(struct stream *stream)
{
	const struct bind *bind = stream->client->bind->bind;
	enum stream_step step;

	stream->is_grpc = grpc_is_call(&stream->exchange->head.fields);
	tracing_begin(stream);
	if (connect_tunnel_is_asked(stream) && !connect_tunnel_admit(stream))
		return connect_tunnel_refuse(stream);
	if (!bind)
		return step_reply(stream, 404, SPAN("bind not found"), END_CONFIG_REMOVED);
	if (!exchange_take_listener(stream, bind, &step) || !exchange_apply_rules(stream, &step))
		return step;
	client_use_listener(stream->client, stream->listener);
	return exchange_guard(stream);
}

/* An expression without a value, or one that gives up: no retries, and no body is kept for them. */
static const struct retry_policy *exchange_retry(struct stream *stream)
{
	const struct retry_policy *policy = stream->route->effective.retry;
	struct stream_facts f;

	if (!policy || !policy->precondition)
		return policy;
	if (stream_facts_fill(&f, stream, policy->precondition->needs, &stream->exchange->arena) < 0)
		return NULL;
	return expression_test(policy->precondition, &f.facts) == EXPRESSION_IS_TRUE ? policy : NULL;
}

enum stream_step exchange_forward(struct stream *stream)
{
	enum stream_step step;

	if (stream->route->effective.direct && direct_answers(stream, stream->route->effective.direct, &step))
		return step;
	stream->exchange->retry = exchange_retry(stream);
	return exchange_choose_backend(stream, &step) ? exchange_to_backend(stream) : step;
}
