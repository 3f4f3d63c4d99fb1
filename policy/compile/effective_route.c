/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/effective_route.h"

#include <errno.h>

#include "policy/compile/balance_compile.h"
#include "policy/compile/guard_list.h"
#include "policy/compile/overridden.h"
#include "policy/compile/tls_compile.h"
#include "user/base/check.h"
#include "user/base/limits.h"

static void refuse_too_many(const struct compile *compile, struct span where, const char *what)
{
	config_message_at(
		compile->report, CONFIG_ERROR, where,
		"more than %d policies with rules of authorization apply to this %s; join some of them",
		PRECEDENCE_ADDED, what);
}

/* ---- backend references */

bool compile_enter_backend(const struct compile *compile, struct precedence *precedence,
			   const struct backend *backend, uint16_t port)
{
	bool is_service = backend->kind == BACKEND_SERVICE;
	struct span name = backend->name;
	struct attachment_run run;

	/* "namespace/host name" */
	if (is_service && name.len > backend->namespace.len && span_starts(name, backend->namespace) &&
	    name.data[backend->namespace.len] == '/')
		name = span_from(name, backend->namespace.len + 1);
	run = attachments_of(&compile->attachments, is_service ? TARGET_SERVICE : TARGET_BACKEND,
			     backend->namespace, name);
	for (uint32_t i = 0; i < run.count; i++)
		precedence_enter(precedence, &run.list[i],
				 attachment_on_backend(&run.list[i], is_service ? port : 0), compile->report);
	return precedence_enter_inline(precedence, &backend->inline_policies, LEVEL_INLINE_BACKEND,
				       (struct span){ 0 });
}

/* The place of a reference. */
struct ref_place {
	const struct precedence *precedence; /* policies of gateway, listener and route */
	const struct listener *listener; /* NULL: a mirror */
	bool is_tcp;
	bool splice_off;
	bool is_grpc;
	const struct callout_target *callout; /* NULL: it is none */
	struct precedence *watched_list; /* for the own policies of each; NULL: nobody looks on */
	bool has_mcp_rules; /* the route, or one above it, has some */
};

/* A policy is more specific than the Service; gRPC requires HTTP/2. */
static enum backend_http_version version_of(const struct backend_ref *ref, bool is_grpc)
{
	if (ref->http && ref->http->version != BACKEND_HTTP_AUTO)
		return ref->http->version;
	if (ref->backend->kind == BACKEND_MCP)
		return BACKEND_HTTP1;
	if (ref->backend->http_version != BACKEND_HTTP_AUTO)
		return ref->backend->http_version;
	return is_grpc ? BACKEND_HTTP2 : BACKEND_HTTP_AUTO;
}

/* Rules of a backend decide about requests of routes: where there are none, nothing would be refused. */
static int compile_ref_guards(const struct compile *compile, const struct ref_place *place,
			      const struct precedence *own, struct backend_ref *ref)
{
	int result = guard_list_build(own, GUARD_PHASE_BACKEND, compile->snapshot->arena, &ref->guards);

	if (result == 0 && ref->guards.count && (place->is_tcp || !place->listener))
		config_message_at(
			compile->report, CONFIG_ERROR, ref->where,
			"%s of backend %s refuses requests, and would not apply to %s; name another backend",
			ref->guards.list[0].guard->name, QUOTE(ref->backend->name),
			place->is_tcp ? "this route, which carries bytes" : "what the gateway itself sends");
	return result;
}

/* Rules for MCP guard nothing at a backend whose messages the gateway does not read. */
static void refuse_mcp_rules(const struct compile *compile, const struct backend_ref *ref)
{
	if (ref->backend->kind != BACKEND_INVALID)
		config_message_at(
			compile->report, CONFIG_ERROR, ref->where,
			"mcpAuthorization does not guard this backend, because it is not an MCP "
			"backend: the gateway does not read its messages; write it as mcp: {targets: "
			"[...]}, or use authorization");
}

static int resolve_mcp_rules(const struct compile *compile, const struct ref_place *place,
			     const struct precedence *own, struct backend_ref *ref)
{
	const struct precedence_winner *outer = &place->precedence->of[POLICY_MCP_AUTHORIZATION],
				       *inner = &own->of[POLICY_MCP_AUTHORIZATION],
				       *winner = inner->object ? inner : outer;

	ref->mcp_rules = NULL;
	ref->mcp_rule = winner->attachment ? winner->attachment->policy->key : (struct span){ 0 };
	if (ref->backend->kind != BACKEND_MCP) {
		if (inner->object || place->has_mcp_rules)
			refuse_mcp_rules(compile, ref);
		return 0;
	}
	if (!winner->object)
		return 0;
	ref->mcp_rules =
		guard_list_join(place->precedence, own, POLICY_MCP_AUTHORIZATION, compile->snapshot->arena);
	return ref->mcp_rules ? 0 : -ENOMEM;
}

static bool is_written(const struct backend_ref *ref, enum policy_kind kind)
{
	for (uint32_t i = 0; i < ref->inline_policies.value_count; i++)
		if (ref->inline_policies.value_list[i].kind == kind)
			return true;
	return false;
}

/* Where credentials of the gateway cannot be sent, or would reach somebody else. */
static const char *auth_fault(const struct ref_place *place, const struct backend_ref *ref)
{
	const struct backend_auth_policy *auth = ref->auth;
	bool has_query =
		(auth->has_key || auth->has_passthrough) && auth->own.location.kind == LOCATION_QUERY;

	for (uint32_t i = 0; i < auth->credential_count; i++)
		has_query |= auth->credential_list[i].location.kind == LOCATION_QUERY;
	if (place->is_tcp && is_written(ref, POLICY_BACKEND_AUTH))
		return "backendAuth cannot add credentials to the bytes of a TCP or TLS route; use an HTTP "
		       "route";
	if (place->callout && !place->callout->is_of_request && auth->has_passthrough &&
	    is_written(ref, POLICY_BACKEND_AUTH))
		return "backendAuth has no token of a client to pass on here; write key";
	/* Its path is the method. */
	if (place->callout && place->is_grpc && has_query)
		return "backendAuth cannot put a query parameter into a call of gRPC; write location: "
		       "{header: {name: ...}}";
	if (ref->backend->kind == BACKEND_DYNAMIC && (auth->has_key || auth->credential_count))
		return "backendAuth would send its key to any host that a client names; write it at a "
		       "backend with a host";
	if (ref->backend->kind == BACKEND_MCP && has_query)
		return "backendAuth cannot put a query parameter into requests to MCP targets; write "
		       "location: {header: {name: ...}}";
	return NULL;
}

static void resolve_breaker(const struct compile *compile, const struct ref_place *place,
			    const struct precedence *own, struct backend_ref *ref)
{
	ref->breaker = precedence_stronger(place->precedence, own, POLICY_CIRCUIT_BREAKER);
	if (!ref->breaker || !ref->breaker->endpoint_connections.is_set)
		return;
	if (ref->backend->kind == BACKEND_DYNAMIC)
		config_message_at(compile->report, CONFIG_ERROR, ref->where,
				  "perEndpoint of circuitBreaker has no endpoints to count here, because "
				  "clients name the host; write maxConnections, for all hosts together");
	compile->snapshot->backend_list[ref->backend->index].counts_endpoints = true;
}

static void resolve_auth(const struct compile *compile, const struct ref_place *place,
			 const struct precedence *own, struct backend_ref *ref)
{
	const char *fault;

	ref->auth = precedence_stronger(place->precedence, own, POLICY_BACKEND_AUTH);
	fault = ref->auth ? auth_fault(place, ref) : NULL;
	if (fault)
		config_message_at(compile->report, CONFIG_ERROR, ref->where, "%s", fault);
	if (place->is_tcp)
		ref->auth = NULL;
}

/* Connections to MCP targets serve sessions, not one client: they have the policies of their own backends. */
static void resolve_proxy(const struct compile *compile, const struct ref_place *place,
			  const struct precedence *own, struct backend_ref *ref)
{
	if (ref->backend->kind != BACKEND_MCP)
		ref->proxy = precedence_stronger(place->precedence, own, POLICY_BACKEND_PROXY);
	else if (precedence_object(own, POLICY_BACKEND_PROXY))
		config_message_at(
			compile->report, CONFIG_ERROR, ref->where,
			"proxyProtocol has no effect on an MCP backend; write it under the policies "
			"of the backends that its targets name");
}

/* index: of the reference in its rule. */
static int resolve_ref(const struct compile *compile, const struct ref_place *place, struct backend_ref *ref,
		       uint32_t index)
{
	struct precedence own = { .candidate_arena = place->precedence->candidate_arena };
	const struct tls_place tls_place = { place->precedence, &own, place->listener, place->is_tcp };
	bool has_room = compile_enter_backend(compile, &own, ref->backend, ref->service_port);
	int result;

	has_room &= precedence_enter_inline(&own, &ref->inline_policies, LEVEL_INLINE_REF, ref->where);
	has_room &= precedence_enter_inline(&own, &ref->filters, LEVEL_INLINE_REF, ref->where);
	if (!has_room || own.is_full)
		refuse_too_many(compile, ref->where, "backend");
	if (place->watched_list)
		place->watched_list[index] = own;
	ref->http = precedence_stronger(place->precedence, &own, POLICY_BACKEND_HTTP);
	ref->tcp = precedence_stronger(place->precedence, &own, POLICY_BACKEND_TCP);
	result = compile_ref_guards(compile, place, &own, ref);
	if (result == 0)
		result = tls_compile_ref(&tls_place, ref, compile->snapshot->arena, compile->report);
	if (result == 0)
		result = resolve_mcp_rules(compile, place, &own, ref);
	ref->http_version = version_of(ref, place->is_grpc);
	/* One host that a client chose must not take the others out of service. */
	if (ref->backend->kind != BACKEND_DYNAMIC) {
		ref->health = precedence_stronger(place->precedence, &own, POLICY_BACKEND_HEALTH);
		balance_compile_ref(compile, place->precedence, &own, ref);
	}
	resolve_breaker(compile, place, &own, ref);
	resolve_proxy(compile, place, &own, ref);
	resolve_auth(compile, place, &own, ref);
	ref->transformation = precedence_stronger(place->precedence, &own, POLICY_BACKEND_TRANSFORMATION);
	ref->request_headers = precedence_object(&own, POLICY_REQUEST_HEADERS);
	ref->response_headers = precedence_object(&own, POLICY_RESPONSE_HEADERS);
	ref->rewrite = precedence_object(&own, POLICY_URL_REWRITE);
	ref->redirect = precedence_object(&own, POLICY_REDIRECT);
	ref->splice_off |= place->splice_off || ref->backend->splice_off;
	/* The same-host lanes cannot carry encrypted bytes. */
	ref->is_same_host =
		!ref->splice_off && !ref->tls && (ref->is_same_host || ref->backend->is_same_host);
	return result;
}

static int resolve_refs(const struct compile *compile, const struct ref_place *place,
			struct backend_ref *list, uint32_t count, uint64_t *ret_sum)
{
	uint64_t sum = 0;

	*ret_sum = 0;
	for (uint32_t i = 0; i < count; i++) {
		int result = resolve_ref(compile, place, &list[i], i);

		if (result < 0)
			return result;
		if (__builtin_add_overflow(sum, list[i].weight, &sum)) {
			config_message_at(
				compile->report, CONFIG_ERROR, list[i].where,
				"the weights of these backends add up to more than 2^64; write smaller ones");
			return 0;
		}
	}
	*ret_sum = sum;
	return 0;
}

/* ---- routes */

/* Collects all mirrors of inline values: a rule or a reference may have several filters of this type. */
static int mirrors_of(struct arena *arena, const struct policy_values *values,
		      const struct mirror_policy *const **ret_list, uint32_t *ret_count)
{
	const struct mirror_policy **list = arena_take(arena, values->value_count * sizeof(*list));
	uint32_t count = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < values->value_count; i++) {
		if (values->value_list[i].kind == POLICY_MIRROR)
			list[count++] = values->value_list[i].object;
	}
	*ret_list = list;
	*ret_count = count;
	return 0;
}

/* An attached policy has one mirror. */
static int mirrors_collect(struct compile *compile, const struct precedence *precedence, struct route *route)
{
	const struct precedence_winner *winner = &precedence->of[POLICY_MIRROR];
	struct policy_value attached = { POLICY_MIRROR, winner->object };
	const struct policy_values single = { &attached, 1 };

	if (!winner->object)
		return 0;
	return mirrors_of(compile->snapshot->arena,
			  winner->level == LEVEL_INLINE_ROUTE ? &route->inline_policies : &single,
			  &route->effective.mirror_list, &route->effective.mirror_count);
}

/* In a manifest, the Service or the kind of the route causes this, so only warn. */
static void refuse_mirror(const struct compile *compile, const struct route *route, struct span where)
{
	config_message_at(compile->report, route->kind.len ? CONFIG_WARNING : CONFIG_ERROR, where,
			  "copies are sent in HTTP/1.1, and this backend speaks HTTP/2; name one that speaks "
			  "HTTP/1.1");
}

/* Many routes may share a mirror: only policies of its backend apply, and the warning is given once. */
static int compile_mirrors(const struct compile *compile, const struct route *route,
			   const struct mirror_policy *const *list, uint32_t count)
{
	const struct precedence none = { 0 };
	const struct ref_place place = { .precedence = &none, .is_grpc = route->is_grpc };
	int result = 0;

	for (uint32_t i = 0; i < count && result == 0; i++) {
		struct backend_ref *ref = list[i]->ref;
		bool is_refused = ref && ref->http_version == BACKEND_HTTP2;

		if (!ref || !ref->backend)
			continue;
		result = resolve_ref(compile, &place, ref, 0);
		if (!is_refused && ref->http_version == BACKEND_HTTP2)
			refuse_mirror(compile, route, ref->where);
	}
	return result;
}

/* Filters of the references: copies of the requests that go to one of them. */
static int compile_ref_mirrors(const struct compile *compile, const struct route *route)
{
	int result = 0;

	for (uint32_t i = 0; i < route->backend_count && result == 0; i++) {
		struct backend_ref *ref = &route->backend_list[i];

		if (ref->filters.value_count)
			result = mirrors_of(compile->snapshot->arena, &ref->filters, &ref->mirror_list,
					    &ref->mirror_count);
		if (result == 0)
			result = compile_mirrors(compile, route, ref->mirror_list, ref->mirror_count);
	}
	return result;
}

int compile_callout(const struct compile *compile, const struct callout_target *target)
{
	const struct precedence none = { 0 };
	const struct ref_place place = { .precedence = &none, .is_grpc = target->is_grpc, .callout = target };
	int result = resolve_ref(compile, &place, target->ref, 0);

	if (result == 0 && !target->is_grpc && target->ref->http_version == BACKEND_HTTP2)
		config_message_at(
			compile->report, CONFIG_ERROR, target->ref->where,
			"the service is asked in HTTP/1.1, and this backend speaks HTTP/2; name one that "
			"speaks HTTP/1.1, or write protocol: {grpc: {}}");
	return result;
}

int compile_label_make(struct arena *arena, struct span namespace, struct span name, struct span *ret_label)
{
	char *label = arena_bytes(arena, namespace.len + 1 + name.len);

	if (!label)
		return -ENOMEM;
	memcpy(label, namespace.len ? namespace.data : "", namespace.len);
	label[namespace.len] = '/';
	memcpy(label + namespace.len + 1, name.len ? name.data : "", name.len);
	*ret_label = span_of(label, namespace.len + 1 + name.len);
	return 0;
}

static void enter_route(const struct compile *compile, struct precedence *precedence, struct span namespace,
			struct span name, struct span rule_name, struct span kind, bool is_http)
{
	struct attachment_run run = attachments_of(&compile->attachments, TARGET_ROUTE, namespace, name);

	for (uint32_t i = 0; i < run.count; i++) {
		const struct targeted_policy *policy = run.list[i].policy;

		if (is_http || (policy_section_of(policy->value.kind) == SECTION_BACKEND &&
				policy->value.kind != POLICY_MCP_AUTHORIZATION &&
				policy->value.kind != POLICY_MCP_AUTHENTICATION))
			precedence_enter(precedence, &run.list[i],
					 attachment_on_route(&run.list[i], rule_name, kind), compile->report);
	}
}

/* `attempts: 0` switches off retries of weaker levels, and is then treated as no policy. */
static const struct retry_policy *retry_of(const struct precedence *precedence)
{
	const struct retry_policy *retry = precedence_object(precedence, POLICY_RETRY);

	return retry && retry->attempts ? retry : NULL;
}

/* Routes of a group have the policies of the route above them, unless they have their own. */
static int compile_delegates(struct compile *compile, const struct precedence *outer,
			     const struct listener *listener, struct route *route)
{
	struct precedence inherited = *outer;
	int result = 0;

	route->delegate_sum = 0;
	precedence_inherit(&inherited);
	for (uint32_t i = 0; i < route->delegate_count && result == 0; i++) {
		route->delegate_sum += route->delegate_list[i].weight;
		result = compile_routes(compile, &inherited, listener, route->delegate_list[i].group);
	}
	return result;
}

/* ---- headgate explain route */

bool route_watch_fits(const struct route_watch *watch, struct span label, struct span rule_name)
{
	ptrdiff_t slash = span_find(label, '/');
	const struct span names[] = { label, span_from(label, (size_t)(slash + 1)) };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct span rest = span_from(watch->name,
					     names[i].len < watch->name.len ? names[i].len : watch->name.len);

		if (!span_starts(watch->name, names[i]))
			continue;
		if (!rest.len ||
		    (rule_name.len && rest.data[0] == '/' && span_eq(span_from(rest, 1), rule_name)))
			return true;
	}
	return false;
}

/* *ret_list: for the own policies of each reference; NULL: nobody watches this route. 0 or -ENOMEM. */
static int watch_begin(const struct compile *compile, struct span label, struct span rule_name,
		       uint32_t count, struct precedence **ret_list)
{
	if (!compile->watch || !route_watch_fits(compile->watch, label, rule_name))
		return 0;
	*ret_list = arena_take(compile->watch->arena, (count + 1) * sizeof(**ret_list));
	if (!*ret_list)
		return -ENOMEM;
	memset(*ret_list, 0, (count + 1) * sizeof(**ret_list));
	return 0;
}

static int watch_end(const struct compile *compile, const struct watched_route *watched, uint32_t count)
{
	bool lacks_memory = watched->precedence->lacks_memory;

	for (uint32_t i = 0; i < count; i++)
		lacks_memory |= watched->ref_list[i].lacks_memory;
	return lacks_memory ? -ENOMEM : compile->watch->on_route(compile->watch->context, watched);
}

/* ---- rules */

/* Resolves the references of a rule, and shows them to whoever watches it. watched: with its route. */
static int compile_refs(const struct compile *compile, struct ref_place *place, struct watched_route watched,
			struct backend_ref *list, uint32_t count, uint64_t *ret_sum)
{
	const struct route *route = watched.route;
	int result = watch_begin(compile, route ? route->label : watched.tcp_route->label,
				 route ? route->rule_name : watched.tcp_route->rule_name, count,
				 &place->watched_list);

	if (result == 0)
		result = resolve_refs(compile, place, list, count, ret_sum);
	if (result < 0 || !place->watched_list)
		return result;
	watched.listener = place->listener;
	watched.precedence = place->precedence;
	watched.ref_list = place->watched_list;
	return watch_end(compile, &watched, count);
}

/* It is of the route itself, or of the routes that delegate to it: those of a gateway are for all routes. */
static bool is_of_route(const struct precedence *precedence, enum policy_kind kind)
{
	return precedence->of[kind].level >= LEVEL_PARENT;
}

/* The policy for MCP backends that applies to one of them: its own, or that of the levels above. */
static const struct precedence_winner *mcp_auth_of_ref(const struct compile *compile,
						       const struct precedence *outer, struct precedence *own,
						       const struct backend_ref *ref)
{
	const enum policy_kind kind = POLICY_MCP_AUTHENTICATION;

	compile_enter_backend(compile, own, ref->backend, ref->service_port);
	precedence_enter_inline(own, &ref->inline_policies, LEVEL_INLINE_REF, ref->where);
	return own->of[kind].object ? &own->of[kind] : &outer->of[kind];
}

/*
 * Tokens for MCP backends are verified where other tokens are: before a backend is chosen. So the backends of
 * a route must agree about them.
 */
static void take_mcp_auth(const struct compile *compile, struct precedence *precedence,
			  const struct route *route)
{
	struct precedence_winner *jwt = &precedence->of[POLICY_JWT_AUTH], found = { 0 };
	const char *fault = NULL;
	bool has_mcp = false, guards_none = is_of_route(precedence, POLICY_MCP_AUTHENTICATION);

	for (uint32_t i = 0; i < route->backend_count && !fault; i++) {
		const struct backend_ref *ref = &route->backend_list[i];
		struct precedence own = { 0 };
		const struct precedence_winner *winner = mcp_auth_of_ref(compile, precedence, &own, ref);

		guards_none &= ref->backend->kind != BACKEND_MCP && ref->backend->kind != BACKEND_INVALID;
		if (own.of[POLICY_MCP_AUTHENTICATION].object && ref->backend->kind != BACKEND_MCP)
			fault = "mcp.authentication guards nothing at a backend that is not an MCP backend";
		else if (ref->backend->kind == BACKEND_MCP && has_mcp && winner->object != found.object)
			fault = "its backends differ in mcp.authentication; attach it to the route";
		if (ref->backend->kind == BACKEND_MCP)
			found = *winner;
		has_mcp |= ref->backend->kind == BACKEND_MCP;
	}
	if (!fault && guards_none && route->backend_count)
		fault = "mcp.authentication guards nothing at a route without an MCP backend; "
			"write jwtAuthentication instead";
	if (found.object && jwt->object)
		fault = "tokens are verified twice, by jwtAuthentication and by mcp.authentication; write "
			"jwtAuthentication with mcp instead of both";
	if (fault)
		config_message_at(compile->report, CONFIG_ERROR, route->where, "%s", fault);
	else if (found.object)
		*jwt = found;
}

static int compile_route(struct compile *compile, const struct precedence *outer,
			 const struct listener *listener, struct route *route)
{
	struct precedence precedence = *outer;
	struct ref_place place = { .precedence = &precedence,
				   .listener = listener,
				   .splice_off = route->splice_off || listener->splice_off,
				   .is_grpc = route->is_grpc };
	int result;

	enter_route(compile, &precedence, route->namespace, route->name, route->rule_name, route->kind, true);
	if (!precedence_enter_inline(&precedence, &route->inline_policies, LEVEL_INLINE_ROUTE, route->where))
		refuse_too_many(compile, route->where, "route");
	place.has_mcp_rules = is_of_route(&precedence, POLICY_MCP_AUTHORIZATION);
	route->effective = (struct route_policies){
		.timeout = precedence_object(&precedence, POLICY_TIMEOUT),
		.retry = retry_of(&precedence),
		.delay = precedence_object(&precedence, POLICY_DELAY),
		.request_headers = precedence_object(&precedence, POLICY_REQUEST_HEADERS),
		.response_headers = precedence_object(&precedence, POLICY_RESPONSE_HEADERS),
		.rewrite = precedence_object(&precedence, POLICY_URL_REWRITE),
		.host_rewrite = precedence_object(&precedence, POLICY_HOST_REWRITE),
		.redirect = precedence_object(&precedence, POLICY_REDIRECT),
		.direct = precedence_object(&precedence, POLICY_DIRECT_RESPONSE),
	};
	overridden_warn(&outer->of[POLICY_TIMEOUT], &outer->of[POLICY_RETRY], route, compile->report);
	take_mcp_auth(compile, &precedence, route);
	result = route->is_refused ? 0 : mirrors_collect(compile, &precedence, route);
	if (route->is_refused)
		route->effective = (struct route_policies){ 0 };
	else if (result == 0)
		result = guard_list_build(&precedence, GUARD_PHASE_ROUTE, compile->snapshot->arena,
					  &route->effective.guards);
	if (result == 0 && !route->is_refused)
		result = balance_compile_session(
			compile, precedence_object(&precedence, POLICY_SESSION_PERSISTENCE), route);
	if (result == 0)
		result = compile_label_make(compile->snapshot->arena, route->namespace, route->name,
					    &route->label);
	if (result == 0)
		result = compile_mirrors(compile, route, route->effective.mirror_list,
					 route->effective.mirror_count);
	if (result == 0)
		result = compile_ref_mirrors(compile, route);
	if (result == 0 && route->delegate_count)
		result = compile_delegates(compile, &precedence, listener, route);
	return result < 0 ? result
			  : compile_refs(compile, &place, (struct watched_route){ .route = route },
					 route->backend_list, route->backend_count, &route->weight_sum);
}

int compile_routes(struct compile *compile, const struct precedence *outer, const struct listener *listener,
		   uint32_t group)
{
	const struct route_groups *groups = &compile->groups;
	int result = 0;

	for (uint32_t i = groups->start[group]; i < groups->start[group + 1] && result == 0; i++)
		result = compile_route(compile, outer, listener, groups->list[i]);
	return result;
}

int compile_tcp_route(const struct compile *compile, const struct precedence *outer,
		      const struct listener *listener, struct tcp_route *route)
{
	struct precedence precedence = *outer;
	struct ref_place place = { .precedence = &precedence,
				   .listener = listener,
				   .is_tcp = true,
				   .splice_off = route->splice_off || listener->splice_off };
	int result;

	enter_route(compile, &precedence, route->namespace, route->name, route->rule_name, route->kind,
		    false);
	precedence_enter_inline(&precedence, &route->inline_policies, LEVEL_INLINE_ROUTE, route->where);
	result = compile_label_make(compile->snapshot->arena, route->namespace, route->name, &route->label);
	return result < 0 ? result
			  : compile_refs(compile, &place, (struct watched_route){ .tcp_route = route },
					 route->backend_list, route->backend_count, &route->weight_sum);
}
