/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/claim.h"

/* "*.a.b" and "a.b" belong to the same entry. */
static struct span plain_name(struct span name, bool *ret_is_wildcard)
{
	*ret_is_wildcard = span_starts(name, SPAN("*."));
	return *ret_is_wildcard ? span_from(name, 2) : name;
}

/* "b.c" of "a.b.c". False: there is only one label. */
static bool cut_label(struct span *name)
{
	ptrdiff_t dot = span_find(*name, '.');

	if (dot < 0)
		return false;
	*name = span_from(*name, (size_t)dot + 1);
	return true;
}

bool host_claims_prepare(struct decoder *d, struct host_claims *claims, struct host_names names)
{
	for (uint32_t i = 0; i < names.count; i++) {
		bool is_wildcard;
		struct span name = plain_name(names.list[i], &is_wildcard);
		struct host_claim *claim;

		if (name_map_get(&claims->names, name))
			continue;
		claim = decode_take(d, 1, sizeof(*claim));
		if (!claim || !name_map_put(d, &claims->names, name, claim))
			return false;
	}
	return true;
}

/* Entries exist for all names that any route has; a parent without an entry is nobody's. */
static const struct manifest_object *name_taken(const struct host_claims *claims, struct span host,
						unsigned other)
{
	bool is_wildcard;
	struct span name = plain_name(host, &is_wildcard);
	const struct host_claim *claim = name_map_get(&claims->names, name);

	if (is_wildcard && claim->wildcard[other])
		return claim->wildcard[other];
	if (is_wildcard && claim->below[other])
		return claim->below[other];
	if (!is_wildcard && claim->name[other])
		return claim->name[other];
	while (cut_label(&name)) {
		claim = name_map_get(&claims->names, name);
		if (claim && claim->wildcard[other])
			return claim->wildcard[other];
	}
	return NULL;
}

static void note(const struct manifest_object **place, const struct manifest_object *route)
{
	if (!*place)
		*place = route;
}

static void name_take(struct host_claims *claims, struct span host, unsigned own,
		      const struct manifest_object *route)
{
	bool is_wildcard;
	struct span name = plain_name(host, &is_wildcard);
	struct host_claim *claim = name_map_get(&claims->names, name);

	note(is_wildcard ? &claim->wildcard[own] : &claim->name[own], route);
	while (cut_label(&name)) {
		claim = name_map_get(&claims->names, name);
		if (claim)
			note(&claim->below[own], route);
	}
}

const struct manifest_object *host_claims_take(struct host_claims *claims, struct host_names names,
					       const struct manifest_object *route)
{
	unsigned own = route->kind == MANIFEST_GRPC_ROUTE, other = !own;
	const struct manifest_object *holder = names.count ? claims->every[other] : claims->some[other];

	for (uint32_t i = 0; !holder && i < names.count; i++)
		holder = name_taken(claims, names.list[i], other);
	if (holder)
		return holder;
	for (uint32_t i = 0; i < names.count; i++)
		name_take(claims, names.list[i], own, route);
	if (!names.count)
		note(&claims->every[own], route);
	note(&claims->some[own], route);
	return NULL;
}

void host_claims_done(struct host_claims *claims)
{
	name_map_done(&claims->names);
}
