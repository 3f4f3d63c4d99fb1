/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/policy.h"

#include "config/gatewayapi/backend_tls.h"
#include "config/gatewayapi/service.h"
#include "config/core/values/policy_value.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define TARGET_KINDS "write Gateway, HTTPRoute, GRPCRoute or Service"

/* One kind of policy in an object, before it is created for each target. */
struct found_policy {
	const char *prefix; /* "frontend/" */
	const char *suffix; /* ":frontend-tcp:" */
	struct policy_value value;
	const struct yaml_node *node;
};

enum {
	POLICIES_MAX = 16, /* per object: every kind once */
	TARGETS_MAX = 16, /* as in the CRD */
};

struct policy_source {
	const struct manifest_object *object;
	struct found_policy found[POLICIES_MAX];
	uint32_t found_count;
	bool is_gateway_phase;
	bool has_section[3]; /* by enum policy_section */
};

static void found(struct policy_source *source, const char *prefix, const char *suffix, enum policy_kind kind,
		  const void *object, const struct yaml_node *node)
{
	if (!object)
		return;
	CHECK(source->found_count < POLICIES_MAX);
	source->found[source->found_count++] =
		(struct found_policy){ prefix, suffix, { kind, object }, node };
}

/* A kind with schema rows. */
struct plain_policy {
	const char *key;
	const char *prefix;
	const char *suffix;
	enum policy_kind kind;
};

static void decode_plain(struct decoder *d, const struct yaml_node *map, const struct plain_policy *list,
			 size_t count, struct policy_source *source)
{
	for (size_t i = 0; i < count; i++) {
		const struct yaml_node *node = decode_get(map, list[i].key);

		if (node)
			found(source, list[i].prefix, list[i].suffix, list[i].kind,
			      policy_value(d, node, list[i].kind), node);
	}
}

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

	if (DECODE_MAP(d, node, keys))
		decode_plain(d, node, plain, ARRAY_LEN(plain), source);
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

	if (DECODE_MAP(d, node, keys))
		decode_plain(d, node, plain, ARRAY_LEN(plain), source);
}

static void decode_traffic(struct decoder *d, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("timeouts"),
		KEY("retry"),
		KEY("delay"),
		KEY("headerModifiers"),
		KEY("directResponse"),
		KEY("phase"),
		KEY_REFUSED("hostRewrite", "is not supported yet; use a URLRewrite filter of the HTTPRoute"),
		KEY_REFUSED("transformation", NOT_YET_TRANSFORMATION),
		KEY_REFUSED("extProc", NOT_YET_EXT_PROC),
		KEY_REFUSED("extAuth", NOT_YET_EXT_AUTHZ),
		KEY_REFUSED("rateLimit", NOT_YET_LOCAL_RATE_LIMIT),
		KEY("cors"),
		KEY_REFUSED("csrf", NOT_YET_CSRF),
		KEY_REFUSED("authorization", NOT_YET_AUTHORIZATION),
		KEY_REFUSED("jwtAuthentication", NOT_YET_JWT_AUTH),
		KEY_REFUSED("basicAuthentication", NOT_YET_BASIC_AUTH),
		KEY_REFUSED("apiKeyAuthentication", NOT_YET_API_KEY),
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
	};
	unsigned phase = 0;

	if (!DECODE_MAP(d, node, keys))
		return;
	DECODE_WORD(d, decode_get(node, "phase"), phases, &phase);
	source->is_gateway_phase = phase == 1;
	decode_plain(d, node, plain, ARRAY_LEN(plain), source);
	decode_header_modifiers(d, decode_get(node, "headerModifiers"), source);
}

/* -------------------------------------------------------------------------------- backend */

static void decode_backend(struct manifests *m, const struct yaml_node *node, struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("http"),
		KEY("tcp"),
		KEY("health"),
		KEY("tls"),
		KEY_REFUSED("auth", NOT_YET_BACKEND_AUTH),
		KEY_REFUSED("tunnel", NOT_YET_BACKEND_TUNNEL),
		KEY_REFUSED("transformation", NOT_YET_TRANSFORMATION),
		KEY_REFUSED("mcp", NOT_YET_MCP),
		KEY_REFUSED("ai", NOT_YET_AI),
		KEY_REFUSED("extAuth", NOT_YET_EXT_AUTHZ),
		KEY_REFUSED("authorization", NOT_YET_AUTHORIZATION),
	};
	static const struct plain_policy plain[] = {
		{ "http", "", ":backend-http:", POLICY_BACKEND_HTTP },
		{ "tcp", "backend/", ":backend-tcp:", POLICY_BACKEND_TCP },
		{ "health", "", ":health:", POLICY_BACKEND_HEALTH },
	};

	const struct yaml_node *tls = decode_get(node, "tls");

	if (!DECODE_MAP(m->decoder, node, keys))
		return;
	decode_plain(m->decoder, node, plain, ARRAY_LEN(plain), source);
	if (tls)
		found(source, "", ":tls:", POLICY_BACKEND_TLS, backend_tls_policy(m, tls, source->object),
		      tls);
}

/* -------------------------------------------------------------------------------- targets */

static bool set_kind(struct decoder *d, const struct yaml_node *node, const struct manifest_ref *ref,
		     struct policy_target *target)
{
	if (span_eq(ref->group, SPAN(GROUP_GATEWAY)) && span_eq(ref->kind, SPAN("Gateway"))) {
		target->kind = TARGET_GATEWAY;
		return true;
	}
	if (span_eq(ref->group, SPAN(GROUP_GATEWAY)) &&
	    (span_eq(ref->kind, SPAN("HTTPRoute")) || span_eq(ref->kind, SPAN("GRPCRoute")))) {
		target->kind = TARGET_ROUTE;
		target->route_kind = ref->kind;
		return true;
	}
	if (ref->group.len == 0 && span_eq(ref->kind, SPAN("Service"))) {
		target->kind = TARGET_SERVICE;
		return true;
	}
	config_error(d->report, node,
		     "a policy cannot target objects of kind %s in group %s here; use Gateway, HTTPRoute or "
		     "GRPCRoute (group " GROUP_GATEWAY ") or Service (group \"\")",
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
	if (source->has_section[SECTION_TRAFFIC] && target->kind == TARGET_SERVICE) {
		config_error(
			d->report, node,
			"a policy with a section traffic can target a Gateway, HTTPRoute or GRPCRoute, not a "
			"Service");
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

static void add_target(struct manifests *m, const struct yaml_node *node, const struct policy_source *source,
		       const struct manifest_ref *ref)
{
	struct policy_target target = { .name = ref->name,
					.namespace = ref->namespace,
					.attach_namespace = ref->namespace };
	const struct manifest_object *object = source->object;
	struct decoder *d = m->decoder;
	struct span suffix = { 0 };

	if (!set_kind(d, node, ref, &target) || !set_section(d, decode_get(node, "sectionName"), &target) ||
	    !check_sections(d, node, source, &target))
		return;
	if (target.kind == TARGET_GATEWAY) {
		const struct manifest_object *gateway =
			manifest_find(m, MANIFEST_GATEWAY, ref->namespace, ref->name);

		if (gateway && gateway->is_foreign) {
			config_info(d->report, node,
				    "skipped: the Gateway %.*s/%.*s belongs to another program",
				    SPAN_FMT(ref->namespace), SPAN_FMT(ref->name));
			return;
		}
	}
	if (target.kind == TARGET_SERVICE)
		target.name = service_hostname(d, ref->namespace, ref->name);
	if (target.section.len)
		suffix = decode_text(d, "/%.*s", SPAN_FMT(target.section));
	else if (target.port)
		suffix = decode_text(d, "/%u", target.port);
	if (m->builder->policies.count + source->found_count > LIMIT_CONFIG_POLICIES) {
		config_error(d->report, node,
			     "the policies of all files apply to too many objects: %d times a policy to an "
			     "object is the most; target Gateways instead of what is below them",
			     LIMIT_CONFIG_POLICIES);
		return;
	}
	for (uint32_t i = 0; i < source->found_count; i++) {
		const struct found_policy *one = &source->found[i];
		struct targeted_policy *policy = build_policy(m->builder);

		if (!policy)
			return;
		policy->key =
			decode_text(d, "%s%.*s/%.*s%s%.*s/%.*s%.*s", one->prefix, SPAN_FMT(object->namespace),
				    SPAN_FMT(object->name), one->suffix, SPAN_FMT(target.namespace),
				    SPAN_FMT(target.name), SPAN_FMT(suffix));
		policy->has_name = true;
		policy->name_kind = SPAN("AgentgatewayPolicy");
		policy->name = object->name;
		policy->namespace = object->namespace;
		policy->target = target;
		policy->is_gateway_phase = source->is_gateway_phase;
		policy->value = one->value;
		policy->created_s = object->created_s;
		policy->where = config_where(d->arena, one->node);
	}
}

static void decode_target_ref(struct manifests *m, const struct yaml_node *node,
			      const struct policy_source *source)
{
	static const struct decode_key keys[] = {
		KEY("group"),
		KEY("kind"),
		KEY("name"),
		KEY("sectionName"),
		KEY_REFUSED("namespace",
			    "cannot be chosen: a policy applies to objects of its own namespace"),
		KEY_REFUSED("port", NOT_YET_PORT_TARGET)
	};
	struct manifest_ref ref;
	struct decoder *d = m->decoder;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (!decode_need(d, node, "kind", TARGET_KINDS))
		return;
	if (!manifest_ref(d, node, source->object, "", "", &ref))
		return;
	/* The documentation has an example without the group, which means Gateway API. */
	if (!yaml_get(node, SPAN("group")) && !span_eq(ref.kind, SPAN("Service")))
		ref.group = SPAN(GROUP_GATEWAY);
	ref.namespace = source->object->namespace;
	add_target(m, node, source, &ref);
}

static bool selectable_kind(struct span kind, enum manifest_kind *ret)
{
	static const enum manifest_kind kinds[] = { MANIFEST_GATEWAY, MANIFEST_HTTP_ROUTE,
						    MANIFEST_GRPC_ROUTE, MANIFEST_SERVICE };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (span_eq(kind, span_str(manifest_kind_name(kinds[i])))) {
			*ret = kinds[i];
			return true;
		}
	}
	return false;
}

static void decode_target_selector(struct manifests *m, const struct yaml_node *node,
				   const struct policy_source *source)
{
	static const struct decode_key keys[] = { KEY("group"), KEY("kind"), KEY("matchLabels"),
						  KEY("sectionName") };
	const struct yaml_node *labels;
	struct decoder *d = m->decoder;
	enum manifest_kind kind;
	struct manifest_ref ref = { .namespace = source->object->namespace };
	uint32_t count = 0;

	if (!DECODE_MAP(d, node, keys))
		return;
	if (!decode_name(d, decode_need(d, node, "kind", TARGET_KINDS), &ref.kind))
		return;
	labels = decode_need(d, node, "matchLabels", "write the labels of the objects it applies to");
	if (!labels)
		return;
	if (!selectable_kind(ref.kind, &kind)) {
		config_error(d->report, decode_get(node, "kind"),
			     "a policy cannot select objects of kind %s; use Gateway, HTTPRoute, GRPCRoute "
			     "or Service",
			     QUOTE(ref.kind));
		return;
	}
	if (kind != MANIFEST_SERVICE)
		ref.group = SPAN(GROUP_GATEWAY);
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

static void decode_targets(struct manifests *m, const struct yaml_node *spec,
			   const struct policy_source *source)
{
	static const char *const choices[] = { "targetRefs", "targetSelectors" };
	struct decoder *d = m->decoder;
	const struct yaml_node *list;
	unsigned index;

	list = decode_choice(d, spec, choices, ARRAY_LEN(choices), &index);
	if (!list || !decode_list(d, list))
		return;
	if (list->count < 1 || list->count > TARGETS_MAX) {
		config_error(d->report, list, "a policy has 1 to %d targets, this one has %u", TARGETS_MAX,
			     list->count);
		return;
	}
	yaml_each(node, list) {
		if (index == 0)
			decode_target_ref(m, node, source);
		else
			decode_target_selector(m, node, source);
	}
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
	decode_traffic(d, decode_get(spec, "traffic"), &source);
	decode_backend(m, decode_get(spec, "backend"), &source);
	decode_targets(m, spec, &source);
}

void policies_decode(struct manifests *m)
{
	for (uint32_t i = 0; i < m->objects[MANIFEST_POLICY].count; i++)
		decode_policy(m, m->objects[MANIFEST_POLICY].list[i]);
}
