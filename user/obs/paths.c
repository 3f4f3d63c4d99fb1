/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/paths.h"

#include "user/base/limits.h"
#include "user/base/mem.h"
#include "user/base/units.h"

enum { HINTS = 64 };

struct path_metrics {
	struct series_table *table; /* owner */
	struct series *overflow;
	struct series *hints[HINTS]; /* latest found, by where its texts are; NULL: none */
};

struct path_metrics *path_metrics_create(void)
{
	struct path_metrics *m = hg_calloc(1, sizeof(*m));
	struct span labels[SERIES_LABELS] = { 0 };

	if (!m)
		return NULL;
	for (uint32_t i = 0; i < PATH_LABEL_COUNT; i++)
		labels[i] = SPAN("overflow");
	m->table = series_table_create(LIMIT_PATH_SERIES, sizeof(struct path_numbers));
	m->overflow = m->table ? series_get(m->table, SERIES_PATH, labels) : NULL;
	if (!m->overflow) {
		path_metrics_free(m);
		return NULL;
	}
	return m;
}

void path_metrics_free(struct path_metrics *m)
{
	if (!m)
		return;
	series_table_free(m->table);
	hg_free(m);
}

/* Texts of the configuration keep their addresses: see request_series_find(). The texts are compared. */
static struct series *path_find(struct path_metrics *m, const struct span *labels)
{
	uintptr_t places = 0;
	struct series **hint;

	for (uint32_t i = 0; i < PATH_LABEL_COUNT; i++)
		places = places * 31 + ((uintptr_t)labels[i].data >> 3);
	hint = &m->hints[(places ^ places >> 7) % HINTS];
	if (!*hint || !series_labels_eq((*hint)->labels, labels))
		*hint = series_get(m->table, SERIES_PATH, labels);
	return *hint ? *hint : m->overflow;
}

void path_metrics_add(struct path_metrics *m, const struct stream_record *record, uint64_t now_s)
{
	const struct span labels[SERIES_LABELS] = {
		[PATH_BIND] = record->bind,	  [PATH_LISTENER] = record->listener,
		[PATH_ROUTE] = record->route,	  [PATH_RULE] = record->route_rule,
		[PATH_BACKEND] = record->backend, [PATH_ENDPOINT] = record->endpoint,
	};
	struct series *series = path_find(m, labels);
	struct path_numbers *numbers = series->extra;

	tally_add(&series->count, 1);
	tally_add(&numbers->failures, stream_record_has_failed(record));
	tally_add(&numbers->bytes_in, record->bytes_in);
	tally_add(&numbers->bytes_out, record->bytes_out);
	atomic_store_explicit(&numbers->last_s, now_s, memory_order_relaxed);
	latency_add(&numbers->latency, now_s, record->duration_ns / NS_PER_US);
}

const struct series_table *path_metrics_table(const struct path_metrics *m)
{
	return m->table;
}
