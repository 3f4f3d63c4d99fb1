/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/rate_registry.h"

#include <errno.h>

#include "policy/guard/guard.h"
#include "user/base/hash.h"
#include "user/base/mem.h"
#include "user/base/text.h"

struct rate_entry {
	struct list node;
	atomic_uint refs;
	uint64_t hash;
	struct rate_table *table; /* owner */
	struct span identity; /* behind it */
};

/* The references of a snapshot. */
struct attached {
	struct rate_entry **list; /* owner */
	uint32_t count, capacity;
};

static void entry_unref(struct rate_entry *entry)
{
	if (atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) != 1)
		return;
	rate_table_free(entry->table);
	hg_free(entry);
}

void rate_registry_init(struct rate_registry *registry, const struct siphash_key *secret)
{
	registry->count = 0;
	registry->secret = secret;
	for (unsigned int i = 0; i < RATE_REGISTRY_BUCKETS; i++)
		list_init(&registry->buckets[i]);
}

/* only_unused: only tables that no snapshot references. */
static void registry_clear(struct rate_registry *registry, bool only_unused)
{
	for (unsigned int i = 0; i < RATE_REGISTRY_BUCKETS; i++) {
		list_each(node, next, &registry->buckets[i]) {
			struct rate_entry *entry = list_entry(node, struct rate_entry, node);

			if (only_unused && atomic_load_explicit(&entry->refs, memory_order_acquire) > 1)
				continue;
			list_remove(&entry->node);
			registry->count--;
			entry_unref(entry);
		}
	}
}

void rate_registry_done(struct rate_registry *registry)
{
	registry_clear(registry, false);
}

uint64_t rate_registry_count(const struct rate_registry *registry)
{
	uint64_t count = 0;

	for (unsigned int i = 0; i < RATE_REGISTRY_BUCKETS; i++) {
		list_each(node, next, &registry->buckets[i])
			count += rate_table_count(list_entry(node, struct rate_entry, node)->table);
	}
	return count;
}

static struct rate_entry *entry_create(const struct rate_registry *registry, const struct rate_rule *rule,
				       struct span identity)
{
	struct rate_entry *entry = hg_calloc(1, sizeof(*entry) + identity.len);

	if (!entry)
		return NULL;
	entry->table = rate_table_create(&rule->shape, registry->secret);
	if (!entry->table) {
		hg_free(entry);
		return NULL;
	}
	memcpy(entry + 1, identity.data, identity.len);
	entry->identity = span_of(entry + 1, identity.len);
	atomic_init(&entry->refs, 1);
	return entry;
}

/* Returns the entry with one more reference, or NULL without memory. */
static struct rate_entry *registry_take(struct rate_registry *registry, const struct rate_rule *rule,
					struct span identity)
{
	uint64_t hash = hash_mix(hash_bytes(identity), 0);
	struct list *bucket = &registry->buckets[hash % RATE_REGISTRY_BUCKETS];
	struct rate_entry *entry;

	list_each(node, next, bucket) {
		entry = list_entry(node, struct rate_entry, node);
		if (entry->hash == hash && span_eq(entry->identity, identity)) {
			atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
			return entry;
		}
	}
	entry = entry_create(registry, rule, identity);
	if (!entry)
		return NULL;
	atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
	entry->hash = hash;
	list_add_tail(bucket, &entry->node);
	registry->count++;
	return entry;
}

static bool is_same_rule(const struct rate_rule *a, const struct rate_rule *b)
{
	return a->shape.most == b->shape.most && a->shape.fill == b->shape.fill &&
	       a->shape.interval_ns == b->shape.interval_ns && span_eq(a->key_text, b->key_text);
}

/* The policy, the members of the rule, and how many rules before it in the policy have the same ones. */
static void identity_make(const struct guard_use *use, const struct route *route, uint32_t index,
			  struct text *out)
{
	const struct rate_rule *rules = ((const struct local_rate_limit *)use->object)->rule_list;
	const struct rate_rule *rule = &rules[index];
	unsigned int equal = 0;

	for (uint32_t i = 0; i < index; i++)
		equal += is_same_rule(&rules[i], rule);
	if (use->rule.len)
		text_add(out, use->rule);
	else
		text_fmt(out, "%.*s %.*s %.*s", SPAN_FMT(route->kind), SPAN_FMT(route->label),
			 SPAN_FMT(route->rule_name));
	text_fmt(out, "\n%u %llu %llu %llu ", equal, (unsigned long long)rule->shape.most,
		 (unsigned long long)rule->shape.fill, (unsigned long long)rule->shape.interval_ns);
	text_add(out, rule->key_text);
}

static int attached_add(struct attached *attached, struct rate_entry *entry)
{
	if (attached->count == attached->capacity) {
		uint32_t capacity = attached->capacity ? 2 * attached->capacity : 16;
		struct rate_entry **list = hg_realloc(attached->list, capacity * sizeof(*list));

		if (!list)
			return -ENOMEM;
		attached->list = list;
		attached->capacity = capacity;
	}
	attached->list[attached->count++] = entry;
	return 0;
}

static int attach_rule(struct rate_registry *registry, struct attached *attached, const struct guard_use *use,
		       const struct route *route, uint32_t index, struct rate_table **ret_table)
{
	const struct local_rate_limit *policy = use->object;
	struct rate_entry *entry = NULL;
	struct text identity;

	text_init(&identity);
	identity_make(use, route, index, &identity);
	if (!text_error(&identity))
		entry = registry_take(registry, &policy->rule_list[index], text_span(&identity));
	text_done(&identity);
	if (!entry)
		return -ENOMEM;
	*ret_table = entry->table;
	if (attached_add(attached, entry) == 0)
		return 0;
	entry_unref(entry);
	return -ENOMEM;
}

static int attach_use(struct rate_registry *registry, struct attached *attached, struct arena *arena,
		      struct guard_use *use, const struct route *route)
{
	const struct local_rate_limit *policy = use->object;
	struct rate_table **tables = arena_take(arena, policy->rule_count * sizeof(*tables));
	int error = tables ? 0 : -ENOMEM;

	for (uint32_t i = 0; i < policy->rule_count && !error; i++)
		error = attach_rule(registry, attached, use, route, i, &tables[i]);
	if (!error)
		use->state = tables;
	return error;
}

static int attach_route(struct rate_registry *registry, struct attached *attached, struct arena *arena,
			const struct route *route)
{
	const struct guard_list *guards = &route->effective.guards;
	int error = 0;

	for (uint32_t i = 0; i < guards->count && !error; i++) {
		if (guards->list[i].guard->kind == POLICY_LOCAL_RATE_LIMIT)
			error = attach_use(registry, attached, arena, &guards->list[i], route);
	}
	return error;
}

static int attach_listener(struct rate_registry *registry, struct attached *attached, struct arena *arena,
			   const struct listener *listener)
{
	int error = 0;

	for (uint32_t i = 0; i < listener->route_count && !error; i++)
		error = attach_route(registry, attached, arena, &listener->route_list[i]);
	return error;
}

static void release(void *object)
{
	struct attached *attached = object;

	for (uint32_t i = 0; i < attached->count; i++)
		entry_unref(attached->list[i]);
	hg_free(attached->list);
	hg_free(attached);
}

int rate_registry_attach(struct rate_registry *registry, struct snapshot *snapshot)
{
	struct attached *attached = hg_calloc(1, sizeof(*attached));
	int error = 0;

	if (!attached)
		return -ENOMEM;
	if (snapshot_add_destructor(snapshot, release, attached) < 0) {
		hg_free(attached);
		return -ENOMEM;
	}
	for (uint32_t b = 0; b < snapshot->bind_count; b++) {
		const struct bind *bind = &snapshot->bind_list[b];

		for (uint32_t l = 0; l < bind->listener_count && !error; l++)
			error = attach_listener(registry, attached, snapshot->arena, &bind->listener_list[l]);
	}
	registry_clear(registry, true);
	return error;
}
