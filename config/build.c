/* SPDX-License-Identifier: Apache-2.0 */
#include "config/build.h"

#include <stdlib.h>

#include "user/base/check.h"
#include "user/base/mem.h"

void build_init(struct builder *b, struct snapshot *snapshot, struct config_report *report)
{
	static const struct config_setting none;

	*b = (struct builder){
		.decoder = { .arena = snapshot->arena, .report = report },
		.snapshot = snapshot,
		.setting = &none,
	};
}

void build_done(struct builder *b)
{
	build_list_done(&b->binds);
	build_list_done(&b->policies);
	build_list_done(&b->backends);
	build_list_done(&b->refs);
	build_list_done(&b->mirrors);
	build_list_done(&b->callouts);
	build_list_done(&b->fetches);
}

void build_list_done(struct pointer_list *list)
{
	hg_free(list->list);
	*list = (struct pointer_list){ 0 };
}

bool build_push(struct decoder *d, struct pointer_list *list, void *pointer)
{
	if (list->count == list->size) {
		uint32_t size = list->size ? list->size * 2 : 16;
		void **bigger = hg_realloc(list->list, size * sizeof(void *));

		if (!bigger) {
			d->failed = true;
			return false;
		}
		list->list = bigger;
		list->size = size;
	}
	list->list[list->count++] = pointer;
	return true;
}

static void *add_object(struct builder *b, struct pointer_list *list, size_t size_bytes)
{
	void *object = decode_take(&b->decoder, 1, size_bytes);

	return object && build_push(&b->decoder, list, object) ? object : NULL;
}

struct bind *build_bind(struct builder *b)
{
	return add_object(b, &b->binds, sizeof(struct bind));
}

/* One socket serves both families if IPv6 is on: [::]:port also accepts IPv4 (IPV6_V6ONLY off). */
void build_bind_address(struct builder *b, struct bind *bind, const struct address *address)
{
	struct decoder *d = &b->decoder;
	struct address all;
	struct text text;

	address_set_any(&all, b->snapshot->config.ipv6_enabled, bind->port);
	bind->address = address ? *address : all;
	address_set_port(&bind->address, bind->port);
	text_init(&text);
	address_format(&bind->address, &text);
	bind->address_text = decode_keep(d, text_span(&text));
	d->failed |= text_error(&text) != 0;
	text_done(&text);
	bind->key = address_eq(&bind->address, &all)
			    ? decode_text(d, "bind/%u", bind->port)
			    : decode_text(d, "bind/%.*s", SPAN_FMT(bind->address_text));
}

struct targeted_policy *build_policy(struct builder *b)
{
	return add_object(b, &b->policies, sizeof(struct targeted_policy));
}

struct backend *build_backend(struct builder *b)
{
	return add_object(b, &b->backends, sizeof(struct backend));
}

bool build_ref(struct builder *b, struct backend_ref *ref)
{
	return build_push(&b->decoder, &b->refs, ref);
}

/* -------------------------------------------------------------------------------- policy values */

bool build_values(struct decoder *d, struct policy_values *values, uint32_t max)
{
	values->value_count = 0;
	values->value_list = decode_take(d, max, sizeof(*values->value_list));
	return values->value_list != NULL;
}

void build_value(struct policy_values *values, enum policy_kind kind, const void *object)
{
	if (object)
		values->value_list[values->value_count++] = (struct policy_value){ kind, object };
}

const void *build_value_find(const struct policy_values *values, enum policy_kind kind)
{
	for (uint32_t i = 0; i < values->value_count; i++)
		if (values->value_list[i].kind == kind)
			return values->value_list[i].object;
	return NULL;
}

bool build_array(struct decoder *d, const struct pointer_list *list, size_t size_bytes, void *ret_array)
{
	char *array = decode_take(d, list->count, size_bytes);

	if (!array)
		return false;
	for (uint32_t i = 0; i < list->count; i++)
		memcpy(array + i * size_bytes, list->list[i], size_bytes);
	*(void **)ret_array = array;
	return true;
}

/* -------------------------------------------------------------------------------- names */

void *name_map_get(const struct name_map *names, struct span key)
{
	return names->map ? hash_map_get(names->map, key) : NULL;
}

static bool grow_names(struct decoder *d, struct name_map *names)
{
	size_t size = names->size ? names->size * 4 : 64;
	struct hash_map *map = hash_map_create(size);

	if (!map) {
		d->failed = true;
		return false;
	}
	for (uint32_t i = 0; i < names->entries.count; i++) {
		struct name_entry *entry = names->entries.list[i];
		int r = hash_map_put(map, entry->key, entry->value);

		CHECK(r == 0);
	}
	hash_map_free(names->map);
	names->map = map;
	names->size = size;
	return true;
}

bool name_map_put(struct decoder *d, struct name_map *names, struct span key, void *value)
{
	struct name_entry *entry = decode_take(d, 1, sizeof(*entry));
	int r;

	if (!entry || (names->entries.count == names->size && !grow_names(d, names)))
		return false;
	*entry = (struct name_entry){ key, value };
	if (!build_push(d, &names->entries, entry))
		return false;
	r = hash_map_put(names->map, key, value);
	CHECK(r == 0);
	return true;
}

void name_map_done(struct name_map *names)
{
	hash_map_free(names->map);
	hg_free(names->entries.list);
	*names = (struct name_map){ 0 };
}

/* -------------------------------------------------------------------------------- sorting */

/*
 * Entries with the same key keep a fixed order, independent of qsort(); messages about them name the first
 * one.
 */
static int by_key(struct span key_a, struct span where_a, struct span key_b, struct span where_b)
{
	int order = span_compare(key_a, key_b);

	return order ? order : span_compare(where_a, where_b);
}

static int by_bind_key(const void *a, const void *b)
{
	return span_compare((*(struct bind *const *)a)->key, (*(struct bind *const *)b)->key);
}

static int by_policy_key(const void *a, const void *b)
{
	const struct targeted_policy *x = *(struct targeted_policy *const *)a,
				     *y = *(struct targeted_policy *const *)b;

	return by_key(x->key, x->where, y->key, y->where);
}

static int by_backend_name(const void *a, const void *b)
{
	const struct backend *x = *(struct backend *const *)a, *y = *(struct backend *const *)b;
	int order = span_compare(x->name, y->name);

	return order ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_route_key(const void *a, const void *b)
{
	const struct route *x = a, *y = b;

	return by_key(x->key, x->where, y->key, y->where);
}

static int by_tcp_route_key(const void *a, const void *b)
{
	const struct tcp_route *x = a, *y = b;

	return by_key(x->key, x->where, y->key, y->where);
}

static int by_listener_key(const void *a, const void *b)
{
	const struct listener *x = a, *y = b;

	return by_key(x->key, x->where, y->key, y->where);
}

static void sort(void *array, size_t count, size_t size_bytes, int (*compare)(const void *, const void *))
{
	if (count > 1)
		qsort(array, count, size_bytes, compare);
}

static void sort_binds(struct builder *b)
{
	sort(b->binds.list, b->binds.count, sizeof(void *), by_bind_key);
	for (uint32_t i = 0; i < b->binds.count; i++) {
		struct bind *bind = b->binds.list[i];

		sort(bind->listener_list, bind->listener_count, sizeof(struct listener), by_listener_key);
		for (uint32_t j = 0; j < bind->listener_count; j++) {
			struct listener *listener = &bind->listener_list[j];

			sort(listener->route_list, listener->route_count, sizeof(struct route), by_route_key);
			sort(listener->tcp_route_list, listener->tcp_route_count, sizeof(struct tcp_route),
			     by_tcp_route_key);
		}
	}
}

static void number_backends(struct builder *b)
{
	for (uint32_t i = 0; i < b->backends.count; i++)
		((struct backend *)b->backends.list[i])->index = i;
	sort(b->backends.list, b->backends.count, sizeof(void *), by_backend_name);
	for (uint32_t i = 0; i < b->backends.count; i++)
		((struct backend *)b->backends.list[i])->index = i;
}

/* -------------------------------------------------------------------------------- duplicates */

static void report_twice(struct builder *b, struct span where, const char *what, struct span key,
			 struct span first)
{
	config_message_at(b->decoder.report, CONFIG_ERROR, where,
			  "the %s %s exists twice, first at %.*s; give each its own name", what, QUOTE(key),
			  SPAN_FMT(first));
}

static void check_routes(struct builder *b, const struct listener *listener)
{
	for (uint32_t i = 1; i < listener->route_count; i++) {
		const struct route *route = &listener->route_list[i];

		if (route->key.len && span_eq(route[-1].key, route->key))
			report_twice(b, route->where, "route", route->key, route[-1].where);
	}
	for (uint32_t i = 1; i < listener->tcp_route_count; i++) {
		const struct tcp_route *route = &listener->tcp_route_list[i];

		if (route->key.len && span_eq(route[-1].key, route->key))
			report_twice(b, route->where, "route", route->key, route[-1].where);
	}
}

/* Everything is sorted by key, so duplicates are adjacent. */
static void check_duplicates(struct builder *b)
{
	for (uint32_t i = 0; i < b->binds.count; i++) {
		const struct bind *bind = b->binds.list[i];

		for (uint32_t j = 0; j < bind->listener_count; j++) {
			const struct listener *listener = &bind->listener_list[j];

			if (j > 0 && listener->key.len && span_eq(listener[-1].key, listener->key))
				report_twice(b, listener->where, "listener", listener->key,
					     listener[-1].where);
			check_routes(b, listener);
		}
	}
	for (uint32_t i = 1; i < b->policies.count; i++) {
		const struct targeted_policy *policy = b->policies.list[i], *before = b->policies.list[i - 1];

		if (span_eq(before->key, policy->key))
			report_twice(b, policy->where, "policy", policy->key, before->where);
	}
}

/* -------------------------------------------------------------------------------- finish */

void build_finish(struct builder *b)
{
	struct snapshot *snapshot = b->snapshot;
	struct decoder *d = &b->decoder;

	sort_binds(b);
	sort(b->policies.list, b->policies.count, sizeof(void *), by_policy_key);
	check_duplicates(b);
	number_backends(b);
	if (!build_array(d, &b->binds, sizeof(struct bind), &snapshot->bind_list) ||
	    !build_array(d, &b->policies, sizeof(struct targeted_policy), &snapshot->policy_list) ||
	    !build_array(d, &b->backends, sizeof(struct backend), &snapshot->backend_list) ||
	    !build_array(d, &b->fetches, sizeof(struct fetch_source), &snapshot->fetch_list) ||
	    !build_array(d, &b->callouts, sizeof(struct callout_target), &snapshot->callout_list))
		return;
	snapshot->callout_count = b->callouts.count;
	snapshot->fetch_count = b->fetches.count;
	snapshot->bind_count = b->binds.count;
	snapshot->policy_count = b->policies.count;
	snapshot->backend_count = b->backends.count;
	for (uint32_t i = 0; i < b->refs.count; i++) {
		struct backend_ref *ref = b->refs.list[i];

		if (ref->backend)
			ref->backend = &snapshot->backend_list[ref->backend->index];
	}
	for (uint32_t i = 0; i < b->mirrors.count; i++) {
		struct mirror_policy *mirror = b->mirrors.list[i];

		if (mirror->backend)
			mirror->backend = &snapshot->backend_list[mirror->backend->index];
	}
}
