/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/filter.h"
#include "config/gatewayapi/route_source.h"
#include "config/gatewayapi/rule.h"
#include "config/gatewayapi/status.h"
#include "user/base/check.h"

static bool is_http(const struct manifest_object *object)
{
	return object->kind == MANIFEST_HTTP_ROUTE || object->kind == MANIFEST_GRPC_ROUTE;
}

static void decode_http_rule(struct manifests *m, const struct route_source *source, struct rule_source *rule)
{
	const struct manifest_object *object = source->object;
	const struct yaml_node *node = rule->node, *matches = decode_get(node, "matches");
	struct route *template = &rule->template;

	*template = (struct route){
		.name = object->name,
		.namespace = object->namespace,
		.kind = span_str(manifest_kind_name(object->kind)),
		.is_grpc = object->kind == MANIFEST_GRPC_ROUTE,
		.splice_off = source->splice_off,
		.created_s = object->created_s,
		.where = config_where(m->decoder->arena, node),
	};
	rule_decode(m, node, object, rule);
	if (!node->fault && template->backend_count == 0 && rule->delegation_count == 0 &&
	    !build_value_find(&template->inline_policies, POLICY_REDIRECT))
		config_warning(m->decoder->report, node,
			       "this rule has no backendRefs and answers every request with 500; write "
			       "backendRefs: [{name: the name of a Service, port: ...}]");
	rule->is_unknown = node->has_own_fault || (matches && matches->fault);
	if (template->is_refused)
		rule->refusal = FILTER_REFUSAL;
}

static void decode_tcp_rule(struct manifests *m, const struct route_source *source, struct rule_source *rule)
{
	/* An API server drops what the kind does not have. */
	static const struct decode_key keys[] = {
		KEY("name"), KEY("backendRefs"),
		KEY_IGNORED("matches", "has no effect: a connection has nothing to match; remove it")
	};
	const struct manifest_object *object = source->object;
	struct tcp_route *template = &rule->tcp;
	const struct yaml_node *node = rule->node;

	*template = (struct tcp_route){
		.name = object->name,
		.namespace = object->namespace,
		.kind = span_str(manifest_kind_name(object->kind)),
		.splice_off = source->splice_off,
		.created_s = object->created_s,
		.where = config_where(m->decoder->arena, node),
	};
	if (!DECODE_MAP(m->decoder, node, keys))
		return;
	decode_name(m->decoder, decode_get(node, "name"), &template->rule_name);
	rule_decode_refs(
		m,
		decode_need(m->decoder, node, "backendRefs", "write backendRefs: [{name: ..., port: ...}]"),
		object, &template->backend_list, &template->backend_count);
}

/* "Dropped Rule(s) 0, 2: …": the form that Gateway API asks for. */
static void report_rules(struct decoder *d, const struct route_source *source)
{
	struct conditions *conditions = &source->object->status->conditions;
	const struct rule_source *first = NULL;
	const char *reason = "UnsupportedValue";
	uint32_t wrong = 0;
	struct text text;

	text_init(&text);
	for (uint32_t i = 0; i < source->rules.count; i++) {
		const struct rule_source *rule = source->rules.list[i];

		if (!rule->refusal)
			continue;
		if (!first)
			first = rule;
		text_fmt(&text, wrong++ ? ", %u" : "Dropped Rule(s) %u", rule->index);
	}
	d->failed |= text_error(&text) != 0;
	if (first && rule_has_incompatible_filters(first->node))
		reason = "IncompatibleFilters";
	if (source->fault)
		status_fail(d, conditions, CONDITION_ACCEPTED, "UnsupportedValue",
			    "%s; requests for this route get status 500", source->fault);
	else if (first && wrong == source->rules.count)
		status_fail(d, conditions, CONDITION_ACCEPTED, reason,
			    "%s; requests for this route get status 500", first->refusal);
	else if (first)
		condition_hold(conditions, CONDITION_PARTIALLY_INVALID, reason,
			       decode_text(d, "%.*s: %s; requests for them get status 500",
					   SPAN_FMT(text_span(&text)), first->refusal));
	text_done(&text);
}

/* The first error that concerns more than one rule. */
static const char *fault_of(struct decoder *d, const struct route_source *source)
{
	static const char *const parts[] = { "rules", "parentRefs", NULL };
	const struct yaml_node *rules = decode_get(source->object->spec, "rules");
	const char *fault = manifest_fault(source->object, parts);

	if (!fault && rules && rules->has_own_fault)
		fault = rules->fault;
	for (uint32_t i = 0; i < source->rules.count && !fault; i++) {
		const struct rule_source *rule = source->rules.list[i];

		if (rule->is_unknown)
			fault = rule->node->fault;
	}
	return fault ? decode_keep(d, span_str(fault)).data : NULL;
}

static void decode_rule(struct manifests *m, const struct yaml_node *node, struct route_source *source)
{
	struct rule_source *rule = decode_take(m->decoder, 1, sizeof(*rule));

	if (!rule || !build_push(m->decoder, &source->rules, rule))
		return;
	rule->node = node;
	rule->index = node->index;
	if (is_http(source->object))
		decode_http_rule(m, source, rule);
	else
		decode_tcp_rule(m, source, rule);
	if (node->fault)
		rule->refusal = decode_keep(m->decoder, span_str(node->fault)).data;
}

void route_rules_decode(struct manifests *m, struct route_source *source)
{
	struct decoder *d = m->decoder;
	const struct yaml_node *rules = decode_get(source->object->spec, "rules");

	if (!rules && !is_http(source->object))
		rules = decode_need(d, source->object->spec, "rules", "write rules: [{backendRefs: [...]}]");
	if (decode_list(d, rules)) {
		if (!is_http(source->object) && rules->count > 1)
			config_error(d->report, rules,
				     "a %s can have only one rule: connections have nothing to tell rules "
				     "apart; make it one rule with several backendRefs, or several routes",
				     manifest_kind_name(source->object->kind));
		m->ref_conditions = &source->object->status->conditions;
		yaml_each(node, rules)
			decode_rule(m, node, source);
		m->ref_conditions = NULL;
	}
	source->fault = fault_of(d, source);
	report_rules(d, source);
}
