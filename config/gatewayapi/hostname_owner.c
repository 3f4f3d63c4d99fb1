/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/hostname_owner.h"

/* "*.a.b" and "a.b" have the same entry. */
static struct span plain_name(struct span name, bool *ret_is_wildcard)
{
	*ret_is_wildcard = span_starts(name, SPAN("*."));
	return *ret_is_wildcard ? span_from(name, 2) : name;
}

/* Changes "a.b.c" to "b.c". False: there is only one label. */
static bool cut_label(struct span *name)
{
	ptrdiff_t dot = span_find(*name, '.');

	if (dot < 0)
		return false;
	*name = span_from(*name, (size_t)dot + 1);
	return true;
}

bool hostname_owners_prepare(struct decoder *d, struct hostname_owners *owners, struct host_names names)
{
	for (uint32_t i = 0; i < names.count; i++) {
		bool is_wildcard;
		struct span name = plain_name(names.list[i], &is_wildcard);
		struct hostname_owner *owner;

		if (name_map_get(&owners->names, name))
			continue;
		owner = decode_take(d, 1, sizeof(*owner));
		if (!owner || !name_map_put(d, &owners->names, name, owner))
			return false;
	}
	return true;
}

/* There are entries for all names of routes; a parent name without an entry is free. */
static const struct manifest_object *name_taken(const struct hostname_owners *owners, struct span host,
						unsigned other)
{
	bool is_wildcard;
	struct span name = plain_name(host, &is_wildcard);
	const struct hostname_owner *owner = name_map_get(&owners->names, name);

	if (is_wildcard && owner->wildcard[other])
		return owner->wildcard[other];
	if (is_wildcard && owner->below[other])
		return owner->below[other];
	if (!is_wildcard && owner->name[other])
		return owner->name[other];
	while (cut_label(&name)) {
		owner = name_map_get(&owners->names, name);
		if (owner && owner->wildcard[other])
			return owner->wildcard[other];
	}
	return NULL;
}

static void note(const struct manifest_object **place, const struct manifest_object *route)
{
	if (!*place)
		*place = route;
}

static void name_take(struct hostname_owners *owners, struct span host, unsigned own,
		      const struct manifest_object *route)
{
	bool is_wildcard;
	struct span name = plain_name(host, &is_wildcard);
	struct hostname_owner *owner = name_map_get(&owners->names, name);

	note(is_wildcard ? &owner->wildcard[own] : &owner->name[own], route);
	while (cut_label(&name)) {
		owner = name_map_get(&owners->names, name);
		if (owner)
			note(&owner->below[own], route);
	}
}

const struct manifest_object *hostname_owners_take(struct hostname_owners *owners, struct host_names names,
						   const struct manifest_object *route)
{
	unsigned own = route->kind == MANIFEST_GRPC_ROUTE, other = !own;
	const struct manifest_object *holder = names.count ? owners->every[other] : owners->some[other];

	for (uint32_t i = 0; !holder && i < names.count; i++)
		holder = name_taken(owners, names.list[i], other);
	if (holder)
		return holder;
	for (uint32_t i = 0; i < names.count; i++)
		name_take(owners, names.list[i], own, route);
	if (!names.count)
		note(&owners->every[own], route);
	note(&owners->some[own], route);
	return NULL;
}

void hostname_owners_done(struct hostname_owners *owners)
{
	name_map_done(&owners->names);
}
