/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/map.h"

#include "config/snapshot.h"
#include "policy/health.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/units.h"
#include "user/stream/selection.h"

enum {
	MAP_ROUTES_SEEN = 20000, /* of a larger configuration the rest is not looked at */
	MAP_ENDPOINTS = 16, /* of a backend */
	MAP_BACKENDS = 8, /* of a route */
};

/* A rule of either kind, and where it is. */
struct map_route {
	const struct bind *bind;
	const struct listener *listener;
	const struct route *route; /* NULL: tcp */
	const struct tcp_route *tcp;
};

struct map {
	struct json_writer *w;
	const struct ui_query *query;
	const struct snapshot *snapshot;
	const struct places *places;
	uint64_t now_ms;
	uint32_t rows; /* most of each list */
	struct map_route *route_list; /* owner */
	uint32_t route_count;
	uint64_t route_total;
	struct selection top; /* of struct map_route */
	const struct backend *backend_list[SELECTION_MAX]; /* that these use */
	uint32_t backend_count;
};

static uint64_t now_s(const struct map *map)
{
	return map->now_ms / (NS_PER_S / NS_PER_MS);
}

/* ---- of a route of either kind */

static struct span label_of(const struct map_route *own)
{
	return own->route ? own->route->label : own->tcp->label;
}

static struct span rule_of(const struct map_route *own)
{
	return own->route ? own->route->rule_name : own->tcp->rule_name;
}

static const struct backend_ref *refs_of(const struct map_route *own, uint32_t *ret_count)
{
	*ret_count = own->route ? own->route->backend_count : own->tcp->backend_count;
	return own->route ? own->route->backend_list : own->tcp->backend_list;
}

static const struct place *place_of(const struct map *map, const struct map_route *own)
{
	const struct span labels[PATH_LABEL_COUNT] = {
		[PATH_BIND] = own->bind->key,
		[PATH_LISTENER] = own->listener->listener_name,
		[PATH_ROUTE] = label_of(own),
		[PATH_RULE] = rule_of(own),
	};

	return places_find(map->places, PLACE_ROUTE, labels);
}

static bool uses_backend(const struct map_route *own, struct span backend)
{
	uint32_t count;
	const struct backend_ref *list = refs_of(own, &count);

	for (uint32_t i = 0; i < count; i++) {
		if (span_eq(list[i].backend->name, backend))
			return true;
	}
	return false;
}

static bool is_wanted(const struct map *map, const struct map_route *own)
{
	const struct stream_query *filter = &map->query->streams;

	return (!filter->listener.len || span_eq(filter->listener, own->listener->listener_name)) &&
	       (!filter->route.len || span_eq(filter->route, label_of(own))) &&
	       (!filter->backend.len || uses_backend(own, filter->backend));
}

/* ---- choosing rows */

static void map_consider(struct map *map, const struct map_route *own)
{
	const struct place *place;

	if (!is_wanted(map, own))
		return;
	map->route_total++;
	if (map->route_count == MAP_ROUTES_SEEN)
		return;
	map->route_list[map->route_count] = *own;
	place = place_of(map, own);
	selection_offer(&map->top, place ? place->requests : 0, &map->route_list[map->route_count++]);
}

static void map_choose(struct map *map, const struct snapshot *snapshot)
{
	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		const struct bind *bind = &snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count; l++) {
			const struct listener *listener = &bind->listener_list[l];

			for (uint32_t i = 0; i < listener->route_count; i++)
				map_consider(map, &(struct map_route){ bind, listener,
								       &listener->route_list[i], NULL });
			for (uint32_t i = 0; i < listener->tcp_route_count; i++)
				map_consider(map, &(struct map_route){ bind, listener, NULL,
								       &listener->tcp_route_list[i] });
		}
	}
}

static uint32_t count_routes(const struct snapshot *snapshot)
{
	uint32_t count = 0;

	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count; l++)
			count += snapshot->bind_list[b].listener_list[l].route_count +
				 snapshot->bind_list[b].listener_list[l].tcp_route_count;
	}
	return count;
}

static void map_use_backend(struct map *map, const struct backend *backend)
{
	for (uint32_t i = 0; i < map->backend_count; i++) {
		if (map->backend_list[i] == backend)
			return;
	}
	if (map->backend_count < map->rows)
		map->backend_list[map->backend_count++] = backend;
}

/* ---- writing */

static void write_listener(const struct map *map, const struct bind *bind, const struct listener *listener)
{
	static const char *const protocols[] = {
		[PROTOCOL_HTTP] = "HTTP",
		[PROTOCOL_TCP] = "TCP",
		[PROTOCOL_TLS] = "TLS",
		[PROTOCOL_HTTPS] = "HTTPS",
	};
	const struct span labels[PATH_LABEL_COUNT] = {
		[PATH_BIND] = bind->key, [PATH_LISTENER] = listener->listener_name
	};
	struct json_writer *w = map->w;

	json_open_object(w, NULL);
	json_string(w, "bind", bind->key);
	json_u64(w, "port", bind->port);
	json_string(w, "name", listener->listener_name);
	json_string(w, "host", listener->hostname);
	json_str(w, "protocol", protocols[listener->protocol]);
	place_write(w, places_find(map->places, PLACE_LISTENER, labels), now_s(map));
	json_close(w);
}

static void write_listeners(const struct map *map, const struct snapshot *snapshot)
{
	uint32_t written = 0;

	json_open_array(map->w, "listeners");
	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		const struct bind *bind = &snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count && written < map->rows; l++, written++)
			write_listener(map, bind, &bind->listener_list[l]);
	}
	json_close(map->w);
}

static void write_route(struct map *map, const struct map_route *own)
{
	struct json_writer *w = map->w;
	uint32_t count;
	const struct backend_ref *list = refs_of(own, &count);

	json_open_object(w, NULL);
	json_string(w, "key", own->route ? own->route->key : own->tcp->key);
	json_string(w, "bind", own->bind->key);
	json_string(w, "listener", own->listener->listener_name);
	json_string(w, "name", label_of(own));
	json_string(w, "rule", rule_of(own));
	json_str(w, "kind", own->route ? "http" : "tcp");
	if (own->route && own->route->match_count)
		json_string(w, "path", own->route->match_list[0].path);
	json_open_array(w, "backends");
	for (uint32_t i = 0; i < count && i < MAP_BACKENDS; i++) {
		json_string(w, NULL, list[i].backend->name);
		map_use_backend(map, snapshot_backend(map->snapshot, list[i].backend));
	}
	json_close(w);
	place_write(w, place_of(map, own), now_s(map));
	json_close(w);
}

/* Why it gets no requests although no eviction runs; NULL: it does. */
static const char *out_text(const struct endpoint_health *health)
{
	unsigned int out = atomic_load_explicit(&health->out, memory_order_relaxed);

	if (out & HEALTH_OUT_CHECKS)
		return "unhealthy: its checks fail";
	return out & HEALTH_OUT_EJECTED ? "ejected until a check passes" : NULL;
}

static void write_endpoint(const struct map *map, const struct backend *backend,
			   const struct endpoint *endpoint)
{
	const struct span labels[PATH_LABEL_COUNT] = {
		[PATH_BACKEND] = backend->name, [PATH_ENDPOINT] = endpoint->text
	};
	struct json_writer *w = map->w;
	uint64_t until_ms;

	json_open_object(w, NULL);
	json_string(w, "name", endpoint->text);
	if (endpoint->health) {
		until_ms = atomic_load_explicit(&endpoint->health->evicted_until_ms, memory_order_relaxed);
		json_u64(w, "health", health_score(endpoint->health) / 10000); /* per cent */
		if (until_ms > map->now_ms)
			json_u64(w, "evicted", until_ms - map->now_ms);
		else if (out_text(endpoint->health))
			json_str(w, "out", out_text(endpoint->health));
	}
	place_write(w, places_find(map->places, PLACE_ENDPOINT, labels), now_s(map));
	json_close(w);
}

static void write_backend(const struct map *map, const struct backend *backend)
{
	const struct span labels[PATH_LABEL_COUNT] = { [PATH_BACKEND] = backend->name };
	struct json_writer *w = map->w;

	json_open_object(w, NULL);
	json_string(w, "name", backend->name);
	json_string_or_null(w, "invalid", backend->invalid_reason);
	place_write(w, places_find(map->places, PLACE_BACKEND, labels), now_s(map));
	json_u64(w, "endpointTotal", backend->endpoint_count);
	json_open_array(w, "endpoints");
	for (uint32_t i = 0; i < backend->endpoint_count && i < MAP_ENDPOINTS; i++)
		write_endpoint(map, backend, &backend->endpoint_list[i]);
	json_close(w);
	json_close(w);
}

static void map_write_lists(struct map *map, const struct snapshot *snapshot)
{
	struct json_writer *w = map->w;

	json_open_object(w, "map");
	json_open_object(w, "all");
	place_write(w, places_find(map->places, PLACE_ALL, (struct span[PATH_LABEL_COUNT]){ 0 }), now_s(map));
	json_close(w);
	write_listeners(map, snapshot);
	json_u64(w, "routeTotal", map->route_total);
	json_open_array(w, "routes");
	for (uint32_t i = 0; i < map->top.count; i++)
		write_route(map, map->top.list[i].object);
	json_close(w);
	json_open_array(w, "backends");
	for (uint32_t i = 0; i < map->backend_count; i++)
		write_backend(map, map->backend_list[i]);
	json_close(w);
	json_close(w);
}

void map_write(struct json_writer *w, const struct admin_hooks *hooks, const struct ui_query *query,
	       uint64_t now_ms)
{
	const struct snapshot *snapshot = hooks->snapshot(hooks->context);
	struct map map = { .w = w,
			   .query = query,
			   .snapshot = snapshot,
			   .now_ms = now_ms,
			   .rows = query->limit,
			   .top = { .limit = query->limit } };
	struct places *places;
	uint32_t count;

	if (!snapshot)
		return;
	count = count_routes(snapshot);
	places = places_collect(hooks, now_s(&map));
	map.places = places;
	map.route_list =
		hg_calloc((count < MAP_ROUTES_SEEN ? count : MAP_ROUTES_SEEN) + 1, sizeof(*map.route_list));
	if (places && map.route_list) {
		map_choose(&map, snapshot);
		map_write_lists(&map, snapshot);
	}
	hg_free(map.route_list);
	places_free(places);
}
