/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/policy.h"

#include "config/gatewayapi/auth_policy.h"
#include "config/gatewayapi/callout_policy.h"
#include "config/gatewayapi/policy_safety.h"
#include "config/gatewayapi/policy_target.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/target_kind.h"
#include "config/core/values/policy_value.h"
#include "config/core/values/values.h"
#include "policy/guard/guard.h"

/* -------------------------------------------------------------------------------- frontend */

static void decode_frontend(struct manifests *m, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("http"),	KEY("tcp"),	      KEY("accessLog"),
		KEY("tls"),	KEY("tracing"),	      KEY("metrics"),
		KEY("connect"), KEY("proxyProtocol"), KEY("networkAuthorization"),
	};
	static const struct plain_policy plain[] = {
		{ "http", "frontend/", ":frontend-http:", POLICY_FRONTEND_HTTP },
		{ "tcp", "frontend/", ":frontend-tcp:", POLICY_FRONTEND_TCP },
		{ "tls", "frontend/", ":frontend-tls:", POLICY_FRONTEND_TLS },
		{ "connect", "frontend/", ":frontend-connect:", POLICY_FRONTEND_CONNECT },
		{ "proxyProtocol", "frontend/", ":frontend-proxy:", POLICY_FRONTEND_PROXY },
		{ "networkAuthorization", "frontend/",
		  ":frontend-network-authz:", POLICY_NETWORK_AUTHORIZATION },
		{ "metrics", "frontend/", ":frontend-metrics:", POLICY_FRONTEND_METRICS },
	};

	static const struct plain_policy tracing = { "tracing", "frontend/",
						     ":frontend-tracing:", POLICY_FRONTEND_TRACING };
	const struct yaml_node *proxy = decode_get(node, "proxyProtocol");
	static const struct plain_policy log = { "accessLog", "frontend/",
						 ":frontend-logging:", POLICY_FRONTEND_ACCESS_LOG };
	const struct yaml_node *tracing_node = decode_get(node, "tracing");
	const struct yaml_node *log_node = decode_get(node, "accessLog");
	struct decoder *d = m->decoder;

	if (!found_decode_map(d, node, keys, ARRAY_LEN(keys), &source->found))
		return;
	/* An error at the node leaves the policy out. */
	if (proxy)
		(void)value_trusts_proxies(d, proxy, &m->builder->snapshot->config);
	found_add_plain(d, node, plain, ARRAY_LEN(plain), &source->found);
	if (log_node)
		found_add(&source->found, &log, callout_policy_access_log(m, log_node, source->object),
			  log_node);
	if (tracing_node)
		found_add(&source->found, &tracing, callout_policy_tracing(m, tracing_node, source->object),
			  tracing_node);
}

/* -------------------------------------------------------------------------------- traffic */

static void decode_header_modifiers(struct decoder *d, const struct yaml_node *node,
				    struct policy_source *source)
{
	static const struct decode_key keys[] = { KEY("request"), KEY("response") };
	static const struct plain_policy plain[] = {
		{ "request", "traffic/", ":header-modifier:", POLICY_REQUEST_HEADERS },
		{ "response", "traffic/", ":resp-header-modifier:", POLICY_RESPONSE_HEADERS },
	};

	if (found_decode_map(d, node, keys, ARRAY_LEN(keys), &source->found))
		found_add_plain(d, node, plain, ARRAY_LEN(plain), &source->found);
}

/* Limits of the gateway, and those of a service: two kinds. Without any, the first says what is missing. */
static void decode_rate_limit(struct manifests *m, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = { KEY("local"), KEY("global"), KEY("conditional") };
	static const struct plain_policy local = { "rateLimit", "traffic/",
						   ":rl-local:", POLICY_LOCAL_RATE_LIMIT };
	static const struct plain_policy global = { "rateLimit", "traffic/",
						    ":rl-global:", POLICY_REMOTE_RATE_LIMIT };
	bool is_of_service = decode_get(node, "global") || decode_get(node, "conditional");
	struct decoder *d = m->decoder;

	if (!node || !DECODE_MAP(d, node, keys))
		return;
	if (decode_get(node, "local") || !is_of_service)
		found_add(&source->found, &local, policy_value(d, node, POLICY_LOCAL_RATE_LIMIT), node);
	if (is_of_service)
		found_add(&source->found, &global, callout_policy_limit(m, node, source->object), node);
}

/* Policies that need other objects: secrets, services. */
static void decode_with_objects(struct manifests *m, const struct yaml_node *map,
				struct policy_source *source)
{
	static const struct {
		struct plain_policy plain;
		const void *(*decode)(struct manifests *m, const struct yaml_node *node,
				      const struct manifest_object *object);
	} list[] = {
		{ { "jwtAuthentication", "traffic/", ":jwt:", POLICY_JWT_AUTH }, callout_policy_jwt },
		{ { "basicAuthentication", "traffic/", ":basicauth:", POLICY_BASIC_AUTH },
		  auth_policy_basic },
		{ { "apiKeyAuthentication", "traffic/", ":apikeyauth:", POLICY_API_KEY },
		  auth_policy_api_key },
		{ { "extAuth", "traffic/", ":extauth:", POLICY_EXT_AUTHZ }, callout_policy_ext_authz },
	};
	bool *outer;

	outer = m->decoder->lacks_guard;
	m->decoder->lacks_guard = &source->found.lacks_guard;
	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		const struct yaml_node *node = decode_get(map, list[i].plain.key);

		if (node)
			found_add(&source->found, &list[i].plain, list[i].decode(m, node, source->object),
				  node);
	}
	decode_rate_limit(m, decode_get(map, "rateLimit"), source);
	m->decoder->lacks_guard = outer;
}

/* The host for the backend: its own, or the client's. A URLRewrite filter with a hostname is stronger. */
static void decode_host_rewrite(struct decoder *d, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = { KEY("mode") };
	static const char *const modes[] = { "Auto", "None" };
	static const struct plain_policy plain = { "hostRewrite", "traffic/",
						   ":host-rewrite:", POLICY_HOST_REWRITE };
	struct host_rewrite *rewrite;
	unsigned mode;

	if (!DECODE_MAP(d, node, keys) ||
	    !DECODE_WORD(d, decode_need(d, node, "mode", "write Auto or None"), modes, &mode))
		return;
	rewrite = decode_take(d, 1, sizeof(*rewrite));
	if (!rewrite)
		return;
	rewrite->kind = mode == 0 ? AUTHORITY_AUTO : AUTHORITY_NONE;
	found_add(&source->found, &plain, rewrite, node);
}

/* Some policies need to know the route. The error refuses the targets, so the phase does not matter. */
static void check_phase(struct decoder *d, const struct yaml_node *phase, struct policy_source *source)
{
	bool is_possible = true;

	for (uint32_t i = 0; source->is_gateway_phase && i < source->found.count; i++) {
		const struct found_policy *one = &source->found.list[i];
		const struct guard_kind *guard = guard_kind_of(one->value.kind);

		if (!guard || guard->phases & GUARD_PHASE_GATEWAY)
			continue;
		config_error(d->report, phase,
			     "%s cannot decide before a route is chosen; leave out phase, or move it to "
			     "another policy",
			     QUOTE(one->node->key));
		is_possible = false;
	}
	source->is_gateway_phase &= is_possible;
}

static const struct decode_key traffic_keys[] = {
	KEY("timeouts"),
	KEY("retry"),
	KEY("delay"),
	KEY("headerModifiers"),
	KEY("directResponse"),
	KEY("phase"),
	KEY("hostRewrite"),
	KEY("transformation"),
	KEY_REFUSED("extProc", NOT_YET_EXT_PROC),
	KEY("extAuth"),
	KEY("rateLimit"),
	KEY("cors"),
	KEY("csrf"),
	KEY("authorization"),
	KEY("jwtAuthentication"),
	KEY("basicAuthentication"),
	KEY("apiKeyAuthentication"),
	KEY("limits"),
	KEY("buffer"),
	KEY_REFUSED("compression", NOT_YET_COMPRESSION),
	KEY_REFUSED("concurrencyLimit", NOT_YET_CONCURRENCY_LIMIT),
	KEY_REFUSED("conditional", NOT_YET_CONDITIONAL),
};

static void decode_traffic(struct manifests *m, const struct yaml_node *node, struct policy_source *source)
{
	static const char *const phases[] = { "PostRouting", "PreRouting" };
	static const struct plain_policy plain[] = {
		{ "timeouts", "traffic/", ":timeout:", POLICY_TIMEOUT },
		{ "retry", "traffic/", ":retry:", POLICY_RETRY },
		{ "delay", "traffic/", ":delay:", POLICY_DELAY },
		{ "directResponse", "traffic/", ":direct-response:", POLICY_DIRECT_RESPONSE },
		{ "cors", "traffic/", ":cors:", POLICY_CORS },
		{ "authorization", "traffic/", ":authorization:", POLICY_AUTHORIZATION },
		{ "limits", "traffic/", ":limits:", POLICY_LIMITS },
		{ "buffer", "traffic/", ":buffer:", POLICY_BUFFER },
		{ "transformation", "traffic/", ":transformation:", POLICY_TRANSFORMATION },
		{ "csrf", "traffic/", ":csrf:", POLICY_CSRF },
	};
	struct decoder *d = m->decoder;
	unsigned phase = 0;

	if (!found_decode_map(d, node, traffic_keys, ARRAY_LEN(traffic_keys), &source->found))
		return;
	DECODE_WORD(d, decode_get(node, "phase"), phases, &phase);
	source->is_gateway_phase = phase == 1;
	found_add_plain(d, node, plain, ARRAY_LEN(plain), &source->found);
	decode_with_objects(m, node, source);
	decode_header_modifiers(d, decode_get(node, "headerModifiers"), source);
	decode_host_rewrite(d, decode_get(node, "hostRewrite"), source);
	check_phase(d, decode_get(node, "phase"), source);
}

/* -------------------------------------------------------------------------------- policies */

static void decode_strategy(struct decoder *d, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("inheritance") };
	static const char *const words[] = { "Default", "Override" };
	unsigned index = 0;

	if (DECODE_MAP(d, node, keys) && DECODE_WORD(d, decode_get(node, "inheritance"), words, &index) &&
	    index == 1)
		config_error(d->report, decode_get(node, "inheritance"),
			     "Override is not supported yet: the more specific policy always wins here; "
			     "write Default, and make the more specific policies agree");
}

/* An empty object was probably intended to have an effect. */
static void warn_of_empty(struct decoder *d, const struct yaml_node *node, const char *example)
{
	if (node && node->kind == YAML_MAP && node->count == 0)
		config_warning(d->report, node,
			       "is empty and has no effect; remove it, or write what it is to set, as in %s",
			       example);
}

static void settle_status(struct decoder *d, const struct policy_source *source)
{
	struct conditions *conditions = &source->object->status->conditions;
	const char *fault = source->object->root->fault;
	const struct status_condition *refs = &conditions->of[CONDITION_RESOLVED_REFS];

	if (fault)
		status_fail(d, conditions, CONDITION_ACCEPTED, "Invalid", "%s%s", fault,
			    source->is_unsafe ? "; its targets get status 500" : "; the rest is in force");
	if (source->found.lacks_guard)
		status_fail(d, conditions, CONDITION_ACCEPTED, "Invalid",
			    "asks for a protection that is not supported yet, or lacks a part of it; its "
			    "targets get status 500");
	/* This kind has no condition for them. */
	if (refs->is_set && !refs->is_true)
		condition_fail(conditions, CONDITION_ACCEPTED, "Invalid", refs->message);
	conditions->of[CONDITION_RESOLVED_REFS] = (struct status_condition){ 0 };
}

/* People write keys of `traffic` beside it. */
static const char *place_of(const struct yaml_node *member)
{
	for (size_t i = 0; i < ARRAY_LEN(traffic_keys); i++)
		if (span_eq(member->key, span_str(traffic_keys[i].name)))
			return "under traffic";
	return NULL;
}

static bool decode_sections(struct decoder *d, const struct yaml_node *spec)
{
	static const struct decode_key keys[] = {
		KEY("targetRefs"), KEY("targetSelectors"), KEY("frontend"),
		KEY("traffic"),	   KEY("backend"),	   KEY("strategy")
	};
	uint32_t errors = d->report->count[CONFIG_ERROR];
	bool is_map;

	d->place_of = place_of;
	is_map = DECODE_MAP(d, spec, keys);
	d->place_of = NULL;
	if (is_map && d->report->count[CONFIG_ERROR] == errors && !decode_get(spec, "frontend") &&
	    !decode_get(spec, "traffic") && !decode_get(spec, "backend"))
		config_error(d->report, spec,
			     "sets nothing; write at least one of frontend, traffic and backend");
	return is_map;
}

static void decode_policy(struct manifests *m, const struct manifest_object *object)
{
	struct policy_source source = { .object = object };
	const struct yaml_node *spec = object->spec;
	struct decoder *d = m->decoder;

	if (!spec) {
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {targetRefs: [...], traffic: {...}}");
		return;
	}
	if (!decode_sections(d, spec))
		return;
	source.has_section[SECTION_FRONTEND] = decode_get(spec, "frontend");
	source.has_section[SECTION_TRAFFIC] = decode_get(spec, "traffic");
	source.has_section[SECTION_BACKEND] = decode_get(spec, "backend");
	warn_of_empty(d, decode_get(spec, "frontend"), "frontend: {http: {http1IdleTimeout: 5m}}");
	warn_of_empty(d, decode_get(spec, "traffic"), "traffic: {timeouts: {request: 10s}}");
	warn_of_empty(d, decode_get(spec, "backend"), "backend: {http: {requestTimeout: 10s}}");
	decode_strategy(d, decode_get(spec, "strategy"));
	decode_frontend(m, decode_get(spec, "frontend"), &source);
	decode_traffic(m, decode_get(spec, "traffic"), &source);
	backend_policies_decode(m, decode_get(spec, "backend"), object, BACKEND_POLICIES,
				&callout_policy_links, &source.found);
	source.is_unsafe = policy_is_unsafe(object);
	policy_targets_decode(m, spec, &source);
	settle_status(d, &source);
}

/* At any depth, as in traffic.rateLimit.conditional; that of a document is limited. */
static bool names_service(const struct yaml_node *node)
{
	yaml_each(child, node)
		if (span_eq(child->key, SPAN("backendRef")) || names_service(child))
			return true;
	return false;
}

/* Whether a policy may ask an object of this kind; one that is misspelt may be meant as such a kind. */
static bool is_asked(const struct yaml_node *kind)
{
	struct manifest_ref ref = { 0 };
	enum manifest_kind object;
	enum target_kind target;

	if (!kind)
		return true;
	ref.kind = kind->text;
	ref.group = target_kind_group(ref.kind);
	return !target_kind_find(&ref, &object, &target) || target == TARGET_SERVICE ||
	       target == TARGET_BACKEND;
}

static bool are_asked(const struct yaml_node *targets)
{
	if (!targets || targets->kind != YAML_LIST)
		return targets;
	yaml_each(target, targets)
		if (is_asked(decode_get(target, "kind")))
			return true;
	return false;
}

/* It may have targets that another policy asks. */
static bool is_for_backends(const struct yaml_node *spec)
{
	const struct yaml_node *refs = decode_get(spec, "targetRefs"),
			       *selectors = decode_get(spec, "targetSelectors");

	return (!refs && !selectors) || are_asked(refs) || are_asked(selectors);
}

enum { POLICY_TURNS = 3 };

static int turn_of(const struct manifest_object *object)
{
	if (!object->spec || !names_service(object->spec))
		return 0;
	return is_for_backends(object->spec) ? 1 : 2;
}

void policies_decode(struct manifests *m)
{
	const struct pointer_list *objects = &m->objects[MANIFEST_POLICY];

	/*
	 * Those that name a service come last: by then it is known which services policies refuse. Of these,
	 * only policies for services and backends can refuse one, so the others follow them.
	 */
	for (int turn = 0; turn < POLICY_TURNS; turn++) {
		for (uint32_t i = 0; i < objects->count; i++)
			if (turn_of(objects->list[i]) == turn)
				decode_policy(m, objects->list[i]);
	}
}
