/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "user/base/callout_kind.h"
#include "user/base/end_reason.h"
#include "user/base/h2_flood_kind.h"
#include "user/base/limit_kind.h"
#include "user/base/otlp_signal.h"
#include "user/obs/histogram.h"
#include "user/obs/record.h"

enum counter_id {
#define COUNTER(id, name, help) COUNTER_##id,
#define GAUGE(id, name, help) COUNTER_##id,
#define METRIC(id, type, name, labels, help)
#include "user/obs/metrics.def"
#undef COUNTER
#undef GAUGE
#undef METRIC
	COUNTER_COUNT,
};

/* All numbers of one worker (tally.h). */
struct counters {
	_Alignas(64) atomic_uint_fast64_t values[COUNTER_COUNT];
	atomic_uint_fast64_t requests; /* streams that ended */
	atomic_uint_fast64_t failures; /* of them, those that failed (stream_record_has_failed()) */
	atomic_uint_fast64_t ends[END_REASON_COUNT]; /* streams and connections by reason */
	atomic_uint_fast64_t h2_floods[H2_FLOOD_COUNT]; /* connections ended, by limit */
	atomic_uint_fast64_t limits[LIMIT_KIND_COUNT]; /* what was refused, by limit */
	atomic_uint_fast64_t lane_bytes_in[LANE_COUNT]; /* payload from clients, by lane */
	atomic_uint_fast64_t lane_bytes_out[LANE_COUNT];
	atomic_uint_fast64_t callout_results[CALLOUT_KIND_COUNT][CALLOUT_RESULT_COUNT];
	struct histogram callouts[CALLOUT_KIND_COUNT]; /* seconds */
	atomic_uint_fast64_t exported[OTLP_SIGNAL_COUNT][EXPORT_RESULT_COUNT]; /* records */
	struct histogram upstream_connect; /* seconds, without TLS */
	struct histogram upstream_connect_tls; /* including the handshake */
	struct histogram upstream_tls_handshake;
	struct histogram request_processing;
	struct histogram tls_handshake; /* seconds */
};

static inline void counter_add(struct counters *c, enum counter_id id, uint64_t n)
{
	tally_add(&c->values[id], n);
}

static inline void gauge_sub(struct counters *c, enum counter_id id, uint64_t n)
{
	tally_add(&c->values[id], (uint64_t) - (int64_t)n);
}

static inline uint64_t counter_get(const struct counters *c, enum counter_id id)
{
	return tally_read(&c->values[id]);
}

/* For a number that is counted elsewhere. */
static inline void counter_set(struct counters *c, enum counter_id id, uint64_t value)
{
	atomic_store_explicit(&c->values[id], value, memory_order_relaxed);
}

static inline void counter_h2_flood(struct counters *c, enum h2_flood_kind kind)
{
	tally_add(&c->h2_floods[kind], 1);
}

static inline void counter_limit(struct counters *c, enum limit_kind kind)
{
	tally_add(&c->limits[kind], 1);
}

static inline void counter_end(struct counters *c, enum end_reason reason)
{
	tally_add(&c->ends[reason], 1);
}
