/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/policy.h"

#include <stdio.h>

#include "config/gatewayapi/auth_policy.h"
#include "config/gatewayapi/backend_policy.h"
#include "config/gatewayapi/policy_safety.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/target_kind.h"
#include "config/gatewayapi/unknown_kind.h"
#include "config/core/values/policy_value.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define TARGET_KINDS "write Gateway, ListenerSet, HTTPRoute, GRPCRoute, Service or AgentgatewayBackend"

enum { TARGETS_MAX = 16 }; /* as in the CRD */

struct policy_source {
	const struct manifest_object *object;
	struct found_policies found;
	bool is_gateway_phase;
	bool is_unsafe; /* an error may be in something that protects: the targets are not served */
	bool has_section[3]; /* by enum policy_section */
	struct name_map targets; /* "kind/name/section/port" */
};

/* -------------------------------------------------------------------------------- frontend */

static void decode_frontend(struct decoder *d, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("http"),
		KEY("tcp"),
		KEY("accessLog"),
		KEY("tls"),
		KEY_REFUSED("tracing", NOT_YET_TRACING),
		KEY_REFUSED("metrics", NOT_YET_METRICS),
		KEY("connect"),
		KEY_REFUSED("proxyProtocol", NOT_YET_PROXY),
		KEY_REFUSED("networkAuthorization", NOT_YET_NETWORK_AUTHORIZATION),
	};
	static const struct plain_policy plain[] = {
		{ "http", "frontend/", ":frontend-http:", POLICY_FRONTEND_HTTP },
		{ "tcp", "frontend/", ":frontend-tcp:", POLICY_FRONTEND_TCP },
		{ "tls", "frontend/", ":frontend-tls:", POLICY_FRONTEND_TLS },
		{ "connect", "frontend/", ":frontend-connect:", POLICY_FRONTEND_CONNECT },
		{ "accessLog", "frontend/", ":frontend-logging:", POLICY_FRONTEND_ACCESS_LOG },
	};

	if (found_decode_map(d, node, keys, ARRAY_LEN(keys), &source->found))
		found_add_plain(d, node, plain, ARRAY_LEN(plain), &source->found);
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

/* Policies whose secrets may be in other objects. */
static void decode_credentials(struct manifests *m, const struct yaml_node *map, struct policy_source *source)
{
	static const struct {
		struct plain_policy plain;
		const void *(*decode)(struct manifests *m, const struct yaml_node *node,
				      const struct manifest_object *object);
	} list[] = {
		{ { "jwtAuthentication", "traffic/", ":jwt:", POLICY_JWT_AUTH }, auth_policy_jwt },
		{ { "basicAuthentication", "traffic/", ":basicauth:", POLICY_BASIC_AUTH },
		  auth_policy_basic },
		{ { "apiKeyAuthentication", "traffic/", ":apikeyauth:", POLICY_API_KEY },
		  auth_policy_api_key },
	};

	for (size_t i = 0; i < ARRAY_LEN(list); i++) {
		const struct yaml_node *node = decode_get(map, list[i].plain.key);

		if (node)
			found_add(&source->found, &list[i].plain, list[i].decode(m, node, source->object),
				  node);
	}
}

/* The host for the backend: its own, or the client's. A URLRewrite filter of a rule is stronger. */
static void decode_host_rewrite(struct decoder *d, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = { KEY("mode") };
	static const char *const modes[] = { "Auto", "None" };
	static const struct plain_policy plain = { "hostRewrite", "traffic/",
						   ":host-rewrite:", POLICY_URL_REWRITE };
	struct url_rewrite *rewrite;
	unsigned mode;

	if (!DECODE_MAP(d, node, keys) ||
	    !DECODE_WORD(d, decode_need(d, node, "mode", "write Auto or None"), modes, &mode))
		return;
	rewrite = decode_take(d, 1, sizeof(*rewrite));
	if (!rewrite)
		return;
	rewrite->authority_kind = mode == 0 ? AUTHORITY_AUTO : AUTHORITY_NONE;
	found_add(&source->found, &plain, rewrite, node);
}

static void decode_traffic(struct manifests *m, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("timeouts"),
		KEY("retry"),
		KEY("delay"),
		KEY("headerModifiers"),
		KEY("directResponse"),
		KEY("phase"),
		KEY("hostRewrite"),
		KEY_REFUSED("transformation", NOT_YET_TRANSFORMATION),
		KEY_REFUSED("extProc", NOT_YET_EXT_PROC),
		KEY_REFUSED("extAuth", NOT_YET_EXT_AUTHZ),
		KEY("rateLimit"),
		KEY("cors"),
		KEY("csrf"),
		KEY("authorization"),
		KEY("jwtAuthentication"),
		KEY("basicAuthentication"),
		KEY("apiKeyAuthentication"),
		KEY_REFUSED("buffer", NOT_YET_BUFFER),
		KEY_REFUSED("compression", NOT_YET_COMPRESSION),
		KEY_REFUSED("concurrencyLimit", NOT_YET_CONCURRENCY_LIMIT),
		KEY_REFUSED("conditional", NOT_YET_CONDITIONAL),
	};
	static const char *const phases[] = { "PostRouting", "PreRouting" };
	static const struct plain_policy plain[] = {
		{ "timeouts", "traffic/", ":timeout:", POLICY_TIMEOUT },
		{ "retry", "traffic/", ":retry:", POLICY_RETRY },
		{ "delay", "traffic/", ":delay:", POLICY_DELAY },
		{ "directResponse", "traffic/", ":direct-response:", POLICY_DIRECT_RESPONSE },
		{ "cors", "traffic/", ":cors:", POLICY_CORS },
		{ "authorization", "traffic/", ":authorization:", POLICY_AUTHORIZATION },
		{ "csrf", "traffic/", ":csrf:", POLICY_CSRF },
		{ "rateLimit", "traffic/", ":rl-local:", POLICY_LOCAL_RATE_LIMIT },
	};
	struct decoder *d = m->decoder;
	unsigned phase = 0;

	if (!found_decode_map(d, node, keys, ARRAY_LEN(keys), &source->found))
		return;
	DECODE_WORD(d, decode_get(node, "phase"), phases, &phase);
	source->is_gateway_phase = phase == 1;
	found_add_plain(d, node, plain, ARRAY_LEN(plain), &source->found);
	decode_credentials(m, node, source);
	decode_header_modifiers(d, decode_get(node, "headerModifiers"), source);
	decode_host_rewrite(d, decode_get(node, "hostRewrite"), source);
}

/* -------------------------------------------------------------------------------- targets */

static bool is_http_route(enum manifest_kind kind)
{
	return kind == MANIFEST_HTTP_ROUTE || kind == MANIFEST_GRPC_ROUTE;
}

static bool set_kind(struct decoder *d, const struct yaml_node *node, const struct manifest_ref *ref,
		     enum manifest_kind *ret_kind, struct policy_target *target)
{
	if (target_kind_find(ref, ret_kind, &target->kind)) {
		if (is_http_route(*ret_kind))
			target->route_kind = ref->kind;
		return true;
	}
	config_warning(
		d->report, node,
		"has no effect: a policy cannot target objects of kind %s in group %s here; use Gateway, "
		"ListenerSet, HTTPRoute or GRPCRoute (group " GROUP_GATEWAY
		"), Service (group \"\") or AgentgatewayBackend (group " GROUP_AGENTGATEWAY ")",
		QUOTE(ref->kind), QUOTE(ref->group));
	return false;
}

/* Sections by kind of target, from the reference table of the CRD. */
static bool check_sections(struct decoder *d, const struct yaml_node *node,
			   const struct policy_source *source, const struct policy_target *target)
{
	if (source->has_section[SECTION_FRONTEND] && target->kind != TARGET_GATEWAY) {
		config_error(d->report, node, "a policy with a section frontend can only target a Gateway");
		return false;
	}
	if (source->has_section[SECTION_TRAFFIC] &&
	    (target->kind == TARGET_SERVICE || target->kind == TARGET_BACKEND)) {
		config_error(
			d->report, node,
			"a policy with a section traffic can target a Gateway, ListenerSet, HTTPRoute or "
			"GRPCRoute, not %s",
			target->kind == TARGET_SERVICE ? "a Service" : "an AgentgatewayBackend");
		return false;
	}
	return true;
}

static bool set_section(struct decoder *d, const struct yaml_node *node, struct policy_target *target)
{
	struct span section;
	uint64_t port;

	if (!node)
		return true;
	/* For a Service it is a port number, which is a YAML number unless it is quoted. */
	section =
		node->kind == YAML_SCALAR && target->kind == TARGET_SERVICE ? node->text : (struct span){ 0 };
	if (target->kind != TARGET_SERVICE)
		return decode_name(d, node, &target->section);
	if (span_parse_u63(section, &port) < 0 || port < 1 || port > UINT16_MAX) {
		config_error(d->report, node,
			     "the sectionName of a Service is a port number, as in \"8000\"");
		return false;
	}
	target->port = (uint16_t)port;
	return true;
}

/* A port of a Gateway: only what is for connections can be restricted to one. */
static bool set_port(struct decoder *d, const struct yaml_node *node, const struct policy_source *source,
		     struct policy_target *target)
{
	if (!node)
		return true;
	if (target->kind != TARGET_GATEWAY || source->has_section[SECTION_TRAFFIC] ||
	    source->has_section[SECTION_BACKEND]) {
		config_error(d->report, node,
			     "only a policy with nothing but frontend can name the port of a Gateway; write "
			     "sectionName, or move the rest to another policy");
		return false;
	}
	if (target->section.len) {
		config_error(d->report, node, "excludes sectionName; write only one of them");
		return false;
	}
	return decode_port(d, node, &target->port);
}

/* The policy protects, and is not supported: without it nothing may be served there. */
static void refuse_target(struct manifests *m, enum manifest_kind kind, const struct manifest_ref *ref,
			  const struct policy_target *target)
{
	struct span section = target->section;

	if (target->port && kind == MANIFEST_SERVICE)
		section = decode_text(m->decoder, "%u", target->port);
	unknown_kind_refuse_object(m, kind, ref->namespace, ref->name, section);
}

static void create_policies(struct manifests *m, const struct policy_source *source,
			    const struct policy_target *target)
{
	const struct manifest_object *object = source->object;
	struct decoder *d = m->decoder;
	struct span suffix = { 0 };

	if (target->section.len)
		suffix = decode_text(d, "/%.*s", SPAN_FMT(target->section));
	else if (target->port)
		suffix = decode_text(d, "/%u", target->port);
	for (uint32_t i = 0; i < source->found.count; i++) {
		const struct found_policy *one = &source->found.list[i];
		struct targeted_policy *policy = build_policy(m->builder);

		if (!policy)
			return;
		policy->key =
			decode_text(d, "%s%.*s/%.*s%s%.*s/%.*s%.*s", one->prefix, SPAN_FMT(object->namespace),
				    SPAN_FMT(object->name), one->suffix, SPAN_FMT(target->namespace),
				    SPAN_FMT(target->name), SPAN_FMT(suffix));
		policy->has_name = true;
		policy->name_kind = SPAN("AgentgatewayPolicy");
		policy->name = object->name;
		policy->namespace = object->namespace;
		policy->target = *target;
		policy->is_gateway_phase = source->is_gateway_phase;
		policy->value = one->value;
		policy->created_s = object->created_s;
		policy->where = config_where(d->arena, one->node);
	}
}

/* The status of the policy for a target; a target that a wrong policy may be to protect is not served. */
static void note_target(struct manifests *m, const struct yaml_node *node, const struct policy_source *source,
			enum manifest_kind kind, const struct manifest_ref *ref)
{
	struct status_target *target =
		status_target_new(m, source->object->status, kind, ref->namespace, ref->name);

	if (source->is_unsafe || node->fault)
		unknown_kind_refuse_object(m, kind, ref->namespace, ref->name, (struct span){ 0 });
	if (!target || manifest_find(m, kind, ref->namespace, ref->name))
		return;
	status_fail(m->decoder, &target->conditions, CONDITION_ACCEPTED, "TargetNotFound",
		    "there is no %s %.*s/%.*s", manifest_kind_name(kind), SPAN_FMT(ref->namespace),
		    SPAN_FMT(ref->name));
	status_fail(m->decoder, &target->conditions, CONDITION_ATTACHED, "TargetNotFound",
		    "there is no %s %.*s/%.*s", manifest_kind_name(kind), SPAN_FMT(ref->namespace),
		    SPAN_FMT(ref->name));
}

/* An object that two selectors select, or that is named twice, has the policy once. */
static bool is_new_target(struct decoder *d, struct policy_source *source, const struct manifest_ref *ref,
			  const struct policy_target *target)
{
	char key[1000];
	int len = snprintf(key, sizeof(key), "%.*s/%.*s/%.*s/%u", SPAN_FMT(ref->kind), SPAN_FMT(ref->name),
			   SPAN_FMT(target->section), target->port);
	struct span found = span_of(key, (size_t)len < sizeof(key) ? (size_t)len : sizeof(key) - 1);

	if (name_map_get(&source->targets, found))
		return false;
	found = decode_keep(d, found);
	return found.data && name_map_put(d, &source->targets, found, source);
}

static void add_target(struct manifests *m, const struct yaml_node *node, struct policy_source *source,
		       const struct manifest_ref *ref)
{
	struct policy_target target = { .name = ref->name,
					.namespace = ref->namespace,
					.attach_namespace = ref->namespace };
	const struct manifest_object *object;
	struct decoder *d = m->decoder;
	enum manifest_kind kind;

	if (!set_kind(d, node, ref, &kind, &target))
		return;
	if (!set_section(d, decode_get(node, "sectionName"), &target) ||
	    !set_port(d, decode_get(node, "port"), source, &target) ||
	    !check_sections(d, node, source, &target)) {
		note_target(m, node, source, kind, ref);
		return;
	}
	object = manifest_find(m, kind, ref->namespace, ref->name);
	if (object && object->is_foreign) {
		config_info(d->report, node, "skipped: the Gateway %.*s/%.*s belongs to another program",
			    SPAN_FMT(ref->namespace), SPAN_FMT(ref->name));
		return;
	}
	if (!is_new_target(d, source, ref, &target))
		return;
	note_target(m, node, source, kind, ref);
	if (source->found.lacks_guard)
		refuse_target(m, kind, ref, &target);
	if (target.kind == TARGET_SERVICE)
		target.name = service_hostname(d, ref->namespace, ref->name);
	if (m->builder->policies.count + source->found.count > LIMIT_CONFIG_POLICIES ||
	    m->status_targets.count > LIMIT_CONFIG_POLICIES) {
		config_refuse(d->report, node,
			      "the policies of all files apply to too many objects: %d times a policy to an "
			      "object is the most; target Gateways instead of what is below them",
			      LIMIT_CONFIG_POLICIES);
		return;
	}
	create_policies(m, source, &target);
}

static void decode_target_ref(struct manifests *m, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("group"),
		KEY("kind"),
		KEY("name"),
		KEY("sectionName"),
		KEY_REFUSED("namespace",
			    "cannot be chosen: a policy applies to objects of its own namespace"),
		KEY("port"),
	};
	struct manifest_ref ref;
	struct decoder *d = m->decoder;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (!decode_need(d, node, "kind", TARGET_KINDS))
		return;
	if (!manifest_ref(d, node, source->object, "", "", &ref))
		return;
	if (!yaml_get(node, SPAN("group")))
		ref.group = target_kind_group(ref.kind);
	ref.namespace = source->object->namespace;
	target_kind_correct(d, node, &ref);
	add_target(m, node, source, &ref);
}

static void decode_target_selector(struct manifests *m, const struct yaml_node *node,
				   struct policy_source *source)
{
	static const struct decode_key keys[] = { KEY("group"), KEY("kind"), KEY("matchLabels"),
						  KEY("sectionName"), KEY("port") };
	const struct yaml_node *labels;
	struct decoder *d = m->decoder;
	enum manifest_kind kind;
	enum target_kind target;
	struct manifest_ref ref = { .namespace = source->object->namespace };
	uint32_t count = 0;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (!decode_name(d, decode_need(d, node, "kind", TARGET_KINDS), &ref.kind))
		return;
	labels = decode_need(d, node, "matchLabels", "write the labels of the objects it applies to");
	if (!labels)
		return;
	ref.group = target_kind_group(ref.kind);
	target_kind_correct(d, node, &ref);
	if (!target_kind_find(&ref, &kind, &target)) {
		config_warning(d->report, decode_get(node, "kind"),
			       "has no effect: a policy cannot select objects of kind %s here; use Gateway, "
			       "ListenerSet, HTTPRoute, GRPCRoute, Service or AgentgatewayBackend",
			       QUOTE(ref.kind));
		return;
	}
	if (!manifest_select(d, node, m->objects[kind].count))
		return;
	for (uint32_t i = 0; i < m->objects[kind].count; i++) {
		const struct manifest_object *object = m->objects[kind].list[i];

		if (!span_eq(object->namespace, ref.namespace) ||
		    !manifest_labels_fit(d, labels, object->labels))
			continue;
		ref.name = object->name;
		add_target(m, node, source, &ref);
		count++;
	}
	if (count == 0)
		config_warning(d->report, node, "selects nothing: no %s in namespace %s has these labels",
			       manifest_kind_name(kind), QUOTE(ref.namespace));
}

static void decode_list_of(struct manifests *m, const struct yaml_node *list, unsigned choice,
			   struct policy_source *source)
{
	if (!decode_list(m->decoder, list))
		return;
	yaml_each(node, list) {
		if (choice == 0)
			decode_target_ref(m, node, source);
		else
			decode_target_selector(m, node, source);
	}
}

static void decode_targets(struct manifests *m, const struct yaml_node *spec, struct policy_source *source)
{
	static const char *const choices[] = { "targetRefs", "targetSelectors" };
	struct decoder *d = m->decoder;
	const struct yaml_node *list;
	unsigned index;

	list = decode_choice(d, spec, choices, ARRAY_LEN(choices), &index);
	if (!list) {
		source->is_unsafe = true;
		decode_list_of(m, decode_get(spec, choices[0]), 0, source);
		decode_list_of(m, decode_get(spec, choices[1]), 1, source);
		return;
	}
	if (list->kind == YAML_LIST && (list->count < 1 || list->count > TARGETS_MAX)) {
		config_error(d->report, list, "a policy has 1 to %d targets, this one has %u", TARGETS_MAX,
			     list->count);
		source->is_unsafe = true;
	}
	decode_list_of(m, list, index, source);
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
			     "Override is not supported yet; the more specific policy "
			     "always wins here");
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
			    "asks for a protection that is not supported yet; its targets get status 500");
	/* This kind has no condition for them. */
	if (refs->is_set && !refs->is_true)
		condition_fail(conditions, CONDITION_ACCEPTED, "Invalid", refs->message);
	conditions->of[CONDITION_RESOLVED_REFS] = (struct status_condition){ 0 };
}

static void decode_policy(struct manifests *m, const struct manifest_object *object)
{
	static const struct decode_key keys[] = {
		KEY("targetRefs"), KEY("targetSelectors"), KEY("frontend"),
		KEY("traffic"),	   KEY("backend"),	   KEY("strategy")
	};
	struct policy_source source = { .object = object };
	const struct yaml_node *spec = object->spec;
	struct decoder *d = m->decoder;

	if (!spec) {
		config_error(d->report, object->root,
			     "\"spec\" is missing; write spec: {targetRefs: [...], traffic: {...}}");
		return;
	}
	if (!DECODE_MAP(d, spec, keys))
		return;
	source.has_section[SECTION_FRONTEND] = decode_get(spec, "frontend");
	source.has_section[SECTION_TRAFFIC] = decode_get(spec, "traffic");
	source.has_section[SECTION_BACKEND] = decode_get(spec, "backend");
	if (!source.has_section[0] && !source.has_section[1] && !source.has_section[2])
		config_error(d->report, spec,
			     "sets nothing; write at least one of frontend, traffic and backend");
	warn_of_empty(d, decode_get(spec, "frontend"), "frontend: {http: {http1IdleTimeout: 5m}}");
	warn_of_empty(d, decode_get(spec, "traffic"), "traffic: {timeouts: {request: 10s}}");
	warn_of_empty(d, decode_get(spec, "backend"), "backend: {http: {requestTimeout: 10s}}");
	decode_strategy(d, decode_get(spec, "strategy"));
	decode_frontend(d, decode_get(spec, "frontend"), &source);
	decode_traffic(m, decode_get(spec, "traffic"), &source);
	backend_policies_decode(m, decode_get(spec, "backend"), object, BACKEND_POLICIES, &source.found);
	source.is_unsafe = policy_is_unsafe(object);
	decode_targets(m, spec, &source);
	settle_status(d, &source);
	name_map_done(&source.targets);
}

void policies_decode(struct manifests *m)
{
	for (uint32_t i = 0; i < m->objects[MANIFEST_POLICY].count; i++)
		decode_policy(m, m->objects[MANIFEST_POLICY].list[i]);
}
