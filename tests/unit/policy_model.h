/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "config/core/engine/errors.h"
#include "config/model.h"
#include "config/snapshot.h"
#include "tests/lib/test.h"
#include "user/base/check.h"
#include "user/http/head.h"

/*
 * Snapshots and heads by hand, for the unit tests of policy/. A model that ran out of memory says so in
 * `failed`; texts given to it have to live as long as it does. At most MODEL_ROOM objects of a kind in one
 * place.
 */
#define MODEL_ROOM 64

struct model {
	struct snapshot *snapshot; /* owner of one reference */
	struct config_report report;
	bool failed;
	_Alignas(max_align_t) char spill[1024];
};

static inline void model_init(struct model *m)
{
	*m = (struct model){ .snapshot = snapshot_create() };
	config_report_init(&m->report);
	m->failed = !m->snapshot;
}

static inline void model_done(struct model *m)
{
	snapshot_unref(m->snapshot);
	config_report_done(&m->report);
}

static inline void *model_take(struct model *m, size_t size_bytes)
{
	void *memory = arena_take(m->snapshot->arena, size_bytes);

	if (!memory)
		m->failed = true;
	return memory;
}

/* The next element of a list with room for so many; something to write to when there is no memory. */
static inline __attribute__((returns_nonnull)) void *
model_next(struct model *m, void *list_pointer, uint32_t *count, size_t size_bytes, uint32_t room)
{
	char *list;

	memcpy(&list, list_pointer, sizeof(list));
	if (!list && !m->failed) {
		list = model_take(m, room * size_bytes);
		memcpy(list_pointer, &list, sizeof(list));
	}
	if (m->failed || !list || *count == room) {
		m->failed = true;
		return m->spill;
	}
	return list + size_bytes * (*count)++;
}
#define MODEL_NEXT(m, list, count) model_next((m), &(list), &(count), sizeof(*(list)), MODEL_ROOM)

static inline struct bind *model_bind(struct model *m, uint16_t port)
{
	struct bind *bind = MODEL_NEXT(m, m->snapshot->bind_list, m->snapshot->bind_count);

	bind->port = port;
	return bind;
}

static inline struct listener *model_listener(struct model *m, struct bind *bind, const char *namespace,
					      const char *gateway, const char *name, const char *hostname)
{
	struct listener *listener = MODEL_NEXT(m, bind->listener_list, bind->listener_count);

	*listener = (struct listener){
		.key = span_str(name),
		.gateway_namespace = span_str(namespace),
		.gateway_name = span_str(gateway),
		.listener_name = span_str(name),
		.hostname = span_str(hostname),
	};
	return listener;
}

static inline struct route *model_route(struct model *m, struct listener *listener, const char *key)
{
	struct route *route = MODEL_NEXT(m, listener->route_list, listener->route_count);

	*route = (struct route){ .key = span_str(key), .name = span_str(key), .namespace = SPAN("default") };
	return route;
}

static inline void model_host(struct model *m, struct route *route, const char *host)
{
	struct span *next = MODEL_NEXT(m, route->hostname_list, route->hostname_count);

	*next = span_str(host);
}

static inline struct route_match *model_match(struct model *m, struct route *route, enum path_match_kind kind,
					      const char *path)
{
	struct route_match *match = MODEL_NEXT(m, route->match_list, route->match_count);

	*match = (struct route_match){ .path_kind = kind, .path = span_str(path) };
	return match;
}

static inline void model_header(struct model *m, struct route_match *match, const char *name,
				enum text_match_kind kind, const char *value)
{
	struct text_match *next = MODEL_NEXT(m, match->header_list, match->header_count);

	*next = (struct text_match){ .name = span_str(name), .kind = kind, .value = span_str(value) };
}

static inline void model_query(struct model *m, struct route_match *match, const char *name,
			       enum text_match_kind kind, const char *value)
{
	struct text_match *next = MODEL_NEXT(m, match->query_list, match->query_count);

	*next = (struct text_match){ .name = span_str(name), .kind = kind, .value = span_str(value) };
}

static inline struct backend *model_backend(struct model *m, enum backend_kind kind, const char *namespace,
					    const char *name)
{
	struct backend *backend = MODEL_NEXT(m, m->snapshot->backend_list, m->snapshot->backend_count);

	*backend = (struct backend){ .kind = kind, .namespace = span_str(namespace), .name = span_str(name) };
	return backend;
}

static inline struct backend_ref *model_ref(struct model *m, struct route *route,
					    const struct backend *backend, uint64_t weight)
{
	struct backend_ref *ref = MODEL_NEXT(m, route->backend_list, route->backend_count);

	*ref = (struct backend_ref){ .weight = weight, .backend = backend };
	return ref;
}

static inline void model_value(struct model *m, struct policy_values *values, enum policy_kind kind,
			       const void *object)
{
	struct policy_value *value = MODEL_NEXT(m, values->value_list, values->value_count);

	*value = (struct policy_value){ kind, object };
}

static inline struct targeted_policy *model_policy(struct model *m, const char *key, enum policy_kind kind,
						   const void *object, struct policy_target target)
{
	struct targeted_policy *policy = MODEL_NEXT(m, m->snapshot->policy_list, m->snapshot->policy_count);

	*policy = (struct targeted_policy){
		.key = span_str(key),
		.target = target,
		.value = { kind, object },
		.created_s = INT64_MAX,
	};
	return policy;
}

static inline struct policy_target target_of(enum target_kind kind, const char *namespace, const char *name,
					     const char *section)
{
	return (struct policy_target){
		.kind = kind,
		.namespace = span_str(namespace),
		.name = span_str(name),
		.section = span_str(section),
		.attach_namespace = span_str(namespace),
	};
}

/* How many messages of that severity contain `part`. */
static inline uint32_t model_messages(const struct model *m, enum config_severity severity, const char *part)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < m->report.message_count; i++) {
		struct span text = m->report.message_list[i].text;

		if (m->report.message_list[i].severity == severity &&
		    memmem(text.data, text.len, part, strlen(part)))
			count++;
	}
	return count;
}

/* A request for `target` ("/path?query"); fields are added by the caller. */
static inline struct request_head head_of(struct arena *arena, const char *method, const char *authority,
					  const char *target)
{
	struct span text = span_str(target);
	ptrdiff_t question = span_find(text, '?');
	struct request_head head = {
		.method = method_of(span_str(method)),
		.method_text = span_str(method),
		.target = text,
		.path = question < 0 ? text : span_first(text, (size_t)question),
		.query = question < 0 ? SPAN("") : span_from(text, (size_t)question + 1),
		.has_query = question >= 0,
		.authority = span_str(authority),
		.version_major = 1,
		.version_minor = 1,
	};

	fields_init(&head.fields, arena);
	return head;
}

/* A request for /x, with fields as "name: value", separated by line ends. query: NULL: none. */
static inline struct request_head head_with(struct arena *arena, const char *query, const char *fields)
{
	struct request_head head = { .path = SPAN("/x"),
				     .query = span_str(query),
				     .has_query = query != NULL };
	struct span rest = span_str(fields), line;

	fields_init(&head.fields, arena);
	while (rest.len && span_split(&rest, '\n', &line)) {
		ptrdiff_t colon = span_find(line, ':');

		assert_int_equal(fields_add(&head.fields, span_first(line, (size_t)colon),
					    span_trim(span_from(line, (size_t)colon + 1))),
				 0);
	}
	return head;
}

static inline void assert_text(struct span actual, const char *expected)
{
	if (!span_eq(actual, span_str(expected)))
		fail_msg("\"%.*s\" instead of \"%s\"", SPAN_FMT(actual), expected);
}
