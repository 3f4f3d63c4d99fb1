/* SPDX-License-Identifier: Apache-2.0 */
#include "config/standalone/attach.h"

#include "config/core/policy_value.h"
#include "config/standalone/policy.h"
#include "user/base/check.h"

/* -------------------------------------------------------------------------------- front end */

static void add_frontend(struct standalone *s, const struct yaml_node *node, const char *key,
			 enum policy_kind kind, const void *object)
{
	struct targeted_policy *policy = object ? build_policy(s->builder) : NULL;

	if (!policy)
		return;
	policy->key = span_str(key);
	policy->target = (struct policy_target){ .kind = TARGET_GATEWAY,
						 .name = SPAN("default"),
						 .namespace = SPAN("default"),
						 .attach_namespace = SPAN("default") };
	policy->value = (struct policy_value){ kind, object };
	policy->created_s = INT64_MAX;
	policy->where = config_where(s->decoder->arena, node);
}

void standalone_frontend_policies(struct standalone *s, const struct yaml_node *node)
{
	static const struct decode_key keys[] = {
		KEY("http"),
		KEY("tcp"),
		KEY("accessLog"),
		KEY("logging"),
		KEY_REFUSED("tls", "is not supported yet: this gateway does not speak TLS itself; remove it"),
		KEY_LATER("tracing"),
		KEY_LATER("metrics"),
		KEY_LATER("proxy"),
		KEY_LATER("proxyProtocol"),
		KEY("connect"),
		KEY_LATER("networkAuthorization"),
		KEY_LATER("networkExtAuthz"),
	};
	struct decoder *d = s->decoder;
	const struct yaml_node *http, *tcp, *connect, *log, *alias;

	if (!DECODE_MAP(d, node, keys))
		return;
	http = decode_get(node, "http");
	tcp = decode_get(node, "tcp");
	connect = decode_get(node, "connect");
	log = decode_get(node, "accessLog");
	alias = decode_get(node, "logging");
	if (log && alias)
		config_error_key(d->report, alias,
				 "\"logging\" is another name of \"accessLog\"; write only one of them");
	if (http)
		add_frontend(s, http, "frontend/http", POLICY_FRONTEND_HTTP,
			     policy_value(d, http, POLICY_FRONTEND_HTTP));
	if (tcp)
		add_frontend(s, tcp, "frontend/tcp", POLICY_FRONTEND_TCP,
			     policy_value(d, tcp, POLICY_FRONTEND_TCP));
	if (connect)
		add_frontend(s, connect, "frontend/connect", POLICY_FRONTEND_CONNECT,
			     policy_value(d, connect, POLICY_FRONTEND_CONNECT));
	log = log ? log : alias;
	if (log)
		add_frontend(s, log, "frontend/accessLog", POLICY_FRONTEND_ACCESS_LOG,
			     policy_value(d, log, POLICY_FRONTEND_ACCESS_LOG));
}

/* -------------------------------------------------------------------------------- attached policies */

static bool decode_gateway_target(struct decoder *d, const struct yaml_node *node,
				  struct policy_target *target)
{
	static const struct decode_key keys[] = { KEY("gatewayName"), KEY("gatewayNamespace"),
						  KEY("listenerName"), KEY_LATER("port") };

	target->kind = TARGET_GATEWAY;
	target->name = target->namespace = SPAN("default");
	if (!DECODE_MAP(d, node, keys))
		return false;
	decode_name(d, decode_get(node, "gatewayName"), &target->name);
	decode_name(d, decode_get(node, "gatewayNamespace"), &target->namespace);
	decode_name(d, decode_get(node, "listenerName"), &target->section);
	return true;
}

static bool decode_route_target(struct decoder *d, const struct yaml_node *node, struct policy_target *target)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("namespace"), KEY("ruleName"),
						  KEY("kind") };

	target->kind = TARGET_ROUTE;
	target->namespace = SPAN("default");
	if (!DECODE_MAP(d, node, keys))
		return false;
	decode_name(d, decode_get(node, "namespace"), &target->namespace);
	decode_name(d, decode_get(node, "ruleName"), &target->section);
	decode_name(d, decode_get(node, "kind"), &target->route_kind);
	return decode_name(d, decode_need(d, node, "name", "write the name of the route"), &target->name);
}

static bool decode_backend_target(struct decoder *d, const struct yaml_node *node,
				  struct policy_target *target)
{
	static const struct decode_key keys[] = { KEY("backend"), KEY("service") };
	static const struct decode_key backend_keys[] = { KEY("name"), KEY("namespace"),
							  KEY_LATER("section") };
	static const struct decode_key service_keys[] = { KEY("hostname"), KEY("namespace"), KEY("port") };
	static const char *const choices[] = { "backend", "service" };
	const struct yaml_node *chosen;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return false;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return false;
	if (index == 0) {
		target->kind = TARGET_BACKEND;
		if (!DECODE_MAP(d, chosen, backend_keys))
			return false;
		decode_name(d, decode_get(chosen, "namespace"), &target->namespace);
		return decode_name(d, decode_need(d, chosen, "name", "write the name of the backend"),
				   &target->name);
	}
	target->kind = TARGET_SERVICE;
	if (!DECODE_MAP(d, chosen, service_keys))
		return false;
	decode_name(d, decode_get(chosen, "namespace"), &target->namespace);
	decode_port(d, decode_get(chosen, "port"), &target->port);
	return decode_name(d, decode_need(d, chosen, "hostname", "write the host name of the service"),
			   &target->name);
}

static bool decode_target(struct decoder *d, const struct yaml_node *node, struct policy_target *target)
{
	static const struct decode_key keys[] = { KEY("gateway"), KEY("route"), KEY("backend"),
						  KEY_LATER("listenerSet") };
	static const char *const choices[] = { "gateway", "route", "backend" };
	const struct yaml_node *chosen;
	bool is_good = false;
	unsigned index;

	if (!DECODE_MAP(d, node, keys))
		return false;
	if (decode_get(node, "listenerSet"))
		return false;
	chosen = decode_choice(d, node, choices, ARRAY_LEN(choices), &index);
	if (!chosen)
		return false;
	if (index == 0)
		is_good = decode_gateway_target(d, chosen, target);
	else if (index == 1)
		is_good = decode_route_target(d, chosen, target);
	else
		is_good = decode_backend_target(d, chosen, target);
	target->attach_namespace = target->namespace;
	return is_good;
}

static void decode_attached(struct standalone *s, const struct yaml_node *node)
{
	static const struct decode_key keys[] = { KEY("name"), KEY("target"), KEY("phase"), KEY("policy") };
	static const struct decode_key name_keys[] = { KEY("name"), KEY("namespace") };
	static const char *const phases[] = { "route", "gateway" };
	struct targeted_policy policy = { .created_s = INT64_MAX,
					  .has_name = true,
					  .name_kind = SPAN("Local") };
	struct decoder *d = s->decoder;
	const struct yaml_node *name;
	struct targeted_policy *kept;
	unsigned phase = 0;
	bool is_good;

	if (!DECODE_MAP(d, node, keys))
		return;
	name = decode_need(d, node, "name", "write name: {name: my-policy, namespace: default}");
	policy.namespace = SPAN("default");
	is_good = DECODE_MAP(d, name, name_keys);
	decode_name(d, decode_get(name, "namespace"), &policy.namespace);
	is_good &= decode_name(
		d, name && is_good ? decode_need(d, name, "name", "write the name of the policy") : NULL,
		&policy.name);
	policy.key = decode_text(d, "%.*s/%.*s", SPAN_FMT(policy.namespace), SPAN_FMT(policy.name));
	is_good &= decode_target(d,
				 decode_need(d, node, "target",
					     "write target: {route: {name: ...}}, {gateway: {}} or "
					     "{backend: {backend: {name: ...}}}"),
				 &policy.target);
	DECODE_WORD(d, decode_get(node, "phase"), phases, &phase);
	policy.is_gateway_phase = phase == 1;
	is_good &= standalone_single_policy(s,
					    decode_need(d, node, "policy",
							"write the policy, as in policy: {timeout: "
							"{requestTimeout: 5s}}"),
					    policy.key, &policy.value);
	policy.where = config_where(d->arena, node);
	kept = is_good ? build_policy(s->builder) : NULL;
	if (kept)
		*kept = policy;
}

void standalone_attached_policies(struct standalone *s, const struct yaml_node *list)
{
	if (!decode_list(s->decoder, list))
		return;
	yaml_each(node, list)
		decode_attached(s, node);
}
