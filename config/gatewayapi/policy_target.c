/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/policy_target.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/core/engine/typo.h"
#include "config/gatewayapi/policy_safety.h"
#include "config/gatewayapi/service.h"
#include "config/gatewayapi/status.h"
#include "config/gatewayapi/target_kind.h"
#include "config/gatewayapi/unknown_kind.h"
#include "policy/guard/guard.h"
#include "user/base/check.h"
#include "user/base/limits.h"

#define TARGET_KINDS "write Gateway, ListenerSet, HTTPRoute, GRPCRoute, Service or AgentgatewayBackend"

enum { TARGETS_MAX = 16 }; /* as in the CRD */

static bool is_http_route(enum manifest_kind kind)
{
	return kind == MANIFEST_HTTP_ROUTE || kind == MANIFEST_GRPC_ROUTE;
}

/* A guard that decides about requests, not about connections. */
static bool has_request_guard(const struct policy_source *source)
{
	bool is_guard = source->found.lacks_guard;

	for (uint32_t i = 0; i < source->found.count; i++) {
		enum policy_kind kind = source->found.list[i].value.kind;
		const struct guard_kind *guard = guard_kind_of(kind);

		is_guard |= (guard && !(guard->phases & GUARD_PHASE_CONNECTION)) ||
			    kind == POLICY_MCP_AUTHORIZATION || kind == POLICY_MCP_AUTHENTICATION;
	}
	return is_guard;
}

/* Guards, and TLS to backends: requests must not be sent in plaintext instead. */
static bool protects(const struct policy_source *source)
{
	bool is_other = source->is_unsafe || source->is_refused;

	for (uint32_t i = 0; i < source->found.count; i++) {
		enum policy_kind kind = source->found.list[i].value.kind;

		is_other |= kind == POLICY_BACKEND_TLS || kind == POLICY_NETWORK_AUTHORIZATION;
	}
	return is_other || has_request_guard(source);
}

#define NO_TARGET                                                                                            \
	"a policy cannot have objects of kind %s in group %s as its targets here%s; use Gateway, "           \
	"ListenerSet, HTTPRoute or GRPCRoute (group " GROUP_GATEWAY                                          \
	"), Service (group \"\") or AgentgatewayBackend (group " GROUP_AGENTGATEWAY ")"

/* No policy is for objects of this kind: what a protective one names is not served. */
static void refuse_kind(struct manifests *m, const struct yaml_node *node, const struct policy_source *source,
			const struct manifest_ref *ref)
{
	bool is_refused = protects(source) && unknown_kind_refuse_target(m, source->object->namespace, node);

	config_warning(m->decoder->report, node, is_refused ? NO_TARGET : "has no effect: " NO_TARGET,
		       QUOTE(ref->kind), QUOTE(ref->group),
		       is_refused ? ", so what it names is not served" : "");
}

/* It is unknown which objects of the kind the target names. After a reload those of before are protected. */
static void refuse_unknown(struct manifests *m, const struct yaml_node *node,
			   const struct policy_source *source)
{
	if (source->is_refused || !policy_may_protect(source->object->spec))
		return;
	if (unknown_kind_refuse_target(m, source->object->namespace, node))
		config_warning(m->decoder->report, node,
			       "may protect any object of this kind in namespace %s, so all of them get "
			       "status 500: correct it",
			       QUOTE(source->object->namespace));
}

/* Sections by kind of target, from the reference table of the CRD. */
static bool check_sections(struct decoder *d, const struct yaml_node *node,
			   const struct policy_source *source, const struct policy_target *target)
{
	if (source->has_section[SECTION_FRONTEND] && target->kind != TARGET_GATEWAY) {
		config_error(d->report, node, "a policy with a section frontend can only target a Gateway");
		return false;
	}
	if (source->is_gateway_phase && target->kind == TARGET_ROUTE && has_request_guard(source)) {
		config_error(d->report, node,
			     "a policy with phase PreRouting decides before a route is chosen, so it cannot "
			     "target one; target a Gateway, or leave out phase");
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

/* The part of an object that a target names; empty: the whole object. */
static struct span part_of(struct decoder *d, const struct policy_target *target)
{
	return target->port ? decode_text(d, "%u", target->port) : target->section;
}

/* The policy protects, and is not supported: without it nothing may be served there. */
static void refuse_target(struct manifests *m, enum manifest_kind kind, const struct manifest_ref *ref,
			  const struct policy_target *target)
{
	/* A port of a Gateway may have several listeners. */
	unknown_kind_refuse_object(m, kind, ref->namespace, ref->name,
				   kind == MANIFEST_SERVICE ? part_of(m->decoder, target) : target->section);
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

static void __attribute__((format(printf, 4, 5)))
fail_target(struct manifests *m, struct status_target *target, const char *reason, const char *format, ...)
{
	struct conditions *conditions = target ? &target->conditions : NULL;
	char sentence[1024];
	va_list arguments;

	if (!conditions)
		return;
	va_start(arguments, format);
	vsnprintf(sentence, sizeof(sentence), format, arguments);
	va_end(arguments);
	status_fail(m->decoder, conditions, CONDITION_ACCEPTED, reason, "%s", sentence);
	status_fail(m->decoder, conditions, CONDITION_ATTACHED, reason, "%s", sentence);
}

/* The status of the policy for a target; a target that a wrong policy may be to protect is not served. */
static struct status_target *note_target(struct manifests *m, const struct yaml_node *node,
					 const struct policy_source *source, enum manifest_kind kind,
					 const struct manifest_ref *ref)
{
	struct status_target *target =
		status_target_new(m, source->object->status, kind, ref->namespace, ref->name);

	if (source->is_unsafe || node->fault)
		unknown_kind_refuse_object(m, kind, ref->namespace, ref->name, (struct span){ 0 });
	if (!manifest_find(m, kind, ref->namespace, ref->name))
		fail_target(m, target, "TargetNotFound", "there is no %s %.*s/%.*s", manifest_kind_name(kind),
			    SPAN_FMT(ref->namespace), SPAN_FMT(ref->name));
	return target;
}

/* -------------------------------------------------------------------------------- guards without effect */

/* A Service without a list of ports, such as an ExternalName, has any. */
static bool has_any_port(const struct manifest_object *service)
{
	const struct yaml_node *ports = decode_get(service->spec, "ports");

	return !ports || ports->kind != YAML_LIST || !ports->count;
}

static bool has_part(const struct manifests *m, const struct manifest_object *object,
		     const struct policy_target *target, struct span part)
{
	if (target->kind == TARGET_BACKEND || (target->kind == TARGET_SERVICE && has_any_port(object)))
		return true;
	if (target->kind == TARGET_GATEWAY && target->port)
		return target_kind_gateway_has_port(m, object, part);
	return target_kind_section(object, part);
}

/* `Gateway app/g has no listener "x"`; empty: it has what the target names. */
static struct span missing_part(struct manifests *m, const struct manifest_object *object,
				const struct policy_target *target)
{
	const char *word = target->kind == TARGET_ROUTE ? "rule" : target->port ? "port" : "listener";
	struct span part = part_of(m->decoder, target);

	if (!part.len || has_part(m, object, target, part))
		return (struct span){ 0 };
	return decode_text(m->decoder, "%s %.*s/%.*s has no %s %s", manifest_kind_name(object->kind),
			   SPAN_FMT(object->namespace), SPAN_FMT(object->name), word, QUOTE(part));
}

/*
 * False if a policy would protect nothing: its target has no part of that name, or no requests. All that may
 * be meant is refused.
 */
static bool check_place(struct manifests *m, const struct yaml_node *node, const struct policy_source *source,
			const struct manifest_object *object, const struct policy_target *target,
			struct status_target *status)
{
	struct decoder *d = m->decoder;
	struct span missing = missing_part(m, object, target);

	if (missing.len) {
		fail_target(m, status, "TargetNotFound", "%.*s", SPAN_FMT(missing));
		if (!protects(source))
			return true;
		config_warning(
			d->report,
			decode_get(node,
				   target->kind == TARGET_GATEWAY && target->port ? "port" : "sectionName"),
			"TargetNotFound: %.*s; the whole target gets status 500, because it is unknown "
			"what the policy is to protect: name one that exists",
			SPAN_FMT(missing));
	} else {
		if (!has_request_guard(source) ||
		    target_kind_has_requests(object, target_kind_section(object, target->section)))
			return true;
		fail_target(m, status, "Invalid", "the target has no HTTP, so the policy cannot protect it");
		config_warning(d->report, node,
			       "has no HTTP, so the policy cannot protect it: its connections are closed; "
			       "name a listener with protocol HTTP or HTTPS");
	}
	unknown_kind_refuse_object(m, object->kind, object->namespace, object->name,
				   missing.len ? (struct span){ 0 } : target->section);
	return false;
}

/* -------------------------------------------------------------------------------- adding */

static struct span target_key(struct decoder *d, const struct manifest_ref *ref,
			      const struct policy_target *target)
{
	return decode_text(d, "%.*s/%.*s/%.*s/%u", SPAN_FMT(ref->kind), SPAN_FMT(ref->name),
			   SPAN_FMT(target->section), target->port);
}

/* An object that two selectors select, or that is named twice, has the policy once. */
static bool is_new_target(struct decoder *d, struct policy_source *source, const struct manifest_ref *ref,
			  const struct policy_target *target)
{
	struct span key = target_key(d, ref, target);

	return key.data && !name_map_get(&source->targets, key) &&
	       name_map_put(d, &source->targets, key, source);
}

static void add_target(struct manifests *m, const struct yaml_node *node, struct policy_source *source,
		       const struct manifest_ref *ref)
{
	struct policy_target target = { .name = ref->name,
					.namespace = ref->namespace,
					.attach_namespace = ref->namespace };
	const struct manifest_object *object;
	struct decoder *d = m->decoder;
	struct status_target *status;
	enum manifest_kind kind;

	if (!target_kind_find(ref, &kind, &target.kind)) {
		refuse_kind(m, node, source, ref);
		return;
	}
	if (is_http_route(kind))
		target.route_kind = ref->kind;
	/* The version in force protects the whole object. */
	if (source->is_refused && name_map_get(&source->targets, target_key(d, ref, &target)))
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
	status = note_target(m, node, source, kind, ref);
	if (source->found.lacks_guard || source->is_refused)
		refuse_target(m, kind, ref, &target);
	if (object && !check_place(m, node, source, object, &target, status))
		return;
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
	if (!manifest_ref(d, node, source->object, "", "", &ref)) {
		refuse_unknown(m, node, source);
		return;
	}
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
	if (!labels) {
		refuse_unknown(m, node, source);
		return;
	}
	ref.group = target_kind_group(ref.kind);
	target_kind_correct(d, node, &ref);
	if (!target_kind_find(&ref, &kind, &target)) {
		refuse_kind(m, node, source, &ref);
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
	if (labels->fault)
		refuse_unknown(m, node, source);
	else if (count == 0)
		config_warning(d->report, node, "selects nothing: no %s in namespace %s has these labels",
			       manifest_kind_name(kind), QUOTE(ref.namespace));
}

/* A single target, or a similar key, is an error, but what it names must not be served without the policy. */
static void decode_all(struct manifests *m, const struct yaml_node *spec, struct policy_source *source)
{
	static const struct {
		const char *key;
		void (*decode)(struct manifests *m, const struct yaml_node *node,
			       struct policy_source *source);
	} lists[] = { { "targetRefs", decode_target_ref }, { "targetSelectors", decode_target_selector } };

	for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
		yaml_each(list, spec) {
			if (!typo_is_of(list->key, lists[i].key))
				continue;
			if (decode_list(m->decoder, list))
				yaml_each(node, list)
					lists[i].decode(m, node, source);
			else if (list->kind == YAML_MAP)
				lists[i].decode(m, list, source);
		}
	}
}

static void decode_targets(struct manifests *m, const struct yaml_node *spec, struct policy_source *source)
{
	static const char *const choices[] = { "targetRefs", "targetSelectors" };
	struct decoder *d = m->decoder;
	const struct yaml_node *list;
	unsigned index;

	list = decode_choice(d, spec, choices, ARRAY_LEN(choices), &index);
	if (!list)
		source->is_unsafe = true;
	else if (list->kind == YAML_LIST && (list->count < 1 || list->count > TARGETS_MAX)) {
		config_error(d->report, list, "a policy has 1 to %d targets, this one has %u", TARGETS_MAX,
			     list->count);
		source->is_unsafe = true;
	}
	decode_all(m, spec, source);
}

/*
 * The policy is in force as it was before the reload, and does not protect what only its new version names.
 * The errors of the new version have been reported.
 */
static void refuse_new_targets(struct manifests *m, struct policy_source *source)
{
	const struct yaml_node *refused = source->object->refused_root, *spec = decode_get(refused, "spec");
	struct config_report *report = m->decoder->report, reported;

	if (!spec || spec->kind != YAML_MAP || !policy_may_protect(spec))
		return;
	config_report_init(&reported);
	reported.is_per_object = true;
	m->decoder->report = &reported;
	source->is_refused = true;
	source->found.count = 0;
	decode_all(m, spec, source);
	m->decoder->report = report;
	report->failed |= reported.failed;
	if (config_report_refuses(&reported))
		config_refuse(report, refused,
			      "this policy has an error, and its targets exceed the limits of all files; "
			      "correct it");
	config_report_done(&reported);
}

void policy_targets_decode(struct manifests *m, const struct yaml_node *spec, struct policy_source *source)
{
	decode_targets(m, spec, source);
	refuse_new_targets(m, source);
	name_map_done(&source->targets);
}
