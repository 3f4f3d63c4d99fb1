/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/target_kind.h"

#include "config/core/engine/typo.h"
#include "user/base/check.h"

static const struct {
	enum manifest_kind kind;
	enum target_kind target;
} target_kinds[] = {
	{ MANIFEST_GATEWAY, TARGET_GATEWAY },
	{ MANIFEST_HTTP_ROUTE, TARGET_ROUTE },
	{ MANIFEST_GRPC_ROUTE, TARGET_ROUTE },
	{ MANIFEST_SERVICE, TARGET_SERVICE },
	{ MANIFEST_BACKEND, TARGET_BACKEND },
	{ MANIFEST_LISTENER_SET, TARGET_LISTENER_SET },
	{ MANIFEST_X_LISTENER_SET, TARGET_LISTENER_SET },
};

static bool is_kind(struct span name, enum manifest_kind kind)
{
	return span_eq(name, span_str(manifest_kind_name(kind)));
}

bool target_kind_find(const struct manifest_ref *ref, enum manifest_kind *ret_kind,
		      enum target_kind *ret_target)
{
	for (size_t i = 0; i < ARRAY_LEN(target_kinds); i++) {
		*ret_kind = target_kinds[i].kind;
		*ret_target = target_kinds[i].target;
		if (is_kind(ref->kind, *ret_kind) &&
		    span_eq(ref->group, span_str(manifest_kind_group(*ret_kind))))
			return true;
	}
	return false;
}

/* The documentation has an example without the group. */
struct span target_kind_group(struct span kind)
{
	for (size_t i = 0; i < ARRAY_LEN(target_kinds); i++)
		if (is_kind(kind, target_kinds[i].kind))
			return span_str(manifest_kind_group(target_kinds[i].kind));
	return SPAN(GROUP_GATEWAY);
}

/* Finds the kind that is meant; false: none of these. */
static bool is_meant(struct span name, enum manifest_kind *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(target_kinds); i++) {
		*ret = target_kinds[i].kind;
		if (is_kind(name, *ret))
			return true;
	}
	/* "TCPRoute" is no misspelt "HTTPRoute". */
	for (unsigned kind = 0; kind < MANIFEST_KIND_COUNT; kind++)
		if (is_kind(name, (enum manifest_kind)kind))
			return false;
	for (size_t i = 0; i < ARRAY_LEN(target_kinds); i++) {
		*ret = target_kinds[i].kind;
		if (typo_is_of(name, manifest_kind_name(*ret)))
			return true;
	}
	return false;
}

void target_kind_correct(struct decoder *d, const struct yaml_node *node, struct manifest_ref *ref)
{
	enum manifest_kind kind;
	enum target_kind target;

	if (target_kind_find(ref, &kind, &target) || !is_meant(ref->kind, &kind))
		return;
	config_error(d->report, node, "there is no kind %s in group %s; did you mean %s in group \"%s\"?",
		     QUOTE(ref->kind), QUOTE(ref->group), manifest_kind_name(kind),
		     manifest_kind_group(kind));
	ref->kind = span_str(manifest_kind_name(kind));
	ref->group = span_str(manifest_kind_group(kind));
}

/* -------------------------------------------------------------------------------- parts */

static bool is_text(const struct yaml_node *map, const char *key, struct span text)
{
	const struct yaml_node *node = decode_get(map, key);

	return node && node->kind == YAML_SCALAR && span_eq(node->text, text);
}

static bool has_listeners(const struct manifest_object *object)
{
	return object->kind == MANIFEST_GATEWAY || object->kind == MANIFEST_LISTENER_SET ||
	       object->kind == MANIFEST_X_LISTENER_SET;
}

/* NULL: none. */
static const struct yaml_node *parts_of(const struct manifest_object *object)
{
	const char *key = has_listeners(object)		     ? "listeners"
			  : object->kind == MANIFEST_SERVICE ? "ports"
							     : "rules";
	const struct yaml_node *list = decode_get(object->spec, key);

	return list && list->kind == YAML_LIST ? list : NULL;
}

const struct yaml_node *target_kind_section(const struct manifest_object *object, struct span name)
{
	const struct yaml_node *list = parts_of(object);

	for (const struct yaml_node *node = list ? list->first : NULL; node; node = node->next)
		if (is_text(node, "name", name) ||
		    (object->kind == MANIFEST_SERVICE && is_text(node, "port", name)))
			return node;
	return NULL;
}

static bool has_port(const struct manifest_object *object, struct span port)
{
	const struct yaml_node *list = parts_of(object);

	for (const struct yaml_node *node = list ? list->first : NULL; node; node = node->next)
		if (is_text(node, "port", port))
			return true;
	return false;
}

static bool is_set_of(const struct manifest_object *set, const struct manifest_object *gateway)
{
	const struct yaml_node *parent = decode_get(set->spec, "parentRef");
	bool is_same = span_eq(set->namespace, gateway->namespace);

	return is_text(parent, "name", gateway->name) && (is_text(parent, "namespace", gateway->namespace) ||
							  (is_same && !decode_get(parent, "namespace")));
}

bool target_kind_gateway_has_port(const struct manifests *m, const struct manifest_object *gateway,
				  struct span port)
{
	static const enum manifest_kind kinds[] = { MANIFEST_LISTENER_SET, MANIFEST_X_LISTENER_SET };

	if (has_port(gateway, port))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct pointer_list *sets = &m->objects[kinds[i]];

		for (uint32_t at = 0; at < sets->count; at++)
			if (is_set_of(sets->list[at], gateway) && has_port(sets->list[at], port))
				return true;
	}
	return false;
}

static bool is_http(const struct yaml_node *listener)
{
	return is_text(listener, "protocol", SPAN("HTTP")) || is_text(listener, "protocol", SPAN("HTTPS"));
}

bool target_kind_has_requests(const struct manifest_object *object, const struct yaml_node *section)
{
	const struct yaml_node *list = parts_of(object);

	if (!has_listeners(object))
		return true;
	if (section)
		return is_http(section);
	for (const struct yaml_node *node = list ? list->first : NULL; node; node = node->next)
		if (is_http(node))
			return true;
	return false;
}
