/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/policy_safety.h"

/* Sections whose errors cost no protection: what is wrong there is left out, and the rest is in force. */
static const char *const harmless_frontend[] = { "accessLog", "metrics", "tcp", "tracing", NULL };
static const char *const harmless_traffic[] = { "compression", "delay",		 "retry",
						"timeouts",    "transformation", NULL };
static const char *const harmless_backend[] = { "health", "http", "tcp", "transformation", NULL };

static bool is_harmless(struct span key, const char *const *list)
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
		if (member->fault && !is_harmless(member->key, harmless))
			return true;
	return false;
}

bool policy_is_unsafe(const struct manifest_object *object)
{
	static const char *const parts[] = { "targetRefs", "targetSelectors", "frontend",
					     "traffic",	   "backend",	      NULL };

	return manifest_fault(object, parts) ||
	       section_is_unsafe(decode_get(object->spec, "frontend"), harmless_frontend) ||
	       section_is_unsafe(decode_get(object->spec, "traffic"), harmless_traffic) ||
	       section_is_unsafe(decode_get(object->spec, "backend"), harmless_backend);
}
