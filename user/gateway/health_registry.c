/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/health_registry.h"

#include <errno.h>

#include "config/snapshot.h"
#include "user/base/hash.h"
#include "user/base/mem.h"

struct registry_entry {
	struct endpoint_health health; /* first: references count here */
	struct list node;
	uint64_t hash;
};

static void entry_unref(struct endpoint_health *health)
{
	if (atomic_fetch_sub_explicit(&health->refs, 1, memory_order_acq_rel) == 1)
		hg_free(container_of(health, struct registry_entry, health));
}

static void entry_drop(struct health_registry *registry, struct registry_entry *entry)
{
	list_remove(&entry->node);
	registry->count--;
	entry_unref(&entry->health);
}

void health_registry_init(struct health_registry *registry)
{
	registry->count = 0;
	for (unsigned int i = 0; i < HEALTH_REGISTRY_BUCKETS; i++)
		list_init(&registry->buckets[i]);
}

/* only_unused: only records that no snapshot references. */
static void registry_clear(struct health_registry *registry, bool only_unused)
{
	for (unsigned int i = 0; i < HEALTH_REGISTRY_BUCKETS; i++) {
		list_each(node, next, &registry->buckets[i]) {
			struct registry_entry *entry = list_entry(node, struct registry_entry, node);

			if (!only_unused ||
			    atomic_load_explicit(&entry->health.refs, memory_order_acquire) == 1)
				entry_drop(registry, entry);
		}
	}
}

void health_registry_done(struct health_registry *registry)
{
	registry_clear(registry, false);
}

/* Returns the record with one more reference, or NULL without memory. */
static struct endpoint_health *registry_take(struct health_registry *registry, struct span text)
{
	uint64_t hash = hash_mix(hash_bytes(text), 0);
	struct list *bucket = &registry->buckets[hash % HEALTH_REGISTRY_BUCKETS];
	struct registry_entry *entry;

	list_each(node, next, bucket) {
		entry = list_entry(node, struct registry_entry, node);
		if (entry->hash == hash && span_eq(entry->health.text, text)) {
			atomic_fetch_add_explicit(&entry->health.refs, 1, memory_order_relaxed);
			return &entry->health;
		}
	}
	entry = hg_calloc(1, sizeof(*entry) + text.len);
	if (!entry)
		return NULL;
	memcpy(entry + 1, text.data, text.len);
	entry->health.text = span_of(entry + 1, text.len);
	atomic_init(&entry->health.refs, 2);
	entry->hash = hash;
	list_add_tail(bucket, &entry->node);
	registry->count++;
	return &entry->health;
}

static void release(void *object)
{
	struct snapshot *snapshot = object;

	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		struct backend *backend = &snapshot->backend_list[b];

		for (uint32_t i = 0; i < backend->endpoint_count; i++) {
			if (backend->endpoint_list[i].health)
				entry_unref(backend->endpoint_list[i].health);
			backend->endpoint_list[i].health = NULL;
		}
	}
}

static int attach_refs(struct health_registry *registry, const struct backend_ref *list, uint32_t count)
{
	for (uint32_t r = 0; r < count; r++) {
		const struct backend *backend = list[r].backend;

		for (uint32_t i = 0; list[r].health && i < backend->endpoint_count; i++) {
			struct endpoint *endpoint = &backend->endpoint_list[i];

			if (!endpoint->health)
				endpoint->health = registry_take(registry, endpoint->text);
			if (!endpoint->health)
				return -ENOMEM;
		}
	}
	return 0;
}

static int attach_listener(struct health_registry *registry, const struct listener *listener)
{
	int error = 0;

	for (uint32_t i = 0; i < listener->route_count && !error; i++)
		error = attach_refs(registry, listener->route_list[i].backend_list,
				    listener->route_list[i].backend_count);
	for (uint32_t i = 0; i < listener->tcp_route_count && !error; i++)
		error = attach_refs(registry, listener->tcp_route_list[i].backend_list,
				    listener->tcp_route_list[i].backend_count);
	return error;
}

int health_registry_attach(struct health_registry *registry, struct snapshot *snapshot)
{
	int error = snapshot_add_destructor(snapshot, release, snapshot);

	for (uint32_t b = 0; b < snapshot->bind_count && !error; b++) {
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count && !error; l++)
			error = attach_listener(registry, &snapshot->bind_list[b].listener_list[l]);
	}
	for (uint32_t i = 0; i < snapshot->callout_count && !error; i++)
		error = attach_refs(registry, snapshot->callout_list[i].ref, 1);
	registry_clear(registry, true);
	return error;
}
