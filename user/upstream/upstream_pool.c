/* SPDX-License-Identifier: Apache-2.0 */
#include "user/upstream/upstream_pool.h"

#include "policy/health_group.h"
#include "user/base/hash.h"
#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/random.h"
#include "user/base/units.h"
#include "user/net/proxy_header.h"
#include "user/relay/conn_bypass.h"
#include "user/upstream/upstream.h"
#include "user/upstream/upstream_h2.h"

void upstream_pool_init(struct upstream_pool *pool)
{
	for (unsigned int i = 0; i < UPSTREAM_POOL_BUCKETS; i++)
		list_init(&pool->buckets[i]);
	list_init(&pool->remembered);
	list_init(&pool->discarding);
}

struct upstream_wants upstream_wants_of(const struct backend_ref *ref, const struct static_config *config)
{
	return (struct upstream_wants){
		.keepalive = ref->tcp && ref->tcp->has_keepalives ? &ref->tcp->keepalives
								  : &config->upstream_keepalives,
		.tls = ref->tls ? &ref->tls->settings : NULL,
		.bypasses =
			ref->is_same_host && config->splice.mode != SPLICE_OFF && config->splice.lane_bypass,
		.forward_key = ref->backend->forward_key,
		.proxy_version = ref->proxy ? ref->proxy->version : 0,
	};
}

static void endpoint_recall(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	if (list_is_empty(&endpoint->remembered))
		return;
	list_remove(&endpoint->remembered);
	pool->remembered_count--;
}

static void endpoint_free(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	list_remove(&endpoint->node);
	list_remove(&endpoint->client_node);
	pool->endpoint_count--;
	endpoint_recall(pool, endpoint);
	tls_tickets_done(&endpoint->tickets);
	resolver_list_unref(endpoint->addresses);
	hg_free(endpoint);
}

static void endpoint_close_idle(struct upstream_endpoint *endpoint)
{
	while (!list_is_empty(&endpoint->idle))
		upstream_close(list_entry(endpoint->idle.next, struct upstream, idle_node), false);
	while (!list_is_empty(&endpoint->h2))
		upstream_h2_retire(list_entry(endpoint->h2.next, struct upstream_h2, node)->upstream);
}

void upstream_pool_done(struct upstream_pool *pool)
{
	while (!list_is_empty(&pool->discarding))
		upstream_close(list_entry(pool->discarding.next, struct upstream, idle_node), false);
	for (unsigned int i = 0; i < UPSTREAM_POOL_BUCKETS; i++) {
		list_each(node, next, &pool->buckets[i]) {
			struct upstream_endpoint *endpoint = list_entry(node, struct upstream_endpoint, node);

			endpoint->user_count++;
			endpoint_close_idle(endpoint);
			endpoint->user_count--;
			CHECK(endpoint->user_count == 0);
			endpoint_free(pool, endpoint);
		}
	}
}

/* Identifies a record. */
struct endpoint_key {
	uint64_t hash; /* of everything but the socket options */
	struct span text;
	struct socket_keepalive keepalive;
	const struct tls_client_settings *tls;
	bool bypasses;
	uint64_t forward_key;
	unsigned proxy_version;
};

static bool endpoint_is(const struct upstream_endpoint *endpoint, const struct endpoint_key *key)
{
	const struct socket_keepalive *keepalive = &key->keepalive;

	return endpoint->shared == endpoint && endpoint->hash == key->hash &&
	       span_eq(endpoint->text, key->text) && endpoint->proxy_version == key->proxy_version &&
	       endpoint->is_tls == (key->tls != NULL) && endpoint->bypasses == key->bypasses &&
	       endpoint->forward_key == key->forward_key &&
	       (!key->tls || endpoint->tls_hash == key->tls->hash) &&
	       endpoint->keepalive.is_on == keepalive->is_on &&
	       endpoint->keepalive.idle_s == keepalive->idle_s &&
	       endpoint->keepalive.interval_s == keepalive->interval_s &&
	       endpoint->keepalive.count == keepalive->count &&
	       endpoint->keepalive.user_timeout_ms == keepalive->user_timeout_ms;
}

/* The caller sets the rest. */
static struct upstream_endpoint *endpoint_alloc(struct upstream_pool *pool, uint64_t hash, struct span text,
						struct span header)
{
	struct upstream_endpoint *endpoint = hg_calloc(1, sizeof(*endpoint) + text.len + header.len + 1);
	char *bytes = (char *)(endpoint + 1);

	if (!endpoint)
		return NULL;
	memcpy(bytes, text.data, text.len);
	if (header.len)
		memcpy(bytes + text.len, header.data, header.len);
	endpoint->text = span_of(bytes, text.len);
	endpoint->proxy_header = span_of(bytes + text.len, header.len);
	endpoint->hash = hash;
	list_init(&endpoint->client_node);
	list_init(&endpoint->remembered);
	list_init(&endpoint->idle);
	list_init(&endpoint->h2);
	list_init(&endpoint->h2_waiting);
	list_add_tail(&pool->buckets[hash % UPSTREAM_POOL_BUCKETS], &endpoint->node);
	pool->endpoint_count++;
	return endpoint;
}

static struct upstream_endpoint *endpoint_create(struct upstream_pool *pool, const struct endpoint_key *key)
{
	const struct proxy_announcement no_client = { .version = key->proxy_version };
	struct upstream_endpoint *endpoint;
	char header[PROXY_HEADER_OUT_BYTES];
	size_t header_len = key->proxy_version ? proxy_header_write(&no_client, header) : 0;

	endpoint = endpoint_alloc(pool, key->hash, key->text, span_of(header, header_len));
	if (!endpoint)
		return NULL;
	endpoint->shared = endpoint;
	endpoint->keepalive = key->keepalive;
	endpoint->is_tls = key->tls != NULL;
	endpoint->bypasses = key->bypasses;
	endpoint->forward_key = key->forward_key;
	endpoint->proxy_version = key->proxy_version;
	endpoint->tls_hash = key->tls ? key->tls->hash : 0;
	return endpoint;
}

/* True if nothing in the record is worth keeping. */
static bool endpoint_is_over(const struct upstream_endpoint *endpoint, uint64_t now_ms)
{
	return endpoint->user_count == 0 && endpoint->load.avoid_until_ms <= now_ms &&
	       endpoint->circuit.open_until_ms <= now_ms &&
	       (list_is_empty(&endpoint->remembered) || endpoint->remember_until_ms <= now_ms);
}

struct upstream_endpoint *upstream_pool_endpoint(struct upstream_pool *pool, const struct endpoint *where,
						 const struct upstream_wants *wants)
{
	struct endpoint_key key = {
		.hash = hash_mix(hash_bytes(where->text), wants->tls ? wants->tls->hash : 0),
		.text = where->text,
		.tls = wants->tls,
		.bypasses = wants->bypasses,
		.forward_key = wants->forward_key,
		.proxy_version = wants->proxy_version,
	};
	struct upstream_endpoint *endpoint = NULL;
	uint64_t now_ms = loop_now_ms(pool->loop);

	keepalive_options_of(wants->keepalive, pool->config->user_timeout, &key.keepalive);
	/* Frees records in this bucket that were kept only because connects to them had failed. */
	list_each(node, next, &pool->buckets[key.hash % UPSTREAM_POOL_BUCKETS]) {
		struct upstream_endpoint *candidate = list_entry(node, struct upstream_endpoint, node);

		if (endpoint_is(candidate, &key))
			endpoint = candidate;
		else if (endpoint_is_over(candidate, now_ms))
			endpoint_free(pool, candidate);
	}
	if (!endpoint)
		endpoint = endpoint_create(pool, &key);
	if (!endpoint)
		return NULL;
	endpoint_recall(pool, endpoint);
	endpoint->user_count++;
	return endpoint;
}

/*
 * The record is needed to avoid the endpoint. Nothing is chosen instead of a host that a client has named,
 * and clients could leave a record for each that does not answer.
 */
static bool endpoint_has_failed(const struct upstream_endpoint *endpoint)
{
	return (endpoint->load.failures || endpoint->circuit.failures) && !endpoint->forward_key;
}

/* Keeps an endpoint without users for its tickets for a while; beyond the limit the oldest are dropped. */
static void endpoint_remember(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	uint64_t now_ms = loop_now_ms(pool->loop);

	endpoint->remember_until_ms = now_ms + LIMIT_TLS_REMEMBER_MS;
	list_add_tail(&pool->remembered, &endpoint->remembered);
	pool->remembered_count++;
	list_each(node, next, &pool->remembered) {
		struct upstream_endpoint *oldest = list_entry(node, struct upstream_endpoint, remembered);

		if (pool->remembered_count <= LIMIT_TLS_REMEMBERED && oldest->remember_until_ms > now_ms)
			return;
		endpoint_recall(pool, oldest);
		if (endpoint_has_failed(oldest))
			tls_tickets_done(&oldest->tickets);
		else
			endpoint_free(pool, oldest);
	}
}

void upstream_pool_leave(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	struct upstream_endpoint *shared = endpoint->shared;

	CHECK(endpoint->user_count > 0);
	if (--endpoint->user_count)
		return;
	if (shared != endpoint) {
		endpoint_free(pool, endpoint);
		upstream_pool_leave(pool, shared);
	} else if (endpoint->tickets.count && !pool->is_closing)
		endpoint_remember(pool, endpoint);
	else if (!endpoint_has_failed(endpoint))
		/* Without users, failures and tickets the record is not needed. */
		endpoint_free(pool, endpoint);
}

/* ------------------------------------------------------------------------------------ records of a client */

/* Closes what nothing uses; frees the record if nothing else holds it. */
static void endpoint_close_unused(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	endpoint->user_count++;
	endpoint_close_idle(endpoint);
	upstream_pool_leave(pool, endpoint);
}

struct upstream_endpoint *upstream_pool_find_announced(struct upstream_pool *pool,
						       struct upstream_endpoint *endpoint,
						       struct list *records)
{
	list_each(node, next, records) {
		struct upstream_endpoint *record = list_entry(node, struct upstream_endpoint, client_node);

		if (record->shared != endpoint)
			continue;
		list_remove(&record->client_node);
		list_add_head(records, &record->client_node);
		record->user_count++;
		upstream_pool_leave(pool, endpoint);
		return record;
	}
	return NULL;
}

/* A client may spread its requests over many endpoints. */
static void records_bound(struct upstream_pool *pool, struct list *records)
{
	uint32_t count = 0;

	list_each(node, next, records) {
		if (++count >= LIMIT_ANNOUNCED_ENDPOINTS)
			endpoint_close_unused(pool, list_entry(node, struct upstream_endpoint, client_node));
	}
}

struct upstream_endpoint *upstream_pool_announce(struct upstream_pool *pool,
						 struct upstream_endpoint *endpoint, struct list *records,
						 struct span header)
{
	struct upstream_endpoint *record;

	CHECK(endpoint->shared == endpoint && endpoint->proxy_version && header.len);
	if (records)
		records_bound(pool, records);
	/* Found by the client's list only; the buckets are for upstream_pool_shed(). */
	record = endpoint_alloc(pool, hash_mix(endpoint->hash, random_next(&pool->random)), endpoint->text,
				header);
	if (!record) {
		upstream_pool_leave(pool, endpoint);
		return NULL;
	}
	record->shared = endpoint;
	record->user_count = 1;
	record->keepalive = endpoint->keepalive;
	record->is_tls = endpoint->is_tls;
	record->bypasses = endpoint->bypasses;
	record->forward_key = endpoint->forward_key;
	record->proxy_version = endpoint->proxy_version;
	record->tls_hash = endpoint->tls_hash;
	if (records)
		list_add_head(records, &record->client_node);
	return record;
}

void upstream_pool_forget_client(struct upstream_pool *pool, struct list *records)
{
	while (!list_is_empty(records)) {
		struct upstream_endpoint *record =
			list_entry(records->next, struct upstream_endpoint, client_node);

		list_remove(&record->client_node);
		endpoint_close_unused(pool, record);
	}
}

/* ------------------------------------------------------------------------------------ connections */

struct upstream *upstream_pool_take(struct upstream_pool *pool, struct upstream_endpoint *endpoint,
				    bool may_repeat)
{
	while (!list_is_empty(&endpoint->idle)) {
		struct upstream *upstream = list_entry(endpoint->idle.next, struct upstream, idle_node);

		upstream_pool_drop(pool, upstream);
		if ((may_repeat && conn_is_drained(&upstream->conn)) || conn_is_silent(&upstream->conn)) {
			counter_add(pool->counters, COUNTER_POOL_HITS, 1);
			return upstream;
		}
		counter_add(pool->counters, COUNTER_POOL_STALE, 1);
		upstream_close(upstream, false);
	}
	return NULL;
}

static struct upstream_h2 *endpoint_shareable(const struct upstream_endpoint *endpoint)
{
	list_each(node, next, &endpoint->h2) {
		struct upstream_h2 *h2 = list_entry(node, struct upstream_h2, node);

		if (!h2->is_settling && h2_session_capacity(h2->link.session) > 0)
			return h2;
	}
	return NULL;
}

bool upstream_pool_can_share(const struct upstream_endpoint *endpoint)
{
	const struct upstream_h2 *h2 = endpoint_shareable(endpoint);

	return h2 && h2->quota;
}

struct upstream *upstream_pool_share(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	struct upstream_h2 *h2 = endpoint_shareable(endpoint);

	if (!h2)
		return NULL;
	counter_add(pool->counters, COUNTER_POOL_HITS, 1);
	return h2->upstream;
}

static void endpoint_give_turn(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	struct h2_waiter *waiter = list_entry(endpoint->h2_waiting.next, struct h2_waiter, node);

	list_remove(&waiter->node);
	waiter->has_turn = true;
	loop_again(pool->loop, &waiter->turn);
}

void upstream_pool_settled(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	endpoint->h2_is_opening = false;
	while (!list_is_empty(&endpoint->h2_waiting))
		endpoint_give_turn(pool, endpoint);
}

void upstream_pool_pass_turn(struct upstream_pool *pool, struct upstream_endpoint *endpoint)
{
	endpoint->h2_is_opening = false;
	if (!list_is_empty(&endpoint->h2_waiting))
		endpoint_give_turn(pool, endpoint);
}

/* When the connection must be closed again, in loop time; 0: do not keep it. */
static uint64_t pool_idle_until(const struct upstream_pool *pool, const struct upstream *upstream)
{
	const struct static_config *config = pool->config;
	uint64_t idle_ms = config->pool_idle_ns / NS_PER_MS;

	if (upstream->keep_alive_s) {
		uint64_t backend_ms = (uint64_t)(upstream->keep_alive_s - 1) * 1000;

		idle_ms = backend_ms < idle_ms ? backend_ms : idle_ms;
	}
	return idle_ms ? loop_now_ms(pool->loop) + idle_ms : 0;
}

/* Bytes that were announced while the exchange still ran bring no further event. */
static bool pool_may_keep(const struct upstream_pool *pool, struct upstream *upstream, uint64_t until_ms)
{
	return upstream->is_reusable && !upstream->is_last && until_ms && !upstream->conn.has_hup &&
	       !pool->is_closing && upstream_endpoint_keeps(upstream->endpoint) &&
	       (!upstream->conn.can_read || conn_is_silent(&upstream->conn));
}

/* How many idle connections a record may have. */
static uint64_t pool_max(const struct upstream_pool *pool, const struct upstream_endpoint *endpoint)
{
	const struct static_config *config = pool->config;
	uint64_t max =
		config->pool_max_size.is_set ? config->pool_max_size.value : LIMIT_POOL_IDLE_PER_ENDPOINT;

	return endpoint->shared != endpoint && max > LIMIT_ANNOUNCED_IDLE ? LIMIT_ANNOUNCED_IDLE : max;
}

void upstream_pool_give(struct upstream_pool *pool, struct upstream *upstream)
{
	struct upstream_endpoint *endpoint = upstream->endpoint;
	uint64_t max = pool_max(pool, endpoint);
	uint64_t until_ms = pool_idle_until(pool, upstream);

	upstream->owner = NULL;
	if (upstream->is_bound || max == 0 || !pool_may_keep(pool, upstream, until_ms)) {
		upstream_close(upstream, false);
		return;
	}
	if (endpoint->idle_count >= max) {
		counter_add(pool->counters, COUNTER_POOL_EVICTED, 1);
		upstream_close(list_entry(endpoint->idle.prev, struct upstream, idle_node), false);
	}
	list_add_head(&endpoint->idle, &upstream->idle_node);
	endpoint->idle_count++;
	pool->idle_count++;
	counter_add(pool->counters, COUNTER_POOL_IDLE, 1);
	timer_arm(loop_timers(pool->loop), &upstream->idle_timer, until_ms);
}

void upstream_pool_bind(struct upstream_pool *pool, struct upstream *upstream, struct list *bound)
{
	uint64_t until_ms = pool_idle_until(pool, upstream);
	uint32_t count = 0;

	upstream->owner = NULL;
	if (!pool_may_keep(pool, upstream, until_ms)) {
		upstream_close(upstream, false);
		return;
	}
	list_each(node, next, bound)
		count++;
	if (count >= LIMIT_BOUND_CONNECTIONS)
		upstream_close(list_entry(bound->prev, struct upstream, idle_node), false);
	list_add_head(bound, &upstream->idle_node);
	timer_arm(loop_timers(pool->loop), &upstream->idle_timer, until_ms);
}

struct upstream *upstream_pool_take_bound(struct upstream_pool *pool, struct list *bound,
					  const struct upstream_endpoint *endpoint)
{
	list_each(node, next, bound) {
		struct upstream *upstream = list_entry(node, struct upstream, idle_node);

		if (upstream->endpoint != endpoint)
			continue;
		upstream_pool_drop(pool, upstream);
		if (conn_is_silent(&upstream->conn))
			return upstream;
		counter_add(pool->counters, COUNTER_POOL_STALE, 1);
		upstream_close(upstream, false);
	}
	return NULL;
}

void upstream_pool_close_bound(struct list *bound)
{
	while (!list_is_empty(bound))
		upstream_close(list_entry(bound->next, struct upstream, idle_node), false);
}

void upstream_pool_drop(struct upstream_pool *pool, struct upstream *upstream)
{
	if (list_is_empty(&upstream->idle_node))
		return;
	list_remove(&upstream->idle_node);
	timer_cancel(loop_timers(pool->loop), &upstream->idle_timer);
	if (upstream->is_discarding) {
		upstream->is_discarding = false;
		pool->discard_count--;
		return;
	}
	if (upstream->is_bound)
		return;
	upstream->endpoint->idle_count--;
	pool->idle_count--;
	gauge_sub(pool->counters, COUNTER_POOL_IDLE, 1);
}

static bool bucket_shed(struct list *bucket)
{
	list_each(node, next, bucket) {
		struct upstream_endpoint *endpoint = list_entry(node, struct upstream_endpoint, node);

		if (list_is_empty(&endpoint->idle))
			continue;
		upstream_close(list_entry(endpoint->idle.prev, struct upstream, idle_node), false);
		return true;
	}
	return false;
}

bool upstream_pool_shed(struct upstream_pool *pool)
{
	for (uint32_t i = 0; pool->idle_count && i < UPSTREAM_POOL_BUCKETS; i++) {
		if (bucket_shed(&pool->buckets[pool->shed_bucket++ % UPSTREAM_POOL_BUCKETS])) {
			counter_add(pool->counters, COUNTER_POOL_EVICTED, 1);
			return true;
		}
	}
	return false;
}

/* A hash collision would only keep an outdated connection. */
static bool list_has_hash(const struct resolver_list *list, uint64_t hash)
{
	for (uint32_t i = 0; i < list->count; i++) {
		if (address_hash(&list->address_list[i]) == hash)
			return true;
	}
	return false;
}

static struct upstream *endpoint_find_moved(const struct upstream_endpoint *endpoint)
{
	list_each(node, next, &endpoint->h2) {
		struct upstream *upstream = list_entry(node, struct upstream_h2, node)->upstream;

		if (!list_has_hash(endpoint->addresses, upstream->address_hash))
			return upstream;
	}
	return NULL;
}

void upstream_pool_resolved(struct upstream_endpoint *endpoint, struct resolver_list *addresses)
{
	struct upstream *moved;

	if (endpoint->addresses == addresses) {
		resolver_list_unref(addresses);
		return;
	}
	resolver_list_unref(endpoint->addresses);
	endpoint->addresses = addresses;
	endpoint->user_count++;
	list_each(node, next, &endpoint->idle) {
		struct upstream *upstream = list_entry(node, struct upstream, idle_node);

		if (!list_has_hash(addresses, upstream->address_hash))
			upstream_close(upstream, false);
	}
	/*
	 * Retiring one may resume attempts that waited for it, which may change list and addresses: search
	 * again.
	 */
	while ((moved = endpoint_find_moved(endpoint)) != NULL)
		upstream_h2_retire(moved);
	endpoint->user_count--;
}
