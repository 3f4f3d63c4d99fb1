/* SPDX-License-Identifier: Apache-2.0 */
#include "admin/ui/places.h"

#include <assert.h>

#include "user/base/limits.h"
#include "user/base/mem.h"

enum { LABEL_KIND = PATH_LABEL_COUNT };
static_assert((int)LABEL_KIND < (int)SERIES_LABELS, "a label that a path does not have");

struct places {
	struct series_table *table; /* owner; `extra` is a struct place */
};

static const uint32_t labels_of[PLACE_KIND_COUNT] = {
	[PLACE_LISTENER] = 1u << PATH_BIND | 1u << PATH_LISTENER,
	[PLACE_ROUTE] = 1u << PATH_BIND | 1u << PATH_LISTENER | 1u << PATH_ROUTE | 1u << PATH_RULE,
	[PLACE_BACKEND] = 1u << PATH_BACKEND,
	[PLACE_ENDPOINT] = 1u << PATH_BACKEND | 1u << PATH_ENDPOINT,
};

static void key_of(enum place_kind kind, const struct span *labels, struct span ret_key[SERIES_LABELS])
{
	static const char digits[] = "01234";

	for (uint32_t i = 0; i < SERIES_LABELS; i++)
		ret_key[i] =
			i < PATH_LABEL_COUNT && labels_of[kind] & 1u << i ? labels[i] : (struct span){ 0 };
	ret_key[LABEL_KIND] = span_of(digits + kind, 1);
}

/* 0 or -1 without memory. */
static int add(struct places *places, enum place_kind kind, const struct series *series, uint64_t now_s)
{
	const struct path_numbers *numbers = series->extra;
	struct span key[SERIES_LABELS];
	uint64_t last_s = tally_read(&numbers->last_s);
	struct series *sum;
	struct place *place;

	key_of(kind, series->labels, key);
	sum = series_get(places->table, SERIES_PATH, key);
	if (!sum)
		return -1;
	place = sum->extra;
	place->requests += tally_read(&series->count);
	place->failures += tally_read(&numbers->failures);
	place->bytes_in += tally_read(&numbers->bytes_in);
	place->bytes_out += tally_read(&numbers->bytes_out);
	if (last_s > place->last_s)
		place->last_s = last_s;
	latency_collect(&numbers->latency, now_s, &place->latency);
	return 0;
}

static int add_table(struct places *places, const struct series_table *table, uint32_t count, uint64_t now_s)
{
	for (uint32_t i = 0; i < count; i++) {
		const struct series *series = series_table_at(table, i);

		for (enum place_kind kind = 0; kind < PLACE_KIND_COUNT && tally_read(&series->count);
		     kind++) {
			if (add(places, kind, series, now_s) < 0)
				return -1;
		}
	}
	return 0;
}

static const struct series_table *table_of(const struct admin_hooks *hooks, size_t worker)
{
	struct worker_numbers numbers = { 0 };

	hooks->worker_numbers(hooks->context, worker, &numbers);
	return numbers.paths ? path_metrics_table(numbers.paths) : NULL;
}

struct places *places_collect(const struct admin_hooks *hooks, uint64_t now_s)
{
	size_t workers = hooks->worker_count(hooks->context);
	uint32_t counts[LIMIT_WORKERS] = { 0 }, limit = 1; /* workers may add some meanwhile */
	struct places *places = hg_calloc(1, sizeof(*places));
	int error = 0;

	if (!places)
		return NULL;
	for (size_t i = 0; i < workers && i < LIMIT_WORKERS; i++) {
		counts[i] = table_of(hooks, i) ? series_table_count(table_of(hooks, i)) : 0;
		limit += counts[i] * PLACE_KIND_COUNT;
	}
	places->table = series_table_create(limit, sizeof(struct place));
	error = places->table ? 0 : -1;
	for (size_t i = 0; i < workers && i < LIMIT_WORKERS && !error; i++)
		error = add_table(places, table_of(hooks, i), counts[i], now_s);
	if (!error)
		return places;
	places_free(places);
	return NULL;
}

void places_free(struct places *places)
{
	if (!places)
		return;
	series_table_free(places->table);
	hg_free(places);
}

const struct place *places_find(const struct places *places, enum place_kind kind, const struct span *labels)
{
	struct span key[SERIES_LABELS];
	const struct series *series;

	key_of(kind, labels, key);
	series = series_find(places->table, SERIES_PATH, key);
	return series ? series->extra : NULL;
}

void place_write(struct json_writer *w, const struct place *place, uint64_t now_s)
{
	static const uint32_t per_mille[] = { 500, 900, 990 };
	static const struct place none;

	if (!place)
		place = &none;
	json_u64(w, "requests", place->requests);
	json_u64(w, "failures", place->failures);
	json_u64(w, "in", place->bytes_in);
	json_u64(w, "out", place->bytes_out);
	if (place->last_s)
		json_u64(w, "last", now_s > place->last_s ? now_s - place->last_s : 0);
	json_u64(w, "recent", place->latency.count);
	json_open_array(w, "us");
	for (size_t i = 0; i < 3 && place->latency.count; i++)
		json_u64(w, NULL, latency_percentile(&place->latency, per_mille[i]));
	json_close(w);
}
