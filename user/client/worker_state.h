/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "config/model.h"
#include "user/auth/password_checker.h"
#include "user/base/clock.h"
#include "user/base/limits.h"
#include "user/base/log.h"
#include "user/base/quota.h"
#include "user/base/random.h"
#include "user/base/slab.h"
#include "user/base/units.h"
#include "user/callout/callouts.h"
#include "user/http/head_budget.h"
#include "user/loop/loop.h"
#include "user/loop/mailbox.h"
#include "user/net/resolver.h"
#include "user/obs/access_log.h"
#include "user/obs/counters.h"
#include "user/obs/paths.h"
#include "user/obs/requests.h"
#include "user/obs/trace.h"
#include "user/relay/sockmap_lane.h"
#include "user/relay/relay.h"
#include "user/restart/state.h"
#include "user/tls/context.h"
#include "user/upstream/upstream_pool.h"

/*
 * State shared by one worker's clients, streams and upstreams. Everything here belongs to one thread, except
 * `shared`, whose members are atomics, and the resolver behind its client.
 */

/*
 * The worker's reference to a configuration snapshot. Streams count here, so that the atomic count of the
 * snapshot changes once per reload.
 */
struct lease {
	struct snapshot *snapshot; /* one reference */
	uint32_t refs; /* the proxy itself, and each stream */
};

/* Counts of the process, or of one port. Written by all workers, once per connection. */
struct proxy_counts {
	atomic_uint_fast64_t connections;
	atomic_uint_fast64_t handshakes; /* TLS handshakes in progress */
	atomic_uint_fast64_t sockets; /* of a port: listening ones that workers have, or will get */
};

struct proxy_shared {
	/* connections of a crashed process that workers have been given but have not yet processed */
	atomic_uint resumptions_left;
	struct proxy_counts counts;
	struct quota_table clients; /* by address_owner() */
	struct quota_table backends; /* by name */
	struct restart_state *restart_state; /* borrowed; NULL: no keeper */
	atomic_uint_fast64_t fixed_descriptors; /* descriptors_fixed(), written by the main thread */
	/*
	 * Secret of session tickets; wiped once the workers have copied it. The ticket periods count from
	 * ticket_start_ms, loop time.
	 */
	uint8_t ticket_secret[TICKET_SECRET_BYTES];
	uint64_t ticket_start_ms;
	struct siphash_key hash_key; /* random: for tables whose keys come from clients */
	struct password_checker *passwords; /* borrowed; NULL: no configuration has had users */
	char loop_id[32]; /* of this process, in CDN-Loop: another one has another */
	pthread_mutex_t evict_lock; /* of proxies; taken only when connections are short */
	struct proxy *proxies[LIMIT_WORKERS]; /* that may be asked for room (evict.h) */
};

/* One listening address as a worker sees it; lives as long as any client accepted on it. */
struct proxy_bind {
	struct proxy *proxy; /* borrowed */
	struct address address;
	uint32_t refs; /* the worker while the port is configured, and each client */
	const struct bind *bind; /* of the current lease; NULL once the port was removed */
	struct list handshakes; /* of struct client_tls of this port, oldest first */
	struct proxy_counts *counts; /* borrowed */
};

struct client_handler;
struct exporter; /* user/otlp/exporter.h */
struct stream_driver;
struct stream_history;

struct proxy {
	const struct stream_driver *driver; /* runs the steps of streams */
	const struct client_handler *handler; /* serves the events of clients */
	struct loop *loop; /* borrowed from the worker, like all of these */
	struct counters *counters;
	struct request_metrics *metrics;
	struct label_bound *label_bound; /* NULL until a policy adds labels */
	struct path_metrics *paths;
	struct access_log *log;
	struct timer log_timer; /* runs while lines wait to be written */
	struct timer rest_timer; /* runs while memory is cached for future streams */
	struct stream_history *history;
	struct trace *trace;
	struct proxy_shared *shared;
	struct relay_shared relay;
	struct sockmap_lane sockmap; /* used when relay.gate points here */
	struct upstream_pool pool;
	struct callouts callouts; /* of helper services */
	struct exporter *exporters[OTLP_SIGNAL_COUNT]; /* owner; NULL: none was made */
	uint32_t asked_clients; /* that wait for networkExtAuthz */
	struct answer_cache *answers; /* of helper services; owner; NULL: not needed yet */
	struct jwt_verifier *tokens; /* owner; NULL: not needed yet */
	struct head_budget head_budget; /* of the running requests */
	struct list mirrors; /* of struct mirror */
	uint32_t mirror_count;
	struct mailbox *mailbox; /* of the worker; other workers send eviction requests to it */
	struct list idle_clients; /* of struct client_http, longest idle first (evict.h) */
	atomic_uint_fast64_t idle_count; /* length of idle_clients; written by the worker, read by others */
	atomic_uint_fast64_t evict_asked; /* eviction requests of other workers, not yet handled */
	struct slab *clients; /* of struct client */
	struct slab *streams; /* of struct stream */
	struct lease *lease; /* the current one: proxy_set_lease() */
	uint32_t index; /* of the worker */
	uint64_t wall_us; /* read at most once a turn: proxy_wall_us() */
	uint64_t wall_turn;
	uint32_t active_requests;
	uint32_t active_retries;
	struct log_rate eviction_log;
	struct tls_worker tls;
	struct list handshakes; /* of struct client_tls, oldest first */
	uint32_t tls_turn_steps; /* handshake steps made in turn tls_turn */
	uint64_t tls_turn;
	struct log_rate tls_log;
	struct log_rate proxy_log; /* refused PROXY headers */
	uint32_t look_after_ms; /* a stream is worth a checkpoint when it is so old; 0: none is (no keeper) */
	bool is_draining; /* answers carry Connection: close */
	bool is_handing_off; /* streams and idle clients go to another program (quiesce.h) */
	bool is_handoff_full; /* until the timer fires */
	struct timer quiesce_timer;
	char date[32]; /* IMF-fixdate of wall_us */
	uint64_t date_s;
};

struct lease *
lease_create(struct snapshot *snapshot); /* takes the reference; NULL on no memory (reference kept) */
struct lease *lease_ref(struct lease *lease);
void lease_unref(struct lease *lease);
/* Sets the configuration in force. Takes the caller's reference; the caller owns that of the previous one. */
void proxy_set_lease(struct proxy *proxy, struct lease *lease);

void proxy_bind_unref(struct proxy_bind *bind);

void proxy_log_soon(struct proxy *proxy); /* lines wait to be written */
/* False: another record for a collector would be dropped, and is counted as dropped. */
bool proxy_may_export(struct proxy *proxy, enum otlp_signal signal);
void proxy_on_log_timer(struct timer *timer, uint64_t now_ms);
void proxy_on_rest_timer(struct timer *timer, uint64_t now_ms);
/* Call after a stream or client was freed: arms the timer that returns cached memory (mem_rest()). */
void proxy_mind_memory(struct proxy *proxy);
static inline void proxy_trace(struct proxy *proxy, uint64_t id, enum trace_event event, uint32_t a,
			       uint64_t b)
{
	trace_add(proxy->trace, loop_now_ns(proxy->loop), id, event, a, b);
}
static inline uint64_t proxy_random(struct proxy *proxy)
{
	return random_next(&proxy->pool.random);
}
uint64_t proxy_wall_us(struct proxy *proxy);
struct span proxy_date(struct proxy *proxy);
uint64_t proxy_ticket_s(void *proxy); /* the clock of session tickets, for tls_worker_init() */
/* True during shutdown: idle connections close at once, and new requests are refused. */
static inline bool proxy_is_closing(const struct proxy *proxy)
{
	return proxy->pool.is_closing;
}
static inline uint64_t proxy_now_ms(const struct proxy *proxy)
{
	return loop_now_ms(proxy->loop);
}
