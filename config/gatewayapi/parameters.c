/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/parameters.h"

#include "config/gatewayapi/status.h"
#include "user/base/check.h"

static struct span text_of(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map && map->kind == YAML_MAP ? decode_get(map, key) : NULL;

	return node && node->kind == YAML_SCALAR ? node->text : (struct span){ 0 };
}

static bool refers_to(const struct yaml_node *ref, const struct manifest_object *object)
{
	return ref && ref->kind == YAML_MAP &&
	       span_eq(text_of(ref, "kind"), span_str(manifest_kind_name(MANIFEST_PARAMETERS))) &&
	       span_eq(text_of(ref, "name"), object->name);
}

static const struct yaml_node *member(const struct yaml_node *map, const char *key)
{
	return map && map->kind == YAML_MAP ? decode_get(map, key) : NULL;
}

/* By a Gateway of its namespace that is served, or by a GatewayClass. */
static bool is_used(const struct manifests *m, const struct manifest_object *object)
{
	const struct pointer_list *gateways = &m->objects[MANIFEST_GATEWAY],
				  *classes = &m->objects[MANIFEST_GATEWAY_CLASS];

	for (uint32_t i = 0; i < gateways->count; i++) {
		const struct manifest_object *gateway = gateways->list[i];

		if (!gateway->is_foreign && span_eq(gateway->namespace, object->namespace) &&
		    refers_to(member(member(gateway->spec, "infrastructure"), "parametersRef"), object))
			return true;
	}
	for (uint32_t i = 0; i < classes->count; i++) {
		const struct manifest_object *class = classes->list[i];

		if (refers_to(member(class->spec, "parametersRef"), object))
			return true;
	}
	return false;
}

/* The level without a name in a list such as "info,name=debug"; empty: none that is known. */
static struct span level_of(struct span text)
{
	static const struct {
		const char *word, *level;
	} rows[] = {
		{ "error", "error" }, { "warn", "warn" },   { "info", "info" },
		{ "debug", "debug" }, { "trace", "debug" },
	};
	struct span item;

	while (span_split(&text, ',', &item))
		for (size_t i = 0; i < ARRAY_LEN(rows); i++)
			if (span_eq_nocase(span_trim(item), span_str(rows[i].word)))
				return span_str(rows[i].level);
	return (struct span){ 0 };
}

static void decode_logging(struct manifests *m, const struct yaml_node *node)
{
	struct static_config *config = &m->builder->snapshot->config;
	struct span written = text_of(node, "level"), level = level_of(written),
		    format = text_of(node, "format");

	if (written.len && !level.len)
		config_info(m->decoder->report, node,
			    "the level %s has no effect: write error, warn, info or debug", QUOTE(written));
	/* "info" is the default. */
	if (level.len && span_eq(config->log_level, SPAN("info")))
		config->log_level = level;
	if (config->log_format.len)
		return;
	if (span_eq(format, SPAN("json")))
		config->log_format = SPAN("json");
	else if (span_eq(format, SPAN("text")))
		config->log_format = SPAN("text");
}

void parameters_decode(struct manifests *m)
{
	const struct pointer_list *objects = &m->objects[MANIFEST_PARAMETERS];
	struct config_report *report = m->decoder->report;

	for (uint32_t i = 0; i < objects->count; i++) {
		const struct manifest_object *object = objects->list[i];

		if (!object->spec || object->spec->kind != YAML_MAP)
			continue;
		if (!is_used(m, object)) {
			config_info(report, object->root,
				    "skipped: no Gateway and no GatewayClass refers to these parameters");
			continue;
		}
		yaml_each(key, object->spec) {
			if (span_eq(key->key, SPAN("logging")) && key->kind == YAML_MAP)
				decode_logging(m, key);
			else
				config_info(report, key,
					    "skipped: describes how Kubernetes runs the gateway, and has no "
					    "effect on a host");
		}
	}
}

void parameters_check(struct manifests *m, const struct manifest_object *gateway, const struct yaml_node *ref)
{
	static const struct decode_key keys[] = { KEY("group"), KEY("kind"), KEY("name") };
	struct decoder *d = m->decoder;
	struct manifest_ref found;
	const char *why;

	if (!m->builder->setting->is_cluster || !DECODE_MAP(d, ref, keys) ||
	    !manifest_ref(d, ref, gateway, GROUP_AGENTGATEWAY, "AgentgatewayParameters", &found))
		return;
	if (!span_eq(found.group, SPAN(GROUP_AGENTGATEWAY)) ||
	    !span_eq(found.kind, span_str(manifest_kind_name(MANIFEST_PARAMETERS))))
		why = "only parameters of group agentgateway.dev and kind AgentgatewayParameters are known; "
		      "remove the reference, or name such an object";
	else if (!manifest_find(m, MANIFEST_PARAMETERS, found.namespace, found.name))
		why = "there are no such AgentgatewayParameters in the namespace of the Gateway; add them, "
		      "or remove the reference";
	else
		return;
	config_error(d->report, ref, "InvalidParameters: %s", why);
	status_fail(d, &gateway->status->conditions, CONDITION_ACCEPTED, "InvalidParameters", "%s", why);
}
