/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/effective.h"

#include <errno.h>

#include "policy/compile/attach.h"
#include "policy/compile/certificate_list.h"
#include "policy/compile/guard_list.h"
#include "policy/compile/overridden.h"
#include "policy/compile/precedence.h"
#include "policy/compile/regex_set.h"
#include "policy/compile/request_rules.h"
#include "policy/match/route_table.h"
#include "policy/match/normalization.h"
#include "policy/compile/tls_compile.h"
#include "policy/compile/duplicates.h"
#include "user/base/limits.h"
#include "user/base/units.h"

const struct frontend_http frontend_http_default = {
	.max_buffer_bytes = 2 * 1024 * 1024,
	.http1_idle_timeout_ns = 600 * NS_PER_S,
};

struct compile {
	struct snapshot *snapshot;
	struct config_report *report;
	struct attachments attachments;
	size_t union_bytes_left; /* for the automata of routes */
	struct route_groups groups; /* of the listener that is compiled */
};

/* ---- backend references */

static void enter_backend(const struct compile *compile, struct precedence *precedence,
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
	precedence_enter_inline(precedence, &backend->inline_policies, LEVEL_INLINE_BACKEND);
}

/* The place of a reference. */
struct ref_place {
	const struct precedence *precedence; /* policies of gateway, listener and route */
	const struct listener *listener; /* NULL: a mirror */
	bool is_tcp;
	bool splice_off;
	bool is_grpc;
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

static int resolve_ref(const struct compile *compile, const struct ref_place *place, struct backend_ref *ref)
{
	struct precedence own = { 0 };
	const struct tls_place tls_place = { place->precedence, &own, place->listener, place->is_tcp };
	int result;

	enter_backend(compile, &own, ref->backend, ref->service_port);
	precedence_enter_inline(&own, &ref->inline_policies, LEVEL_INLINE_REF);
	precedence_enter_inline(&own, &ref->filters, LEVEL_INLINE_REF);
	ref->http = precedence_stronger(place->precedence, &own, POLICY_BACKEND_HTTP);
	ref->tcp = precedence_stronger(place->precedence, &own, POLICY_BACKEND_TCP);
	result = tls_compile_ref(&tls_place, ref, compile->snapshot->arena, compile->report);
	ref->http_version = version_of(ref, place->is_grpc);
	/* One host that a client chose must not take the others out of service. */
	if (ref->backend->kind != BACKEND_DYNAMIC)
		ref->health = precedence_stronger(place->precedence, &own, POLICY_BACKEND_HEALTH);
	ref->request_headers = precedence_object(&own, POLICY_REQUEST_HEADERS);
	ref->response_headers = precedence_object(&own, POLICY_RESPONSE_HEADERS);
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
		int result = resolve_ref(compile, place, &list[i]);

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

/* A rule may have several mirror filters; an attached policy has one. */
static int mirrors_collect(struct compile *compile, const struct precedence *precedence, struct route *route)
{
	const struct precedence_winner *winner = &precedence->of[POLICY_MIRROR];
	const struct policy_values *values = &route->inline_policies;
	bool is_inline = winner->level == LEVEL_INLINE_ROUTE;
	const struct mirror_policy **list;
	uint32_t count = 0;

	if (!winner->object)
		return 0;
	list = arena_take(compile->snapshot->arena, (is_inline ? values->value_count : 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; is_inline && i < values->value_count; i++) {
		if (values->value_list[i].kind == POLICY_MIRROR)
			list[count++] = values->value_list[i].object;
	}
	if (!is_inline)
		list[count++] = winner->object;
	route->effective.mirror_list = list;
	route->effective.mirror_count = count;
	return 0;
}

/* In a manifest, the Service or the kind of the route causes this, so only warn. */
static void refuse_mirror(const struct compile *compile, const struct route *route, struct span where)
{
	config_message_at(compile->report, route->kind.len ? CONFIG_WARNING : CONFIG_ERROR, where,
			  "copies are sent in HTTP/1.1, and this backend speaks HTTP/2; name one that speaks "
			  "HTTP/1.1");
}

/* Many routes may share a mirror: only policies of its backend apply, and the warning is given once. */
static int compile_mirrors(const struct compile *compile, const struct route *route)
{
	const struct precedence none = { 0 };
	const struct ref_place place = { .precedence = &none, .is_grpc = route->is_grpc };
	int result = 0;

	for (uint32_t i = 0; i < route->effective.mirror_count && result == 0; i++) {
		struct backend_ref *ref = route->effective.mirror_list[i]->ref;
		bool is_refused = ref && ref->http_version == BACKEND_HTTP2;

		if (!ref || !ref->backend)
			continue;
		result = resolve_ref(compile, &place, ref);
		if (!is_refused && ref->http_version == BACKEND_HTTP2)
			refuse_mirror(compile, route, ref->where);
	}
	return result;
}

static int label_make(struct arena *arena, struct span namespace, struct span name, struct span *ret_label)
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
		bool has_effect =
			is_http || policy_section_of(run.list[i].policy->value.kind) == SECTION_BACKEND;

		if (has_effect)
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

static int compile_routes(struct compile *compile, const struct precedence *outer,
			  const struct listener *listener, uint32_t group);

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

static int compile_route(struct compile *compile, const struct precedence *outer,
			 const struct listener *listener, struct route *route)
{
	struct precedence precedence = *outer;
	const struct ref_place place = { .precedence = &precedence,
					 .listener = listener,
					 .splice_off = route->splice_off || listener->splice_off,
					 .is_grpc = route->is_grpc };
	int result;

	enter_route(compile, &precedence, route->namespace, route->name, route->rule_name, route->kind, true);
	precedence_enter_inline(&precedence, &route->inline_policies, LEVEL_INLINE_ROUTE);
	route->effective = (struct route_policies){
		.timeout = precedence_object(&precedence, POLICY_TIMEOUT),
		.retry = retry_of(&precedence),
		.delay = precedence_object(&precedence, POLICY_DELAY),
		.request_headers = precedence_object(&precedence, POLICY_REQUEST_HEADERS),
		.response_headers = precedence_object(&precedence, POLICY_RESPONSE_HEADERS),
		.rewrite = precedence_object(&precedence, POLICY_URL_REWRITE),
		.redirect = precedence_object(&precedence, POLICY_REDIRECT),
		.direct = precedence_object(&precedence, POLICY_DIRECT_RESPONSE),
	};
	overridden_warn(&outer->of[POLICY_TIMEOUT], &outer->of[POLICY_RETRY], route, compile->report);
	result = route->is_refused ? 0 : mirrors_collect(compile, &precedence, route);
	if (route->is_refused)
		route->effective = (struct route_policies){ 0 };
	else if (result == 0)
		result = guard_list_build(&precedence, GUARD_PHASE_ROUTE, compile->snapshot->arena,
					  &route->effective.guards);
	if (result == 0)
		result = label_make(compile->snapshot->arena, route->namespace, route->name, &route->label);
	if (result == 0)
		result = compile_mirrors(compile, route);
	if (result == 0 && route->delegate_count)
		result = compile_delegates(compile, &precedence, listener, route);
	return result < 0 ? result
			  : resolve_refs(compile, &place, route->backend_list, route->backend_count,
					 &route->weight_sum);
}

static int compile_routes(struct compile *compile, const struct precedence *outer,
			  const struct listener *listener, uint32_t group)
{
	const struct route_groups *groups = &compile->groups;
	int result = 0;

	for (uint32_t i = groups->start[group]; i < groups->start[group + 1] && result == 0; i++)
		result = compile_route(compile, outer, listener, groups->list[i]);
	return result;
}

static int compile_tcp_route(const struct compile *compile, const struct precedence *outer,
			     const struct listener *listener, struct tcp_route *route)
{
	struct precedence precedence = *outer;
	const struct ref_place place = { .precedence = &precedence,
					 .listener = listener,
					 .is_tcp = true,
					 .splice_off = route->splice_off || listener->splice_off };
	int result;

	enter_route(compile, &precedence, route->namespace, route->name, route->rule_name, route->kind,
		    false);
	precedence_enter_inline(&precedence, &route->inline_policies, LEVEL_INLINE_ROUTE);
	result = resolve_refs(compile, &place, route->backend_list, route->backend_count, &route->weight_sum);
	return result < 0
		       ? result
		       : label_make(compile->snapshot->arena, route->namespace, route->name, &route->label);
}

/* ---- listeners and binds */

/* Selects policies of a gateway. */
enum gateway_scope {
	SCOPE_ROUTES, /* all but those of connections and guards of the gateway phase */
	SCOPE_GUARDS, /* guards of the gateway phase */
	SCOPE_BIND, /* those of connections */
	SCOPE_SHARED_BIND, /* only the gateway's own: the listener is not known when a connection starts */
};

static enum gateway_scope scope_of(const struct targeted_policy *policy)
{
	if (policy_section_of(policy->value.kind) == SECTION_FRONTEND)
		return SCOPE_BIND;
	return policy->is_gateway_phase && guard_kind_of(policy->value.kind) ? SCOPE_GUARDS : SCOPE_ROUTES;
}

static void enter_gateway(const struct compile *compile, struct precedence *precedence,
			  const struct listener *listener, uint16_t port, enum gateway_scope scope)
{
	const struct attachment_run runs[] = {
		attachments_of(&compile->attachments, TARGET_GATEWAY, listener->gateway_namespace,
			       listener->gateway_name),
		attachments_of(&compile->attachments, TARGET_LISTENER_SET, listener->set_namespace,
			       listener->set_name),
	};

	for (uint32_t i = 0; i < runs[0].count + runs[1].count; i++) {
		struct attachment *attachment =
			i < runs[0].count ? &runs[0].list[i] : &runs[1].list[i - runs[0].count];
		enum policy_level level = attachment_on_listener(attachment, listener, port);

		if (scope_of(attachment->policy) != (scope == SCOPE_SHARED_BIND ? SCOPE_BIND : scope))
			continue;
		if (scope == SCOPE_SHARED_BIND && level == LEVEL_LISTENER)
			continue;
		precedence_enter(precedence, attachment, level, compile->report);
	}
}

/* The server name selects the listener before its settings are needed, so the listener's policies count. */
static int compile_tls(struct compile *compile, struct listener *listener, uint16_t port)
{
	struct precedence precedence = { 0 };

	if (!listener->tls)
		return 0;
	enter_gateway(compile, &precedence, listener, port, SCOPE_BIND);
	return tls_compile_listener(listener, precedence_object(&precedence, POLICY_FRONTEND_TLS),
				    compile->snapshot->arena, compile->report);
}

static int compile_guards(struct compile *compile, struct listener *listener, uint16_t port)
{
	struct precedence precedence = { 0 };

	enter_gateway(compile, &precedence, listener, port, SCOPE_GUARDS);
	return guard_list_build(&precedence, GUARD_PHASE_GATEWAY, compile->snapshot->arena,
				&listener->guards);
}

static int compile_listener(struct compile *compile, struct listener *listener, uint16_t port)
{
	struct arena *arena = compile->snapshot->arena;
	struct precedence precedence = { 0 };
	int result = label_make(arena, listener->gateway_namespace, listener->gateway_name,
				&listener->gateway_label);

	if (result == 0)
		result = compile_tls(compile, listener, port);
	if (result == 0)
		result = route_table_build(listener, compile->snapshot, &compile->union_bytes_left);
	if (result == -E2BIG) {
		config_message_at(
			compile->report, CONFIG_ERROR, listener->where,
			"the routes of listener %s have more than %d combinations of host name and match; "
			"use wildcard host names or fewer matches",
			QUOTE(listener->key), LIMIT_ROUTE_ENTRIES);
		return 0;
	}
	if (result == 0)
		tcp_duplicates_warn(listener, compile->report);
	if (result == 0)
		result = normalization_check(listener, arena, compile->report);
	if (result == 0)
		result = compile_guards(compile, listener, port);
	enter_gateway(compile, &precedence, listener, port, SCOPE_ROUTES);
	if (result == 0)
		result = route_groups_sort(listener, arena, &compile->groups);
	if (result == 0)
		result = compile_routes(compile, &precedence, listener, 0);
	for (uint32_t i = 0; i < listener->tcp_route_count && result == 0; i++)
		result = compile_tcp_route(compile, &precedence, listener, &listener->tcp_route_list[i]);
	return result;
}

/*
 * True if it sets only members that are read when the listener is known: after the first request, and per
 * request.
 */
static bool sets_only_late(const struct frontend_http *http)
{
	return (http->sets_http1_idle_timeout || request_rules_are_set(http)) && !http->sets_max_buffer &&
	       !http->http1_max_headers.is_set && !http->http2_window_bytes.is_set &&
	       !http->http2_connection_window_bytes.is_set && !http->http2_frame_bytes.is_set &&
	       !http->http2_keepalive_interval.is_set && !http->http2_keepalive_timeout.is_set;
}

static bool is_of_listener(const struct attachment *attachment, const struct listener *listener)
{
	return listener->listener_name.len && !listener->set_name.len &&
	       span_eq(attachment->policy->target.section, listener->listener_name);
}

/*
 * Most policies of a connection are needed before its listener is known. If listeners share a port, only the
 * idle time and the rules for requests of their policies have an effect: warns about the others. Returns
 * true if the listener has a policy that sets the idle time.
 */
static bool excuse_listener_policies(const struct compile *compile, const struct listener *listener)
{
	struct attachment_run run = attachments_of(&compile->attachments, TARGET_GATEWAY,
						   listener->gateway_namespace, listener->gateway_name);
	bool has_idle = false;

	for (uint32_t i = 0; i < run.count; i++) {
		struct attachment *attachment = &run.list[i];
		const struct frontend_http *http = attachment->policy->value.kind == POLICY_FRONTEND_HTTP
							   ? attachment->policy->value.object
							   : NULL;

		if (policy_section_of(attachment->policy->value.kind) != SECTION_FRONTEND ||
		    attachment->policy->value.kind == POLICY_FRONTEND_TLS ||
		    !is_of_listener(attachment, listener))
			continue;
		has_idle |= http && http->sets_http1_idle_timeout;
		if (attachment->is_excused || (http && sets_only_late(http)))
			continue;
		attachment->is_excused = true;
		attachment_warn(compile->report, attachment->policy,
				"has no effect%s%s: the port has other listeners, too, and this policy "
				"governs connections before their listener is known; attach it to the "
				"gateway",
				http && http->sets_http1_idle_timeout ? " except for http1IdleTimeout" : "",
				!http || !request_rules_are_set(http) ? ""
				: http->sets_http1_idle_timeout	      ? " and rules for requests"
								      : " except for rules for requests");
	}
	return has_idle;
}

static const struct frontend_http *http_of_listener(const struct compile *compile,
						    const struct listener *listener)
{
	struct attachment_run run = attachments_of(&compile->attachments, TARGET_GATEWAY,
						   listener->gateway_namespace, listener->gateway_name);
	struct precedence own = { 0 };

	for (uint32_t i = 0; i < run.count; i++)
		if (run.list[i].policy->value.kind == POLICY_FRONTEND_HTTP &&
		    is_of_listener(&run.list[i], listener))
			precedence_enter(&own, &run.list[i], LEVEL_LISTENER, compile->report);
	return precedence_object(&own, POLICY_FRONTEND_HTTP);
}

static const struct frontend_http *http_of_gateway(const struct compile *compile,
						   const struct listener *listener, uint16_t port)
{
	struct precedence gateway = { 0 };

	enter_gateway(compile, &gateway, listener, port, SCOPE_SHARED_BIND);
	return precedence_object(&gateway, POLICY_FRONTEND_HTTP);
}

/*
 * For listeners that share a port: takes the gateway's rules, then the members that the listener's policy
 * sets.
 */
static void compile_shared(const struct compile *compile, const struct bind *bind, bool has_idle,
			   struct listener *listener)
{
	const struct frontend_http *gateway = http_of_gateway(compile, listener, bind->port);
	const struct frontend_http *own = http_of_listener(compile, listener);

	if (gateway)
		request_rules_take(&listener->rules, gateway);
	if (own)
		request_rules_take(&listener->rules, own);
	/* If any listener of the port has an idle time, set it for each of them. */
	if (has_idle)
		listener->http1_idle =
			(struct opt_duration){ true, own && own->sets_http1_idle_timeout
							     ? own->http1_idle_timeout_ns
							     : bind->http->http1_idle_timeout_ns };
}

static void compile_connection(const struct compile *compile, struct bind *bind)
{
	bool is_shared = bind->listener_count > 1, has_idle = false;
	struct precedence precedence = { 0 };
	const void *http;

	for (uint32_t i = 0; i < bind->listener_count; i++) {
		if (is_shared)
			has_idle |= excuse_listener_policies(compile, &bind->listener_list[i]);
		enter_gateway(compile, &precedence, &bind->listener_list[i], bind->port,
			      is_shared ? SCOPE_SHARED_BIND : SCOPE_BIND);
	}
	http = precedence_object(&precedence, POLICY_FRONTEND_HTTP);
	bind->http = http ? http : &frontend_http_default;
	bind->tcp = precedence_object(&precedence, POLICY_FRONTEND_TCP);
	bind->tls = precedence_object(&precedence, POLICY_FRONTEND_TLS);
	bind->connect = precedence_object(&precedence, POLICY_FRONTEND_CONNECT);
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		bind->listener_list[i].rules = (struct request_rules){ 0 };
		if (is_shared)
			compile_shared(compile, bind, has_idle, &bind->listener_list[i]);
		else
			request_rules_take(&bind->listener_list[i].rules, bind->http);
	}
}

static int compile_bind(struct compile *compile, struct bind *bind)
{
	int result = listener_table_build(bind, compile->snapshot->arena);

	if (result < 0)
		return result;
	duplicates_warn(bind, compile->report);
	compile_connection(compile, bind);
	bind->is_same_host = bind->listener_count > 0;
	for (uint32_t i = 0; i < bind->listener_count; i++)
		bind->is_same_host &= bind->listener_list[i].is_same_host;
	for (uint32_t i = 0; i < bind->listener_count && result == 0; i++)
		result = compile_listener(compile, &bind->listener_list[i], bind->port);
	return result;
}

/* There is one log in the process: a policy on any gateway sets it. */
static void compile_access_log(const struct compile *compile)
{
	struct precedence precedence = { 0 };

	for (uint32_t i = 0; i < compile->attachments.count; i++) {
		struct attachment *attachment = &compile->attachments.list[i];

		if (attachment->policy->value.kind == POLICY_FRONTEND_ACCESS_LOG &&
		    attachment->policy->is_attached)
			precedence_enter(&precedence, attachment, LEVEL_GATEWAY, compile->report);
	}
	if (!compile->snapshot->access_log)
		compile->snapshot->access_log = precedence_object(&precedence, POLICY_FRONTEND_ACCESS_LOG);
}

/* No route refers to MCP targets: policies of their own backend apply, otherwise those of the MCP backend. */
static void compile_servers(const struct compile *compile, const struct backend *backend,
			    const struct backend_tls *shared)
{
	const struct mcp_servers *servers = backend->mcp;
	struct attachment_run run =
		attachments_of(&compile->attachments, TARGET_BACKEND, backend->namespace, backend->name);

	for (uint32_t i = 0; servers && i < servers->server_count; i++) {
		struct mcp_server *server = &servers->server_list[i];
		struct precedence precedence = { 0 };

		if (!server->backend)
			continue;
		enter_backend(compile, &precedence, server->backend, server->service_port);
		for (uint32_t k = 0; k < run.count; k++)
			precedence_enter(&precedence, &run.list[k],
					 attachment_on_target(&run.list[k], server->name), compile->report);
		precedence_enter_inline(&precedence,
					&(struct policy_values){ server->policy_list, server->policy_count },
					LEVEL_INLINE_BACKEND);
		server->request_headers = precedence_object(&precedence, POLICY_REQUEST_HEADERS);
		server->tls = precedence_object(&precedence, POLICY_BACKEND_TLS);
		if (shared && (!server->tls || server->tls->is_of_scheme))
			server->tls = shared;
		if (server->tls &&
		    tls_compile_authority(server->backend, compile->snapshot->arena, &server->authority) < 0)
			compile->report->failed = true;
	}
}

/* Enters the policies of backends that no rule refers to, too, so that these policies are attached. */
static void compile_backends(const struct compile *compile)
{
	for (uint32_t i = 0; i < compile->snapshot->backend_count; i++) {
		const struct backend *backend = &compile->snapshot->backend_list[i];
		struct precedence precedence = { 0 };

		enter_backend(compile, &precedence, backend, 0);
		compile_servers(compile, backend, precedence_object(&precedence, POLICY_BACKEND_TLS));
	}
}

static int compile_all(struct compile *compile, struct arena *scratch)
{
	struct snapshot *snapshot = compile->snapshot;
	int result = attachments_build(snapshot, scratch, compile->report, &compile->attachments);

	for (uint32_t i = 0; i < snapshot->bind_count && result == 0; i++)
		result = compile_bind(compile, &snapshot->bind_list[i]);
	if (result < 0)
		return result;
	compile_access_log(compile);
	compile_backends(compile);
	attachments_finish(&compile->attachments, compile->report);
	return 0;
}

int policy_compile(struct snapshot *snapshot, struct config_report *report)
{
	struct compile compile = { .snapshot = snapshot,
				   .report = report,
				   .union_bytes_left = LIMIT_REGEX_UNION_TOTAL_BYTES };
	uint32_t errors = report->count[CONFIG_ERROR];
	struct arena scratch;
	int result = regex_set_compile(snapshot, report);

	if (result < 0)
		return result;
	arena_init(&scratch, 16 * 1024);
	result = compile_all(&compile, &scratch);
	arena_done(&scratch);
	if (result == 0)
		result = certificate_list_build(snapshot);
	if (result == 0 && report->failed)
		result = -ENOMEM;
	if (result == 0 && report->count[CONFIG_ERROR] != errors)
		result = -EINVAL;
	return result;
}
