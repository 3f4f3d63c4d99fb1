/* SPDX-License-Identifier: Apache-2.0 */
#include "user/gateway/health_registry.h"

#include <errno.h>

#include "config/snapshot.h"
#include "policy/health_group.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"

enum { HASH_UNWATCHED = 2 }; /* no result of check_hash_of() */

struct registry_entry {
	struct endpoint_health health; /* first: references count here */
	struct list node;
	uint64_t hash; /* of the text and the check */
	uint64_t check_hash;
	bool is_new; /* made for the snapshot that is being attached */
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
static struct endpoint_health *registry_take(struct health_registry *registry, struct span text,
					     uint64_t check_hash)
{
	uint64_t hash = hash_mix(hash_bytes(text), check_hash);
	struct list *bucket = &registry->buckets[hash % HEALTH_REGISTRY_BUCKETS];
	struct registry_entry *entry;

	list_each(node, next, bucket) {
		entry = list_entry(node, struct registry_entry, node);
		if (entry->hash == hash && entry->check_hash == check_hash &&
		    span_eq(entry->health.text, text)) {
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
	entry->check_hash = check_hash;
	entry->is_new = true;
	list_add_tail(bucket, &entry->node);
	registry->count++;
	return &entry->health;
}

static void release_endpoints(struct endpoint *list, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (list[i].health)
			entry_unref(list[i].health);
		list[i].health = NULL;
	}
}

static void release(void *object)
{
	struct snapshot *snapshot = object;

	for (uint32_t b = 0; b < snapshot->backend_count; b++)
		release_endpoints(snapshot->backend_list[b].endpoint_list,
				  snapshot->backend_list[b].endpoint_count);
}

static void release_block(struct endpoint_block *block)
{
	release_endpoints(block->list, block->count);
}

static uint64_t mix_codes(uint64_t hash, const uint16_t *list, uint32_t count)
{
	hash = hash_mix(hash, count);
	return hash_mix(hash, hash_bytes(span_of(list, count * sizeof(*list))));
}

static uint64_t http_hash(const struct http_check *http)
{
	uint64_t hash = hash_mix(hash_bytes(http->hostname), hash_bytes(http->path));

	hash = hash_mix(hash, hash_bytes(http->method));
	hash = mix_codes(hash, http->expected_list, http->expected_count);
	hash = mix_codes(hash, http->retriable_list, http->retriable_count);
	hash = hash_mix(hash, hash_bytes(http->expected_response));
	return hash_mix(hash, hash_bytes(http->request_body));
}

/*
 * The result of a check depends on all of this; not on how often it is made. 0: no active checks; otherwise
 * an odd number.
 */
static uint64_t check_hash_of(const struct backend_ref *ref)
{
	const struct health_check *check = &ref->health->active;
	uint64_t hash;

	if (!ref->health->has_active)
		return 0;
	hash = hash_mix(check->type, check->port);
	hash = hash_mix(hash, check->type == HEALTH_CHECK_HTTP ? http_hash(&check->http) : 0);
	hash = hash_mix(hash, hash_bytes(check->tcp.send));
	hash = hash_mix(hash, hash_bytes(check->tcp.receive));
	hash = hash_mix(hash, hash_bytes(check->grpc_service));
	hash = hash_mix(hash, hash_bytes(ref->authority));
	hash = hash_mix(hash, ref->http_version);
	hash = hash_mix(hash, ref->proxy ? ref->proxy->version : 0);
	return hash_mix(hash, ref->tls ? ref->tls->settings.hash + 1 : 0) | 1;
}

/* The first reference with a health policy decides. */
static int attach_group(struct snapshot *snapshot, const struct backend_ref *ref)
{
	/* The list of the snapshot is not const while it is attached. */
	struct backend *backend = &snapshot->backend_list[ref->backend->index];
	struct health_group *group;

	if (!ref->health || backend->health_group)
		return 0;
	group = arena_take(snapshot->arena, sizeof(*group));
	if (!group)
		return -ENOMEM;
	health_group_init(group, ref);
	backend->health_group = group;
	return 0;
}

/*
 * group: NULL: no health policy, only slow start. Its records are never those of a policy: nobody would end
 * an ejection.
 */
static int attach_endpoints(struct health_registry *registry, struct endpoint *list, uint32_t count,
			    const struct health_group *group)
{
	uint64_t check_hash = group ? check_hash_of(group->ref) : HASH_UNWATCHED;

	for (uint32_t i = 0; i < count; i++) {
		if (!list[i].health)
			list[i].health = registry_take(registry, list[i].text, check_hash);
		if (!list[i].health)
			return -ENOMEM;
	}
	return 0;
}

static int attach_backend(struct health_registry *registry, struct backend *backend)
{
	if (!backend->health_group && !backend->slow_start_ms)
		return 0;
	return attach_endpoints(registry, backend->endpoint_list, backend->endpoint_count,
				backend->health_group);
}

/* A copy of a snapshot: only what it does not share with the one before needs records. */
static int attach_blocks(struct health_registry *registry, struct snapshot *copy)
{
	int error = 0;

	for (uint32_t i = 0; i < copy->backend_count && !error; i++) {
		struct endpoint_block *block = copy->block_list[i];
		const struct health_group *group = copy->backend_list[i].health_group;

		if (!block || block->release || !group)
			continue;
		block->release = release_block;
		error = attach_endpoints(registry, block->list, block->count, group);
	}
	return error;
}

static int attach_groups(struct snapshot *snapshot, const struct backend_ref *list, uint32_t count)
{
	int error = 0;

	for (uint32_t i = 0; i < count && !error; i++)
		error = attach_group(snapshot, &list[i]);
	return error;
}

static int attach_listener(struct snapshot *snapshot, const struct listener *listener)
{
	int error = 0;

	for (uint32_t i = 0; i < listener->route_count && !error; i++)
		error = attach_groups(snapshot, listener->route_list[i].backend_list,
				      listener->route_list[i].backend_count);
	for (uint32_t i = 0; i < listener->tcp_route_count && !error; i++)
		error = attach_groups(snapshot, listener->tcp_route_list[i].backend_list,
				      listener->tcp_route_list[i].backend_count);
	return error;
}

static bool is_new(const struct endpoint *endpoint)
{
	return endpoint->health && container_of(endpoint->health, struct registry_entry, health)->is_new;
}

static void start_slowly(const struct backend *backend, uint64_t now_ms)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < backend->endpoint_count; i++)
		count += is_new(&backend->endpoint_list[i]);
	for (uint32_t i = 0; count < backend->endpoint_count && i < backend->endpoint_count; i++)
		if (is_new(&backend->endpoint_list[i]))
			atomic_store_explicit(&backend->endpoint_list[i].health->since_ms, now_ms,
					      memory_order_relaxed);
}

static void forget_new(struct health_registry *registry)
{
	for (unsigned int i = 0; i < HEALTH_REGISTRY_BUCKETS; i++) {
		list_each(node, next, &registry->buckets[i])
			list_entry(node, struct registry_entry, node)->is_new = false;
	}
}

static int attach_all(struct health_registry *registry, struct snapshot *snapshot)
{
	int error = snapshot_add_destructor(snapshot, release, snapshot);

	for (uint32_t b = 0; b < snapshot->bind_count && !error; b++) {
		for (uint32_t l = 0; l < snapshot->bind_list[b].listener_count && !error; l++)
			error = attach_listener(snapshot, &snapshot->bind_list[b].listener_list[l]);
	}
	for (uint32_t i = 0; i < snapshot->callout_count && !error; i++)
		error = attach_group(snapshot, snapshot->callout_list[i].ref);
	/* After all groups: a reference with slow start only may come before one with a policy. */
	for (uint32_t b = 0; b < snapshot->backend_count && !error; b++)
		error = attach_backend(registry, &snapshot->backend_list[b]);
	return error;
}

int health_registry_attach(struct health_registry *registry, struct snapshot *snapshot, uint64_t now_ms)
{
	int error = snapshot->base ? attach_blocks(registry, snapshot) : attach_all(registry, snapshot);

	for (uint32_t b = 0; b < snapshot->backend_count && !error; b++)
		start_slowly(&snapshot->backend_list[b], now_ms);
	forget_new(registry);
	registry_clear(registry, true);
	return error;
}

/* ------------------------------------------------------------------------------------ an upgrade */

/*
 * Begins what is saved. Another version means other things; a newer program may append members to a record,
 * which an older one skips.
 */
struct saved_head {
	uint32_t version;
	uint32_t record_bytes;
};

enum { SAVED_VERSION = 1 };

/* Times are of CLOCK_MONOTONIC, which all programs of a host share. */
struct saved_health {
	uint64_t hash; /* of struct registry_entry */
	uint64_t evicted_until_ms;
	uint64_t eviction_ms;
	uint64_t back_ms;
	uint64_t since_ms;
	uint32_t evictions;
	uint32_t out; /* of enum health_out */
};

static struct saved_health saved_of(const struct registry_entry *entry)
{
	const struct endpoint_health *health = &entry->health;

	return (struct saved_health){
		.hash = entry->hash,
		.evicted_until_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed),
		.eviction_ms = atomic_load_explicit(&health->eviction_ms, memory_order_relaxed),
		.back_ms = atomic_load_explicit(&health->back_ms, memory_order_relaxed),
		.since_ms = atomic_load_explicit(&health->since_ms, memory_order_relaxed),
		.evictions = atomic_load_explicit(&health->evictions, memory_order_relaxed),
		.out = atomic_load_explicit(&health->out, memory_order_relaxed),
	};
}

static int save_bucket(const struct list *bucket, struct buf *out)
{
	int error = 0;

	list_each(node, next, bucket) {
		struct saved_health saved = saved_of(list_entry(node, struct registry_entry, node));

		if (saved.out || saved.evicted_until_ms || saved.back_ms || saved.since_ms)
			error = buf_append(out, span_of(&saved, sizeof(saved)),
					   LIMIT_HEALTH_HANDED_OVER_BYTES);
		if (error)
			break;
	}
	return error;
}

int health_registry_save(const struct health_registry *registry, struct buf *out)
{
	const struct saved_head head = { SAVED_VERSION, sizeof(struct saved_health) };
	int error = buf_append(out, span_of(&head, sizeof(head)), LIMIT_HEALTH_HANDED_OVER_BYTES);

	for (unsigned int i = 0; i < HEALTH_REGISTRY_BUCKETS && !error; i++)
		error = save_bucket(&registry->buckets[i], out);
	return error == -ENOBUFS ? 0 : error;
}

static void restore_entry(struct registry_entry *entry, const struct saved_health *saved)
{
	struct endpoint_health *health = &entry->health;

	atomic_store_explicit(&health->evicted_until_ms, saved->evicted_until_ms, memory_order_relaxed);
	atomic_store_explicit(&health->eviction_ms, saved->eviction_ms, memory_order_relaxed);
	atomic_store_explicit(&health->back_ms, saved->back_ms, memory_order_relaxed);
	atomic_store_explicit(&health->since_ms, saved->since_ms, memory_order_relaxed);
	atomic_store_explicit(&health->evictions, saved->evictions, memory_order_relaxed);
	atomic_store_explicit(&health->out, saved->out & (HEALTH_OUT_CHECKS | HEALTH_OUT_EJECTED),
			      memory_order_relaxed);
}

static bool restore_one(struct health_registry *registry, const struct saved_health *saved)
{
	list_each(node, next, &registry->buckets[saved->hash % HEALTH_REGISTRY_BUCKETS]) {
		struct registry_entry *entry = list_entry(node, struct registry_entry, node);

		if (entry->hash == saved->hash) {
			restore_entry(entry, saved);
			return true;
		}
	}
	return false;
}

uint32_t health_registry_restore(struct health_registry *registry, struct span saved)
{
	struct saved_head head;
	uint32_t count = 0;

	if (saved.len < sizeof(head))
		return 0;
	memcpy(&head, saved.data, sizeof(head));
	if (head.version != SAVED_VERSION || head.record_bytes < sizeof(struct saved_health))
		return 0;
	for (saved = span_from(saved, sizeof(head)); saved.len >= head.record_bytes;
	     saved = span_from(saved, head.record_bytes)) {
		struct saved_health one;

		memcpy(&one, saved.data, sizeof(one));
		count += restore_one(registry, &one);
	}
	return count;
}
