/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/object.h"

static bool grant_from_fits(struct decoder *d, const struct yaml_node *list,
			    const struct manifest_object *from)
{
	bool fits = false;

	if (!decode_list(d, list))
		return false;
	yaml_each(node, list) {
		struct span group = { 0 }, kind = { 0 }, namespace = { 0 };

		if (!decode_any_map(d, node))
			continue;
		decode_string(d, decode_get(node, "group"), &group);
		decode_string(d, decode_get(node, "kind"), &kind);
		decode_string(d, decode_get(node, "namespace"), &namespace);
		fits |= span_eq(group, span_str(manifest_kind_group(from->kind))) &&
			span_eq(kind, span_str(manifest_kind_name(from->kind))) &&
			span_eq(namespace, from->namespace);
	}
	return fits;
}

static bool grant_to_fits(struct decoder *d, const struct yaml_node *list, const struct manifest_ref *ref)
{
	bool fits = false;

	if (!decode_list(d, list))
		return false;
	yaml_each(node, list) {
		struct span group = { 0 }, kind = { 0 }, name = { 0 };

		if (!decode_any_map(d, node))
			continue;
		decode_string(d, decode_get(node, "group"), &group);
		decode_string(d, decode_get(node, "kind"), &kind);
		decode_string(d, decode_get(node, "name"), &name);
		fits |= span_eq(group, ref->group) && span_eq(kind, ref->kind) &&
			(name.len == 0 || span_eq(name, ref->name));
	}
	return fits;
}

void grants_check(struct manifests *m)
{
	const struct manifest_object none = { .kind = MANIFEST_GATEWAY };
	const struct manifest_ref nothing = { 0 };

	for (uint32_t i = 0; i < m->objects[MANIFEST_REFERENCE_GRANT].count; i++) {
		const struct manifest_object *grant = m->objects[MANIFEST_REFERENCE_GRANT].list[i];

		(void)grant_from_fits(m->decoder, decode_get(grant->spec, "from"), &none);
		(void)grant_to_fits(m->decoder, decode_get(grant->spec, "to"), &nothing);
	}
}

/* A reference into another namespace needs a ReferenceGrant there. */
bool manifest_is_granted(struct manifests *m, const struct manifest_object *from,
			 const struct manifest_ref *ref)
{
	const struct pointer_list *grants = &m->objects[MANIFEST_REFERENCE_GRANT];

	if (span_eq(ref->namespace, from->namespace))
		return true;
	for (uint32_t i = 0; i < grants->count; i++) {
		const struct manifest_object *grant = grants->list[i];

		/* With an error it may allow more than was meant. */
		if (span_eq(grant->namespace, ref->namespace) && !grant->root->fault &&
		    grant_from_fits(m->decoder, decode_get(grant->spec, "from"), from) &&
		    grant_to_fits(m->decoder, decode_get(grant->spec, "to"), ref))
			return true;
	}
	return false;
}
