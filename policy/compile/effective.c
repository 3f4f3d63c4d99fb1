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
#include "policy/compile/effective_route.h"
#include "policy/compile/endpoint_order.h"
#include "user/base/limits.h"
#include "user/base/units.h"

const struct frontend_http frontend_http_default = {
	.max_buffer_bytes = LIMIT_BUFFER_BYTES,
	.http1_idle_timeout_ns = 600 * NS_PER_S,
};

/* tunnelProtocol: proxy */
static const struct frontend_proxy frontend_proxy_default = { PROXY_VERSION_ALL, PROXY_STRICT };

/* ---- listeners and binds */

/* Selects policies of a gateway. */
enum gateway_scope {
	SCOPE_ROUTES, /* all but those of connections and guards of the gateway phase */
	SCOPE_GUARDS, /* guards of the gateway phase, and of connections */
	SCOPE_BIND, /* those of connections */
	SCOPE_SHARED_BIND, /* only the gateway's own: the listener is not known when a connection starts */
};

static enum gateway_scope scope_of(const struct targeted_policy *policy)
{
	const struct guard_kind *guard = guard_kind_of(policy->value.kind);

	if (guard)
		return policy->is_gateway_phase || guard->phases & GUARD_PHASE_CONNECTION ? SCOPE_GUARDS
											  : SCOPE_ROUTES;
	return policy_section_of(policy->value.kind) == SECTION_FRONTEND ? SCOPE_BIND : SCOPE_ROUTES;
}

/* A guard of requests, on a listener that has none. */
static bool is_of_requests_elsewhere(const struct targeted_policy *policy, const struct listener *listener)
{
	const struct guard_kind *guard = guard_kind_of(policy->value.kind);

	return guard && !(guard->phases & GUARD_PHASE_CONNECTION) && listener->protocol != PROTOCOL_HTTP &&
	       listener->protocol != PROTOCOL_HTTPS;
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

		if (is_of_requests_elsewhere(attachment->policy, listener))
			continue;
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

/* frontendPolicies are for one gateway, and a listener with a namespace of its own may belong to another. */
static void check_network(const struct compile *compile, const struct listener *listener)
{
	for (uint32_t i = 0; i < compile->snapshot->policy_count; i++) {
		const struct targeted_policy *policy = &compile->snapshot->policy_list[i];

		if ((policy->value.kind != POLICY_NETWORK_AUTHORIZATION &&
		     policy->value.kind != POLICY_NETWORK_EXT_AUTHZ) ||
		    policy->has_name ||
		    (span_eq(policy->target.attach_namespace, listener->gateway_namespace) &&
		     span_eq(policy->target.name, listener->gateway_name)))
			continue;
		config_message_at(
			compile->report, CONFIG_ERROR, listener->where,
			"frontendPolicies.%s does not guard this listener, which has the namespace %s; "
			"remove the namespace",
			policy_kind_name(policy->value.kind), QUOTE(listener->gateway_namespace));
	}
}

/* Of the whole gateway: it is asked before the listener of a plain connection is known. */
static int compile_network_ext_authz(const struct precedence *precedence, struct arena *arena,
				     struct bind *bind)
{
	const struct precedence_winner *winner = &precedence->of[POLICY_NETWORK_EXT_AUTHZ];
	struct guard_use *use;

	if (!winner->object || bind->network_ext_authz)
		return 0;
	bind->network_ext_authz = use = arena_take(arena, sizeof(*use));
	if (!use)
		return -ENOMEM;
	use->guard = guard_kind_of(POLICY_NETWORK_EXT_AUTHZ);
	use->object = winner->object;
	use->rule = winner->attachment->policy->key;
	return 0;
}

static int compile_guards(struct compile *compile, struct bind *bind, struct listener *listener)
{
	struct arena *arena = compile->snapshot->arena;
	struct precedence precedence = { 0 };
	int error;

	check_network(compile, listener);
	enter_gateway(compile, &precedence, listener, bind->port, SCOPE_GUARDS);
	error = compile_network_ext_authz(&precedence, arena, bind);
	return error ? error : guard_list_build(&precedence, GUARD_PHASE_GATEWAY, arena, &listener->guards);
}

static int compile_listener(struct compile *compile, struct bind *bind, struct listener *listener)
{
	struct arena *arena = compile->snapshot->arena;
	uint16_t port = bind->port;
	struct precedence precedence = { .candidate_arena = compile->watch ? compile->watch->arena : NULL };
	int result = compile_label_make(arena, listener->gateway_namespace, listener->gateway_name,
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
		result = compile_guards(compile, bind, listener);
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

		if (scope_of(attachment->policy) != SCOPE_BIND ||
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
	bind->proxy = precedence_object(&precedence, POLICY_FRONTEND_PROXY);
	if (!bind->proxy && bind->is_proxied)
		bind->proxy = &frontend_proxy_default;
	for (uint32_t i = 0; i < bind->listener_count; i++) {
		bind->listener_list[i].rules = (struct request_rules){ 0 };
		if (is_shared)
			compile_shared(compile, bind, has_idle, &bind->listener_list[i]);
		else
			request_rules_take(&bind->listener_list[i].rules, bind->http);
	}
}

static bool are_same_rules(const struct guard_use *a, const struct guard_use *b)
{
	const struct authorization_policy *x, *y;

	if (!a || !b)
		return a == b;
	x = a->object;
	y = b->object;
	if (x->rule_count != y->rule_count)
		return false;
	for (uint32_t i = 0; i < x->rule_count; i++)
		if (x->rule_list[i].expression_list != y->rule_list[i].expression_list)
			return false;
	return true;
}

/*
 * The guard that decides about plain connections when they are accepted, before their listener is known. If
 * the listeners differ, each request has the guard of its listener.
 */
static const struct guard_use *network_of(const struct bind *bind)
{
	const struct guard_use *first = NULL;

	for (uint32_t i = 0; i < bind->listener_count; i++) {
		const struct guard_use *own = guard_of_connections(&bind->listener_list[i].guards);

		if (i == 0)
			first = own;
		else if (!are_same_rules(first, own))
			return NULL;
	}
	return first;
}

static int compile_bind(struct compile *compile, struct bind *bind)
{
	int result = listener_table_build(bind, compile->snapshot->arena);

	if (result < 0)
		return result;
	duplicates_warn(bind, compile->report);
	compile_connection(compile, bind);
	bind->network_ext_authz = NULL;
	bind->is_same_host = bind->listener_count > 0;
	for (uint32_t i = 0; i < bind->listener_count; i++)
		bind->is_same_host &= bind->listener_list[i].is_same_host && !bind->listener_list[i].tls;
	for (uint32_t i = 0; i < bind->listener_count && result == 0; i++)
		result = compile_listener(compile, bind, &bind->listener_list[i]);
	bind->network = network_of(bind);
	return result;
}

/* There is one log in the process, and one set of metrics: a policy on any gateway sets them. */
static void compile_observation(const struct compile *compile)
{
	struct precedence precedence = { 0 };

	for (uint32_t i = 0; i < compile->attachments.count; i++) {
		struct attachment *attachment = &compile->attachments.list[i];
		enum policy_kind kind = attachment->policy->value.kind;

		if ((kind == POLICY_FRONTEND_ACCESS_LOG || kind == POLICY_FRONTEND_METRICS ||
		     kind == POLICY_FRONTEND_TRACING) &&
		    attachment->policy->is_attached)
			precedence_enter(&precedence, attachment, LEVEL_GATEWAY, compile->report);
	}
	if (!compile->snapshot->access_log)
		compile->snapshot->access_log = precedence_object(&precedence, POLICY_FRONTEND_ACCESS_LOG);
	compile->snapshot->metrics = precedence_object(&precedence, POLICY_FRONTEND_METRICS);
	compile->snapshot->tracing = precedence_object(&precedence, POLICY_FRONTEND_TRACING);
	if (!compile->snapshot->tracing && compile->snapshot->config.has_tracing)
		compile->snapshot->tracing = &compile->snapshot->config.tracing;
}

/*
 * Requests to MCP targets get the key by a modifier: the last value set counts. Other credentials are those
 * of the MCP backend.
 */
static const struct header_modifier *modifier_of_target(const struct compile *compile,
							const struct mcp_server *server,
							const struct precedence *precedence,
							struct span where)
{
	const struct header_modifier *modifier = precedence_object(precedence, POLICY_REQUEST_HEADERS);
	const struct backend_auth_policy *auth = precedence_object(precedence, POLICY_BACKEND_AUTH);
	struct header_modifier *joined;
	uint32_t count = modifier ? modifier->set_count : 0, total;

	if (!auth)
		return modifier;
	joined = arena_take(compile->snapshot->arena, sizeof(*joined));
	total = count + auth->credential_count + 1;
	if (!joined ||
	    !(joined->set_list = arena_take(compile->snapshot->arena, total * sizeof(*joined->set_list)))) {
		compile->report->failed = true;
		return NULL;
	}
	if (modifier) {
		struct header_pair *list = joined->set_list;

		*joined = *modifier;
		joined->set_list = list;
		if (count)
			memcpy(list, modifier->set_list, count * sizeof(*list));
	}
	joined->set_count = count;
	for (uint32_t i = 0; i <= auth->credential_count; i++) {
		bool is_own = i == auth->credential_count;
		const struct backend_credential *credential = is_own ? &auth->own : &auth->credential_list[i];

		if (is_own && !auth->has_key && !auth->has_passthrough)
			continue;
		if (credential->location.kind != LOCATION_HEADER || (is_own && auth->has_passthrough))
			config_message_at(compile->report, CONFIG_ERROR, where,
					  "backendAuth of MCP target %s can only be a key in a header; write "
					  "passthrough and other locations at the MCP backend",
					  QUOTE(server->name));
		else
			joined->set_list[joined->set_count++] =
				(struct header_pair){ credential->location.name, credential->text };
	}
	return joined;
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
		(void)compile_enter_backend(compile, &precedence, server->backend, server->service_port);
		if (precedence_object(&precedence, POLICY_BACKEND_AUTHORIZATION) ||
		    precedence_object(&precedence, POLICY_BACKEND_EXT_AUTHZ))
			config_message_at(
				compile->report, CONFIG_ERROR, backend->name,
				"authorization or extAuthz of the backend of target %s refuses requests of "
				"routes, and would not apply here; guard the routes of the MCP backend",
				QUOTE(server->name));
		for (uint32_t k = 0; k < run.count; k++)
			precedence_enter(&precedence, &run.list[k],
					 attachment_on_target(&run.list[k], server->name), compile->report);
		precedence_enter_inline(&precedence,
					&(struct policy_values){ server->policy_list, server->policy_count },
					LEVEL_INLINE_BACKEND, (struct span){ 0 });
		server->request_headers = modifier_of_target(compile, server, &precedence, backend->name);
		server->proxy = precedence_object(&precedence, POLICY_BACKEND_PROXY);
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

		(void)compile_enter_backend(compile, &precedence, backend, 0);
		compile_servers(compile, backend, precedence_object(&precedence, POLICY_BACKEND_TLS));
	}
}

static int order_endpoints(const struct compile *compile)
{
	struct snapshot *snapshot = compile->snapshot;
	struct order_context context = { .arena = snapshot->arena,
					 .zone = snapshot->config.zone,
					 .session_key = snapshot->session_key,
					 .slots_left = LIMIT_MAGLEV_TOTAL_SLOTS };
	int result = 0;

	for (uint32_t i = 0; i < snapshot->backend_count && result == 0; i++)
		result = endpoint_order(&snapshot->backend_list[i], &context);
	if (result != -E2BIG)
		return result;
	config_error(compile->report, NULL,
		     "the tables for consistent hashing have more than %d slots together; write a smaller "
		     "tableSize, or let fewer backends choose by hash",
		     LIMIT_MAGLEV_TOTAL_SLOTS);
	return 0;
}

static int compile_all(struct compile *compile, struct arena *scratch)
{
	struct snapshot *snapshot = compile->snapshot;
	int result = attachments_build(snapshot, scratch, compile->report, &compile->attachments);

	for (uint32_t i = 0; i < snapshot->bind_count && result == 0; i++)
		result = compile_bind(compile, &snapshot->bind_list[i]);
	if (result < 0)
		return result;
	for (uint32_t i = 0; i < snapshot->callout_count && result == 0; i++)
		result = compile_callout(compile, &snapshot->callout_list[i]);
	if (result < 0)
		return result;
	compile_observation(compile);
	compile_backends(compile);
	result = order_endpoints(compile);
	if (result < 0)
		return result;
	tls_compile_fetches(snapshot, compile->report);
	attachments_finish(&compile->attachments, compile->report);
	return 0;
}

int policy_compile(struct snapshot *snapshot, struct config_report *report)
{
	return policy_compile_watched(snapshot, report, NULL);
}

int policy_compile_watched(struct snapshot *snapshot, struct config_report *report,
			   const struct route_watch *watch)
{
	struct compile compile = { .watch = watch,
				   .snapshot = snapshot,
				   .report = report,
				   .union_bytes_left = LIMIT_REGEX_UNION_TOTAL_BYTES };
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
	if (result == 0 && config_report_refuses(report))
		result = -EINVAL;
	return result;
}
