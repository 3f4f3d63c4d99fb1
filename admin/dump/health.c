/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/health.h"

#include "admin/dump/config_dump_schema.h"
#include "policy/health_group.h"
#include "user/base/clock.h"
#include "user/base/json_writer.h"
#include "user/health/health_checker.h"

/* Two decimals suffice for a score that moves by tenths. */
static void write_score(struct json_writer *w, uint32_t per_million)
{
	char digits[16];
	uint32_t percent = per_million / 10000;
	size_t len = text_u64(digits, percent / 100);

	digits[len++] = '.';
	digits[len++] = (char)('0' + percent / 10 % 10);
	digits[len++] = (char)('0' + percent % 10);
	json_number(w, "health", span_of(digits, len));
}

static unsigned int out_of(const struct endpoint_health *health)
{
	return atomic_load_explicit(&health->out, memory_order_relaxed);
}

/* Only the main thread writes these members, and reads them here. */
static void write_checks(struct json_writer *w, const struct endpoint_health *health)
{
	json_open_object(w, "checks");
	json_bool(w, "healthy", !(out_of(health) & HEALTH_OUT_CHECKS));
	json_u64(w, "passed", health->checks_passed);
	json_u64(w, "failed", health->checks_failed);
	json_u64(w, "total", health->checks_total);
	json_u64(w, "failed_total", health->checks_failed_total);
	json_str(w, "last_failure", health->target ? health->target->fault : "");
	json_close(w);
}

/* Without a policy that watches it, an endpoint is healthy. */
static void write_health(struct json_writer *w, const struct endpoint_health *health, uint64_t now_ms)
{
	static const struct endpoint_health unwatched;
	uint64_t until_ms;

	if (!health)
		health = &unwatched;
	until_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);
	write_score(w, health_score(health));
	json_u64(w, "failures", atomic_load_explicit(&health->failures, memory_order_relaxed));
	json_bool(w, "evicted", health_is_evicted(health, now_ms));
	json_u64(w, "evicted_left_ms", until_ms > now_ms ? until_ms - now_ms : 0);
	json_u64(w, "evictions_in_a_row", atomic_load_explicit(&health->evictions, memory_order_relaxed));
	json_u64(w, "evictions_total", atomic_load_explicit(&health->evictions_total, memory_order_relaxed));
	json_bool(w, "ejected", out_of(health) & HEALTH_OUT_EJECTED);
}

/* index: as in the trace. */
static void write_endpoint(struct json_writer *w, const struct backend *backend, uint32_t index,
			   uint64_t now_ms)
{
	const struct endpoint *endpoint = &backend->endpoint_list[index];

	json_open_object(w, NULL);
	json_string(w, "backend", backend->name);
	json_string(w, "endpoint", endpoint->text);
	json_u64(w, "index", index);
	json_u64(w, "priority", endpoint->priority);
	if (endpoint->zone.len)
		json_string(w, "zone", endpoint->zone);
	json_u64(w, "weight", endpoint->weight);
	if (backend->slow_start_ms)
		dump_share(w, "slow_start_share",
			   health_slow_share(endpoint->health, backend->slow_start_ms, now_ms));
	write_health(w, endpoint->health, now_ms);
	json_bool(w, "panic", health_group_panics(backend, now_ms));
	if (endpoint->health && backend->health_group && backend->health_group->ref->health->has_active)
		write_checks(w, endpoint->health);
	json_close(w);
}

/* Where there is one endpoint, and no policy watches it, there is nothing to tell. */
static bool is_listed(const struct backend *backend, uint32_t index)
{
	return backend->endpoint_count > 1 || backend->endpoint_list[index].health;
}

void health_list_write(const struct snapshot *snapshot, uint64_t now_ms, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_array(&w, NULL);
	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		for (uint32_t i = 0; i < backend->endpoint_count; i++) {
			if (is_listed(backend, i))
				write_endpoint(&w, backend, i, now_ms);
		}
	}
	json_close(&w);
}

void health_history_write(const struct health_history *history, struct text *out)
{
	uint64_t total = history ? history->total : 0;
	uint64_t at = total > LIMIT_HEALTH_HISTORY ? total - LIMIT_HEALTH_HISTORY : 0;
	struct json_writer w;

	json_begin(&w, out);
	json_open_array(&w, NULL);
	for (; at < total; at++) {
		char date[CLOCK_RFC3339_BYTES];
		const struct health_change *change = &history->list[at % LIMIT_HEALTH_HISTORY];

		json_open_object(&w, NULL);
		clock_rfc3339(change->wall_us, date);
		json_str(&w, "time", date);
		json_str(&w, "event", health_event_name(change->event));
		json_str(&w, "backend", change->backend);
		json_str(&w, "endpoint", change->endpoint);
		json_str(&w, "why", change->why);
		json_close(&w);
	}
	json_close(&w);
}

uint64_t health_unhealthy_count(const struct snapshot *snapshot)
{
	uint64_t count = 0;

	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		for (uint32_t i = 0; i < backend->endpoint_count; i++) {
			const struct endpoint_health *health = backend->endpoint_list[i].health;

			count += health && (out_of(health) & HEALTH_OUT_CHECKS);
		}
	}
	return count;
}

uint64_t health_evicted_count(const struct snapshot *snapshot, uint64_t now_ms)
{
	uint64_t count = 0;

	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		for (uint32_t i = 0; i < backend->endpoint_count; i++)
			count += health_is_evicted(backend->endpoint_list[i].health, now_ms);
	}
	return count;
}
