/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/policy_safety.h"

#include "user/base/check.h"

/* Sections, and what of them costs no protection if it is wrong: it is left out, and the rest is in force. */
static const struct {
	const char *name;
	const char *harmless[6];
} sections[] = {
	{ "frontend", { "accessLog", "metrics", "tcp", "tracing" } },
	{ "traffic", { "compression", "delay", "retry", "timeouts" } },
	{ "backend", { "health", "http", "tcp" } },
};

static bool is_listed(struct span key, const char *const *list)
{
	for (; *list; list++)
		if (span_eq(key, span_str(*list)))
			return true;
	return false;
}

static bool section_is_unsafe(const struct yaml_node *section, const char *const *harmless)
{
	if (!section || !section->fault)
		return false;
	if (section->has_own_fault)
		return true;
	yaml_each(member, section)
		if (member->fault && !is_listed(member->key, harmless))
			return true;
	return false;
}

bool policy_is_unsafe(const struct manifest_object *object)
{
	static const char *const parts[] = { "targetRefs", "targetSelectors", "frontend",
					     "traffic",	   "backend",	      NULL };

	if (manifest_fault(object, parts))
		return true;
	for (size_t i = 0; i < ARRAY_LEN(sections); i++)
		if (section_is_unsafe(decode_get(object->spec, sections[i].name), sections[i].harmless))
			return true;
	return false;
}

static bool member_may_protect(const struct yaml_node *member)
{
	static const char *const others[] = { "targetRefs", "targetSelectors", "strategy", NULL };

	for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
		if (!span_eq(member->key, span_str(sections[i].name)))
			continue;
		if (member->kind != YAML_MAP)
			return true;
		yaml_each(policy, member)
			if (!is_listed(policy->key, sections[i].harmless))
				return true;
		return false;
	}
	return !is_listed(member->key, others);
}

bool policy_may_protect(const struct yaml_node *spec)
{
	yaml_each(member, spec)
		if (member_may_protect(member))
			return true;
	return false;
}
