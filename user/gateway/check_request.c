/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/check_request.h"

#include "user/gateway/check_bind.h"

#include <errno.h>

#include "admin/dump/config_dump.h"
#include "admin/dump/config_dump_policy.h"
#include "policy/headers.h"
#include "policy/match/route.h"
#include "user/base/limits.h"
#include "user/client/client_peer.h"
#include "user/gateway/options.h"
#include "user/http/grpc.h"
#include "user/http/h1_parse.h"
#include "user/http/head_scan.h"
#include "user/http/target.h"
#include "user/phase/route_rules.h"

#define BLOCK_BYTES (64 * 1024)

/* ---- the request */

static bool parse_url(struct span url, struct check_request *ret)
{
	size_t end = 0;

	ret->is_tls = span_starts(url, SPAN("https://"));
	if (!ret->is_tls && !span_starts(url, SPAN("http://")))
		return false;
	url = span_from(url, ret->is_tls ? 8 : 7);
	while (end < url.len && url.data[end] != '/' && url.data[end] != '?' && url.data[end] != '#')
		end++;
	ret->authority = span_first(url, end);
	ret->target = span_from(url, end);
	/* The fragment is never sent. */
	if (span_find(ret->target, '#') >= 0)
		ret->target = span_first(ret->target, (size_t)span_find(ret->target, '#'));
	return authority_is_valid(ret->authority);
}

bool check_request_parse(struct span text, struct check_request *ret)
{
	ptrdiff_t blank = span_find(text, ' ');
	struct span url = blank < 0 ? text : span_trim(span_from(text, (size_t)blank + 1));

	ret->method = blank < 0 ? SPAN("GET") : span_first(text, (size_t)blank);
	return parse_url(url, ret);
}

static bool is_host(const char *header)
{
	return span_eq_nocase(span_first(span_str(header), 5), SPAN("host:"));
}

/* The bytes that a client would send. Of CONNECT the target is the authority. */
static struct span write_head(struct check_request *request)
{
	bool has_host = false;
	struct span bytes;
	struct text text;

	text_init(&text);
	text_fmt(&text, "%.*s ", SPAN_FMT(request->method));
	if (method_of(request->method) == METHOD_CONNECT)
		text_add(&text, request->authority);
	else
		text_fmt(&text, "%s%.*s", span_starts(request->target, SPAN("/")) ? "" : "/",
			 SPAN_FMT(request->target));
	text_str(&text, " HTTP/1.1\r\n");
	for (size_t i = 0; i < request->header_count; i++)
		has_host |= is_host(request->header_list[i]);
	if (!has_host)
		text_fmt(&text, "Host: %.*s\r\n", SPAN_FMT(request->authority));
	for (size_t i = 0; i < request->header_count; i++)
		text_fmt(&text, "%s\r\n", request->header_list[i]);
	text_str(&text, "\r\n");
	bytes = text_error(&text) ? (struct span){ 0 } : arena_copy(&request->arena, text_span(&text));
	text_done(&text);
	return bytes;
}

static enum http_error read_head(struct check_request *request)
{
	const struct head_limits limits = client_head_limits(&request->snapshot->config, request->bind->http);
	struct span bytes = write_head(request);
	struct head_scan scan;
	enum http_error error;

	if (!bytes.data)
		return HTTP_ERROR_NO_MEMORY;
	head_scan_init(&scan, false);
	switch (head_scan_run(&scan, bytes, &limits)) {
	case SCAN_DONE:
		break;
	case SCAN_MORE:
		return HTTP_ERROR_REQUEST_LINE;
	case SCAN_BAD:
		return scan.http_error;
	}
	error = h1_parse_request(bytes, &request->arena, &request->head, &request->guard.framing);
	request->head.is_secure = request->is_tls;
	return error;
}

/* ---- what the client gets */

static void write_result(struct check_request *request, const char *what, unsigned status, struct span text)
{
	struct json_writer *w = request->w;

	json_open_object(w, "result");
	json_str(w, "answer", what);
	if (status)
		json_u64(w, "status", status);
	if (text.len)
		json_string(w, "text", text);
	json_close(w);
}

static void write_refusal(struct check_request *request, const struct route_refusal *refusal)
{
	bool is_bad = refusal->http_error != HTTP_ERROR_NONE;

	write_result(request, "the gateway's",
		     is_bad ? http_error_status(refusal->http_error) : refusal->status,
		     is_bad ? span_str(http_error_text(refusal->http_error)) : refusal->text);
}

/* False: the result is written. */
static bool pass_guards(struct check_request *request, const struct guard_list *list)
{
	struct span text = { 0 };
	uint16_t status = 0;

	if (check_guard_ask(&request->guard, list, &request->head, request->scheme, &request->arena,
			    request->w, &status, &text))
		return true;
	write_result(request, "of a guard", status, text);
	return false;
}

static void write_redirect(struct check_request *request, const struct redirect_policy *redirect,
			   const struct route_match *match)
{
	struct span location = { 0 };

	if (headers_redirect(&request->head, redirect, match, request->is_tls ? SPAN("https") : SPAN("http"),
			     &request->arena, &location) < 0)
		location = SPAN("no memory");
	write_result(request, "a redirect", redirect->status, location);
}

/* ---- backends */

static void write_share(struct json_writer *w, uint64_t weight, uint64_t sum)
{
	char text[32];

	json_u64(w, "weight", weight);
	snprintf(text, sizeof(text), "%.1f %%", sum ? 100.0 * (double)weight / (double)sum : 0.0);
	json_str(w, "share", text);
}

/* Leaves out what has no policy. */
static void write_policies(struct json_writer *w, const struct policy_value *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (list[i].object)
			dump_policy_value(w, &list[i]);
}

/* What the backend receives in the first line and in Host. */
static void write_sent(struct check_request *request, const struct route *route,
		       const struct route_match *match, const struct backend_ref *ref)
{
	struct request_head head = request->head;
	struct json_writer *w = request->w;

	if (fields_clone(&request->head.fields, &request->arena, &head.fields) < 0 ||
	    (ref->transformation && ref->transformation->request.is_set &&
	     check_guard_transform(&request->guard, &ref->transformation->request, &head, &request->arena) <
		     0) ||
	    headers_rewrite(&head, ref->rewrite ? ref->rewrite : route->effective.rewrite,
			    route->effective.host_rewrite, match, ref) < 0)
		return;
	json_open_object(w, "receives");
	json_string(w, "host", head.authority);
	json_string(w, "path", head.path);
	json_close(w);
}

static void write_backend(struct json_writer *w, const struct backend_ref *ref, uint64_t sum)
{
	const struct policy_value policies[] = {
		{ POLICY_BACKEND_HTTP, ref->http },
		{ POLICY_BACKEND_TCP, ref->tcp },
		{ POLICY_BACKEND_TLS, ref->tls },
		{ POLICY_BACKEND_HEALTH, ref->health },
		{ POLICY_BACKEND_AUTH, ref->auth },
		{ POLICY_BACKEND_TRANSFORMATION, ref->transformation },
		{ POLICY_LOAD_BALANCER, ref->balancer },
		{ POLICY_SESSION_AFFINITY,
		  ref->balancer && ref->affinity == &ref->balancer->hash ? NULL : ref->affinity },
		{ POLICY_REQUEST_HEADERS, ref->request_headers },
		{ POLICY_RESPONSE_HEADERS, ref->response_headers },
		{ POLICY_URL_REWRITE, ref->rewrite },
		{ POLICY_REDIRECT, ref->redirect },
	};
	const struct backend *backend = ref->backend;

	json_string(w, "backend", backend->target.len ? backend->target : backend->name);
	write_share(w, ref->weight, sum);
	if (backend->kind == BACKEND_INVALID)
		json_string(w, "answers",
			    backend->invalid_reason.len ? backend->invalid_reason
							: SPAN("500: backend does not exist"));
	else if (backend->endpoint_count == 0)
		json_str(w, "answers", "503: no healthy backends");
	json_open_array(w, "endpoints");
	for (uint32_t i = 0; i < backend->endpoint_count; i++)
		json_string(w, NULL, backend->endpoint_list[i].text);
	json_close(w);
	json_open_object(w, "policies");
	write_policies(w, policies, ARRAY_LEN(policies));
	json_close(w);
}

static void write_backends(struct check_request *request, const struct route *route,
			   const struct route_match *match)
{
	struct json_writer *w = request->w;
	uint64_t sum = route->weight_sum + route->delegate_sum;
	struct span text;
	uint16_t status;

	json_open_array(w, "backends");
	for (uint32_t i = 0; i < route->backend_count; i++) {
		json_open_object(w, NULL);
		write_backend(w, &route->backend_list[i], sum);
		(void)check_guard_ask(&request->guard, &route->backend_list[i].guards, &request->head,
				      request->scheme, &request->arena, w, &status, &text);
		write_sent(request, route, match, &route->backend_list[i]);
		json_close(w);
	}
	json_close(w);
}

/* ---- routes */

static void write_route_policies(struct json_writer *w, const struct route_policies *policies)
{
	const struct policy_value list[] = {
		{ POLICY_TIMEOUT, policies->timeout },
		{ POLICY_RETRY, policies->retry },
		{ POLICY_DELAY, policies->delay },
		{ POLICY_REQUEST_HEADERS, policies->request_headers },
		{ POLICY_RESPONSE_HEADERS, policies->response_headers },
		{ POLICY_REDIRECT, policies->redirect },
		{ POLICY_URL_REWRITE, policies->rewrite },
		{ POLICY_HOST_REWRITE, policies->host_rewrite },
		{ POLICY_DIRECT_RESPONSE, policies->direct },
	};

	json_open_object(w, "policies");
	write_policies(w, list, ARRAY_LEN(list));
	for (uint32_t i = 0; i < policies->mirror_count; i++)
		dump_policy_value(w, &(struct policy_value){ POLICY_MIRROR, policies->mirror_list[i] });
	json_close(w);
}

static void write_route_result(struct check_request *request, const struct route *route,
			       const struct route_match *match)
{
	const struct direct_response *direct = route->effective.direct;

	if (route->effective.redirect)
		write_redirect(request, route->effective.redirect, match);
	else if (direct && direct->case_count)
		write_result(request,
			     "that of the first case of directResponse whose condition is true; else the "
			     "backend's",
			     0, (struct span){ 0 });
	else if (direct)
		write_result(request, "of directResponse", direct->status, direct->body);
	else if (!route->weight_sum)
		write_result(request, "the gateway's", 500, SPAN("no valid backends"));
	else
		write_result(request, "of one of the backends, by weight", 0, (struct span){ 0 });
}

static void write_found(struct check_request *request, const struct route_found *found, int depth);

static void write_groups(struct check_request *request, const struct route *route, int depth)
{
	struct json_writer *w = request->w;

	json_open_array(w, "groups");
	for (uint32_t i = 0; i < route->delegate_count; i++) {
		const struct route_delegate *delegate = &route->delegate_list[i];
		struct route_found found;

		json_open_object(w, NULL);
		json_string(w, "group", delegate->name);
		write_share(w, delegate->weight, route->delegate_sum + route->weight_sum);
		found = route_search_group(request->listener, delegate->group, &request->head);
		if (delegate->weight)
			write_found(request, &found, depth + 1);
		json_close(w);
	}
	json_close(w);
}

static void write_route(struct check_request *request, const struct route *route,
			const struct route_match *match, int depth)
{
	struct json_writer *w = request->w;

	json_string(w, "key", route->key);
	json_string(w, "name", route->label);
	if (route->rule_name.len)
		json_string(w, "rule", route->rule_name);
	if (route->where.len)
		json_string(w, "where", route->where);
	json_key(w, SPAN("match"));
	dump_route_match(w, match);
	if (route_delegates(route) && depth < LIMIT_DELEGATION_DEPTH)
		write_groups(request, route, depth);
	if (route_delegates(route) && !route->weight_sum)
		return;
	if (route->is_refused) {
		write_result(request, "the gateway's", 500, SPAN("the route is refused"));
		return;
	}
	write_route_policies(w, &route->effective);
	if (!pass_guards(request, &route->effective.guards))
		return;
	if (!route->effective.redirect)
		write_backends(request, route, match);
	write_route_result(request, route, match);
}

static void write_found(struct check_request *request, const struct route_found *found, int depth)
{
	if (found->gave_up) {
		write_result(request, "the gateway's", 400, SPAN("too long to be matched"));
		return;
	}
	if (!found->route) {
		write_result(request, "the gateway's", 404, SPAN("route not found"));
		return;
	}
	json_open_object(request->w, "route");
	write_route(request, found->route, found->match, depth);
	json_close(request->w);
}

/* ---- the connection */

static void write_tcp(struct check_request *request, struct span sni)
{
	const struct tcp_route *route = tcp_route_find(request->listener, sni);
	struct json_writer *w = request->w;

	if (!route) {
		write_result(request, "none: the connection ends", 0, SPAN("route not found"));
		return;
	}
	json_open_object(w, "route");
	json_string(w, "key", route->key);
	json_string(w, "name", route->label);
	json_open_array(w, "backends");
	for (uint32_t i = 0; i < route->backend_count; i++) {
		json_open_object(w, NULL);
		write_backend(w, &route->backend_list[i], route->weight_sum);
		json_close(w);
	}
	json_close(w);
	json_close(w);
	write_result(request, "of one of the backends, by weight: a tunnel", 0, (struct span){ 0 });
}

/* ---- the request path */

static void write_request(struct check_request *request)
{
	const struct request_head *head = &request->head;
	struct json_writer *w = request->w;
	char ip[ADDRESS_TEXT_BYTES];

	json_open_object(w, "request");
	json_string(w, "method", head->method_text);
	json_str(w, "scheme", request->is_tls ? "https" : "http");
	json_string(w, "host", head->authority);
	json_string(w, "path", head->path);
	if (head->has_query)
		json_string(w, "query", head->query);
	json_string(w, "client", span_of(ip, address_host_text(&request->client, ip)));
	json_close(w);
}

/* The service of networkExtAuthz is asked before the request is read. */
static void write_asked(struct check_request *request)
{
	struct guard_use use = *request->bind->network_ext_authz;
	const struct guard_list list = { .list = &use, .count = 1 };
	struct span text;
	uint16_t status;

	json_open_object(request->w, "connection");
	(void)check_guard_ask(&request->guard, &list, &request->head, request->scheme, &request->arena,
			      request->w, &status, &text);
	json_close(request->w);
}

static void write_place(struct check_request *request)
{
	json_u64(request->w, "port", request->bind->port);
	if (request->listener)
		json_string(request->w, "listener", request->listener->key);
	if (request->bind->network_ext_authz)
		write_asked(request);
}

/* The listener by SNI: clients send none for an address. */
static const struct listener *listener_of_name(const struct check_request *request, struct span *ret_sni)
{
	struct span host = authority_host(request->authority);
	struct address address;

	if (address_parse_ip(check_bind_ip(request->authority), 0, &address) == 0)
		host = (struct span){ 0 };
	*ret_sni = host;
	return listener_find(request->bind, host);
}

/* As exchange_route() and exchange_guard() do it (user/phase/route.c). */
static void check_http(struct check_request *request, const struct listener *by_name)
{
	bool is_trusted = client_peer_is_listed(&request->snapshot->config, &request->client);
	enum http_error error = read_head(request);
	struct request_head *head = &request->head;
	struct route_refusal refusal = { .http_error = error };
	struct route_found found;

	if (error) {
		write_place(request);
		write_refusal(request, &refusal);
		return;
	}
	request->listener = listener_find(request->bind, authority_host(head->authority));
	request->guard.client = request->client;
	request->guard.rules = request->listener ? &request->listener->rules : NULL;
	request->guard.is_forwarded = is_trusted && fields_have(&head->fields, FIELD_X_FORWARDED_FOR);
	request->scheme = route_rules_scheme(&head->fields, is_trusted, request->is_tls);
	if (head->method == METHOD_CONNECT)
		head->path = SPAN("/");
	refusal = (struct route_refusal){ .status = 404, .text = SPAN("listener not found") };
	if (head->method == METHOD_CONNECT &&
	    (!request->bind->connect || request->bind->connect->mode != CONNECT_ROUTE))
		refusal = (struct route_refusal){ .status = 405, .text = SPAN("method not allowed") };
	else if (request->listener && request->is_tls && request->listener != by_name)
		refusal =
			(struct route_refusal){ .status = 421,
						.text = SPAN("this host needs a TLS connection of its own") };
	else if (request->listener)
		switch (route_rules_apply(head, request->listener, (struct span){ 0 }, &request->arena,
					  &refusal)) {
		case ROUTE_RULES_PASS:
			refusal = (struct route_refusal){ 0 };
			break;
		case ROUTE_RULES_END_HERE:
			refusal = (struct route_refusal){ .status = 200, .text = SPAN("Max-Forwards is 0") };
			break;
		case ROUTE_RULES_REFUSE:
			break;
		}
	write_request(request);
	write_place(request);
	if (refusal.http_error || refusal.status) {
		write_refusal(request, &refusal);
		return;
	}
	if (!pass_guards(request, &request->listener->guards))
		return;
	found = route_search(request->listener, head);
	write_found(request, &found, 0);
}

static void check_connection(struct check_request *request)
{
	const struct bind *bind = request->bind;
	struct span sni = { 0 };

	if (bind->protocol == BIND_TCP && bind->listener_count)
		request->listener = &bind->listener_list[0];
	if (bind->protocol == BIND_TLS)
		request->listener = listener_of_name(request, &sni);
	if (bind->protocol == BIND_HTTP ||
	    (request->listener && request->listener->protocol == PROTOCOL_HTTPS)) {
		check_http(request, request->listener);
		return;
	}
	write_place(request);
	if (request->listener)
		write_tcp(request, sni);
	else
		write_result(request, "none: a TLS alert ends the connection", 0, SPAN("listener not found"));
}

int check_request(struct check_request *request, struct json_writer *w)
{
	int error = check_bind_find(request);

	if (error)
		return error;
	request->w = w;
	arena_init(&request->arena, BLOCK_BYTES);
	check_guard_init(&request->guard);
	check_connection(request);
	check_guard_done(&request->guard);
	arena_done(&request->arena);
	return text_error(w->out);
}
