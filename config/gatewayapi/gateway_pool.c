/* SPDX-License-Identifier: Apache-2.0 */
#include "config/gatewayapi/gateway_pool.h"

#include <stdlib.h>

#include "user/base/check.h"

/* A Gateway that does not name its own address. */
struct pool_member {
	const struct manifest_object *gateway;
	struct address address; /* len == 0: none */
};

struct assignment {
	struct manifests *m;
	const struct address_pool *pool;
	struct pointer_list members; /* struct pool_member, the oldest first */
	struct name_map held; /* addresses that members have */
	struct name_map named; /* addresses in specs */
	struct name_map
		before; /* "namespace/name" of a Gateway -> its struct status_object of the last load */
};

static struct span key_of(const struct address *address)
{
	return span_of(&address->any, address->len);
}

static struct span text_of(const struct yaml_node *map, const char *key)
{
	const struct yaml_node *node = map->kind == YAML_MAP ? decode_get(map, key) : NULL;

	return node && node->kind == YAML_SCALAR ? node->text : (struct span){ 0 };
}

/* `addresses` of the spec or the status; NULL: none that could be read. */
static const struct yaml_node *addresses_of(const struct yaml_node *part)
{
	const struct yaml_node *list = part && part->kind == YAML_MAP ? decode_get(part, "addresses") : NULL;

	return list && list->kind == YAML_LIST ? list : NULL;
}

static bool parse(struct span text, struct address *ret)
{
	if (address_parse_ip(text, 0, ret) < 0)
		return false;
	address_unmap(ret);
	return true;
}

/* ------------------------------------------------------------------------------------ who takes part */

static bool remember(struct assignment *a, struct name_map *names, const struct address *address)
{
	struct address *kept;

	if (name_map_get(names, key_of(address)))
		return true;
	kept = decode_take(a->m->decoder, 1, sizeof(*kept));
	if (!kept)
		return false;
	*kept = *address;
	return name_map_put(a->m->decoder, names, key_of(kept), kept);
}

/* An address without a value asks for any of its type. */
static void add_gateway(struct assignment *a, const struct manifest_object *gateway)
{
	const struct yaml_node *list = addresses_of(gateway->spec);
	struct pool_member *member;
	struct address address;
	bool names_own = false;

	if (list) {
		yaml_each(node, list) {
			struct span value = text_of(node, "value");

			names_own |= value.len > 0;
			if (parse(value, &address) && !remember(a, &a->named, &address))
				return;
		}
	}
	if (names_own)
		return;
	member = decode_take(a->m->decoder, 1, sizeof(*member));
	if (!member || !build_push(a->m->decoder, &a->members, member))
		return;
	member->gateway = gateway;
}

static int by_age(const void *left, const void *right)
{
	const struct pool_member *a = *(struct pool_member *const *)left,
				 *b = *(struct pool_member *const *)right;

	return manifest_order(a->gateway, b->gateway);
}

static void find_members(struct assignment *a)
{
	const struct pointer_list *gateways = &a->m->objects[MANIFEST_GATEWAY];

	for (uint32_t i = 0; i < gateways->count; i++) {
		const struct manifest_object *gateway = gateways->list[i];

		if (!gateway->is_foreign)
			add_gateway(a, gateway);
	}
	if (a->members.count > 1)
		qsort(a->members.list, a->members.count, sizeof(*a->members.list), by_age);
}

static struct span name_of(struct decoder *d, struct span namespace, struct span name)
{
	return decode_text(d, "%.*s/%.*s", SPAN_FMT(namespace), SPAN_FMT(name));
}

static void find_before(struct assignment *a)
{
	const struct snapshot *previous = a->m->builder->previous;
	struct decoder *d = a->m->decoder;

	for (const struct status_object *one = previous ? previous->status_list : NULL; one;
	     one = one->next) {
		struct span name;

		if (one->form != STATUS_GATEWAY || !one->address_count)
			continue;
		name = name_of(d, one->namespace, one->name);
		if (!name.data || name_map_get(&a->before, name))
			continue;
		if (!name_map_put(d, &a->before, name, (void *)one))
			return;
	}
}

/* ------------------------------------------------------------------------------------ what they get */

static void take(struct assignment *a, struct pool_member *member, const struct address *address)
{
	if (member->address.len || !address_pool_has(a->pool, address) ||
	    name_map_get(&a->held, key_of(address)))
		return;
	member->address = *address;
	name_map_put(a->m->decoder, &a->held, key_of(&member->address), member);
}

static void keep_stored(struct assignment *a, struct pool_member *member)
{
	const struct yaml_node *list = addresses_of(decode_get(member->gateway->root, "status"));
	struct address address;

	if (!list)
		return;
	yaml_each(node, list)
		if (parse(text_of(node, "value"), &address))
			take(a, member, &address);
}

static void keep_before(struct assignment *a, struct pool_member *member)
{
	struct span name = name_of(a->m->decoder, member->gateway->namespace, member->gateway->name);
	const struct status_object *before = name.data ? name_map_get(&a->before, name) : NULL;
	struct address address;

	if (before && parse(before->address_list[0].value, &address))
		take(a, member, &address);
}

static void choose_new(struct assignment *a)
{
	struct address_pool_walk walk = { 0 };
	struct address address;

	for (uint32_t i = 0; i < a->members.count; i++) {
		struct pool_member *member = a->members.list[i];

		while (!member->address.len && address_pool_next(a->pool, &walk, &address))
			if (!name_map_get(&a->named, key_of(&address)))
				take(a, member, &address);
	}
}

void gateway_pool_assign(struct manifests *m)
{
	struct assignment a = { .m = m, .pool = m->builder->setting->pool };

	if (!a.pool)
		return;
	find_members(&a);
	find_before(&a);
	for (uint32_t i = 0; i < a.members.count; i++)
		keep_stored(&a, a.members.list[i]);
	for (uint32_t i = 0; i < a.members.count; i++)
		keep_before(&a, a.members.list[i]);
	choose_new(&a);
	for (uint32_t i = 0; i < a.members.count; i++) {
		struct pool_member *member = a.members.list[i];
		struct span name = name_of(m->decoder, member->gateway->namespace, member->gateway->name);

		if (!name.data || name_map_get(&m->pool_members, name) ||
		    !name_map_put(m->decoder, &m->pool_members, name, member))
			break;
	}
	build_list_done(&a.members);
	name_map_done(&a.held);
	name_map_done(&a.named);
	name_map_done(&a.before);
}

/* ------------------------------------------------------------------------------------ the result */

static const struct pool_member *member_of(const struct manifests *m, const struct manifest_object *gateway)
{
	struct span name = name_of(m->decoder, gateway->namespace, gateway->name);

	return name.data ? name_map_get(&m->pool_members, name) : NULL;
}

const struct address *gateway_pool_address(const struct manifests *m, const struct manifest_object *gateway)
{
	const struct pool_member *member = member_of(m, gateway);

	return member && member->address.len ? &member->address : NULL;
}

bool gateway_pool_is_exhausted(const struct manifests *m, const struct manifest_object *gateway)
{
	const struct pool_member *member = member_of(m, gateway);

	return member && !member->address.len;
}

void gateway_pool_done(struct manifests *m)
{
	name_map_done(&m->pool_members);
}
