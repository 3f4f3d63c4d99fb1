/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/condition.h"

static const char *const names[CONDITION_TYPE_COUNT] = {
	[CONDITION_ACCEPTED] = "Accepted",
	[CONDITION_PROGRAMMED] = "Programmed",
	[CONDITION_RESOLVED_REFS] = "ResolvedRefs",
	[CONDITION_CONFLICTED] = "Conflicted",
	[CONDITION_PARTIALLY_INVALID] = "PartiallyInvalid",
	[CONDITION_ATTACHED] = "Attached",
	[CONDITION_INSECURE_FRONTEND] = "InsecureFrontendValidationMode",
	[CONDITION_OVERLAPPING_TLS] = "OverlappingTLSConfig",
	[CONDITION_SUPPORTED_VERSION] = "SupportedVersion",
};

const char *condition_name(enum condition_type type)
{
	return names[type];
}

void condition_hold(struct conditions *conditions, enum condition_type type, const char *reason,
		    struct span message)
{
	if (!conditions->of[type].is_set)
		conditions->of[type] = (struct status_condition){ true, true, reason, message };
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The length of "Reason" in "Reason: message"; 0: there is none. */
static size_t reason_length(struct span text)
{
	size_t len = 0;

	while (len < text.len && is_letter(text.data[len]))
		len++;
	return len > 1 && text.data[0] <= 'Z' && len + 1 < text.len && text.data[len] == ':' &&
			       text.data[len + 1] == ' '
		       ? len
		       : 0;
}

bool condition_fail_text(struct arena *arena, struct conditions *conditions, enum condition_type type,
			 struct span text, const char *fallback)
{
	size_t len = reason_length(text);
	struct span reason = len ? arena_copy(arena, span_first(text, len)) : span_str(fallback);
	struct span message = arena_copy(arena, len ? span_from(text, len + 2) : text);

	if (!reason.data || !message.data)
		return false;
	condition_fail(conditions, type, reason.data, message);
	return true;
}
