/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/compile/merge.h"

#include <errno.h>
#include <stddef.h>

#include "user/base/check.h"

/*
 * A member of a policy. `flag` is set if the member is written; a member without a flag is written if it is
 * not 0.
 */
struct merge_field {
	const char *name; /* as in the dump */
	size_t offset;
	size_t size_bytes;
	size_t flag;
	bool has_flag;
};

/* clang-format off */
#define OPTIONAL(type, member, name)                                                                         \
	{ name, offsetof(type, member), sizeof(((type *)NULL)->member), offsetof(type, member.is_set), true }
#define FLAGGED(type, member, set_by, name)                                                                  \
	{ name, offsetof(type, member), sizeof(((type *)NULL)->member), offsetof(type, set_by), true }
#define PLAIN(type, member, name) { name, offsetof(type, member), sizeof(((type *)NULL)->member), 0, false }
/* clang-format on */

static const struct merge_field http_fields[] = {
	FLAGGED(struct frontend_http, max_buffer_bytes, sets_max_buffer, "maxBufferSize"),
	OPTIONAL(struct frontend_http, http1_max_headers, "http1MaxHeaders"),
	FLAGGED(struct frontend_http, http1_idle_timeout_ns, sets_http1_idle_timeout, "http1IdleTimeout"),
	OPTIONAL(struct frontend_http, http2_window_bytes, "http2WindowSize"),
	OPTIONAL(struct frontend_http, http2_connection_window_bytes, "http2ConnectionWindowSize"),
	OPTIONAL(struct frontend_http, http2_frame_bytes, "http2FrameSize"),
	OPTIONAL(struct frontend_http, http2_keepalive_interval, "http2KeepaliveInterval"),
	OPTIONAL(struct frontend_http, http2_keepalive_timeout, "http2KeepaliveTimeout"),
	PLAIN(struct frontend_http, normalize_path, "normalizePath"),
	PLAIN(struct frontend_http, escaped_slashes, "escapedSlashes"),
	PLAIN(struct frontend_http, semicolons, "semicolons"),
	PLAIN(struct frontend_http, trace, "trace"),
	PLAIN(struct frontend_http, underscores, "headersWithUnderscores"),
	PLAIN(struct frontend_http, half_close, "halfClose"),
};

static const struct merge_field timeout_fields[] = {
	OPTIONAL(struct timeout_policy, request, "requestTimeout"),
	OPTIONAL(struct timeout_policy, backend_request, "backendRequestTimeout"),
};

static const struct merge_field backend_http_fields[] = {
	PLAIN(struct backend_http, version, "version"),
	OPTIONAL(struct backend_http, request_timeout, "requestTimeout"),
};

static const struct merge_kind {
	const struct merge_field *fields;
	uint32_t count;
	size_t size_bytes;
} kinds[POLICY_KIND_COUNT] = {
	[POLICY_FRONTEND_HTTP] = { http_fields, ARRAY_LEN(http_fields), sizeof(struct frontend_http) },
	[POLICY_TIMEOUT] = { timeout_fields, ARRAY_LEN(timeout_fields), sizeof(struct timeout_policy) },
	[POLICY_BACKEND_HTTP] = { backend_http_fields, ARRAY_LEN(backend_http_fields),
				  sizeof(struct backend_http) },
};
_Static_assert(ARRAY_LEN(http_fields) <= MERGE_FIELDS_MAX, "struct merge has room for every member");

bool merge_is_possible(enum policy_kind kind)
{
	return kinds[kind].count > 0;
}

static bool is_written(const struct merge_field *field, const void *object)
{
	static const char zeros[16];
	const char *bytes = object;

	if (field->has_flag)
		return *(const bool *)(bytes + field->flag);
	return memcmp(bytes + field->offset, zeros, field->size_bytes) != 0;
}

struct merge *merge_begin(struct attachment *attachment)
{
	const struct merge_kind *kind = &kinds[attachment->policy->value.kind];
	struct merge *merge = arena_take(attachment->arena, sizeof(*merge));
	void *object = merge ? arena_take(attachment->arena, kind->size_bytes) : NULL;

	if (!object)
		return NULL;
	memcpy(object, attachment->policy->value.object, kind->size_bytes);
	*merge = (struct merge){ .object = object };
	for (uint32_t i = 0; i < kind->count; i++)
		if (is_written(&kind->fields[i], object))
			merge->owner[i] = attachment;
	return merge;
}

/* Notes only the first policy that the loser loses to, and each member once. */
static int note_loss(struct attachment *loser, const struct attachment *winner, const char *name)
{
	struct targeted_policy *policy = loser->policy;
	struct span lost = span_str(name), *list;

	for (uint32_t i = 0; i < policy->lost_count; i++)
		if (span_eq(policy->lost_list[i], lost))
			return 0;
	if (!policy->lost_to.len)
		policy->lost_to = winner->policy->key;
	list = arena_take(loser->arena, (policy->lost_count + 1) * sizeof(*list));
	if (!list)
		return -ENOMEM;
	if (policy->lost_count)
		memcpy(list, policy->lost_list, policy->lost_count * sizeof(*list));
	list[policy->lost_count++] = lost;
	policy->lost_list = list;
	return 0;
}

static void take(const struct merge_field *field, struct merge *merge, const void *from)
{
	memcpy((char *)merge->object + field->offset, (const char *)from + field->offset, field->size_bytes);
	if (field->has_flag)
		*(bool *)((char *)merge->object + field->flag) = true;
}

static bool is_same(const struct merge_field *field, const void *a, const void *b)
{
	return memcmp((const char *)a + field->offset, (const char *)b + field->offset, field->size_bytes) ==
	       0;
}

int merge_add(struct merge *merge, struct attachment *other)
{
	const struct merge_kind *kind = &kinds[other->policy->value.kind];
	const void *object = other->policy->value.object;

	for (uint32_t i = 0; i < kind->count; i++) {
		const struct merge_field *field = &kind->fields[i];
		struct attachment *owner = merge->owner[i];
		bool wins = !owner || attachment_compare(owner, other) > 0;

		if (!is_written(field, object))
			continue;
		if (owner && !is_same(field, merge->object, object) &&
		    note_loss(wins ? owner : other, wins ? other : owner, field->name) < 0)
			return -ENOMEM;
		if (!wins)
			continue;
		take(field, merge, object);
		merge->owner[i] = other;
	}
	return 0;
}

bool merge_has(const struct merge *merge, const struct attachment *attachment)
{
	for (uint32_t i = 0; i < MERGE_FIELDS_MAX; i++)
		if (merge->owner[i] == attachment)
			return true;
	return false;
}

const struct attachment *merge_sole_owner(const struct merge *merge, const struct attachment *otherwise)
{
	const struct attachment *sole = NULL;

	for (uint32_t i = 0; i < MERGE_FIELDS_MAX; i++) {
		if (merge->owner[i] && sole && merge->owner[i] != sole)
			return NULL;
		if (merge->owner[i])
			sole = merge->owner[i];
	}
	return sole ? sole : otherwise;
}
