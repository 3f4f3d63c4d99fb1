/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/dump/health.h"

#include "policy/health.h"
#include "user/base/json_writer.h"

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

static void write_endpoint(struct json_writer *w, const struct backend *backend,
			   const struct endpoint_health *health, uint64_t now_ms)
{
	uint64_t until_ms = atomic_load_explicit(&health->evicted_until_ms, memory_order_relaxed);

	json_open_object(w, NULL);
	json_string(w, "backend", backend->name);
	json_string(w, "endpoint", health->text);
	write_score(w, health_score(health));
	json_u64(w, "failures", atomic_load_explicit(&health->failures, memory_order_relaxed));
	json_bool(w, "evicted", until_ms > now_ms);
	json_u64(w, "evicted_left_ms", until_ms > now_ms ? until_ms - now_ms : 0);
	json_u64(w, "evictions_in_a_row", atomic_load_explicit(&health->evictions, memory_order_relaxed));
	json_u64(w, "evictions_total", atomic_load_explicit(&health->evictions_total, memory_order_relaxed));
	json_close(w);
}

void health_list_write(const struct snapshot *snapshot, uint64_t now_ms, struct text *out)
{
	struct json_writer w;

	json_begin(&w, out);
	json_open_array(&w, NULL);
	for (uint32_t b = 0; b < snapshot->backend_count; b++) {
		const struct backend *backend = &snapshot->backend_list[b];

		for (uint32_t i = 0; i < backend->endpoint_count; i++) {
			if (backend->endpoint_list[i].health)
				write_endpoint(&w, backend, backend->endpoint_list[i].health, now_ms);
		}
	}
	json_close(&w);
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
