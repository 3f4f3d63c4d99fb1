/* SPDX-License-Identifier: Apache-2.0 */
#include "user/obs/series.h"

#include "user/base/hash.h"
#include "user/base/mem.h"

struct series_table {
	atomic_uint count; /* of series that readers may see */
	uint32_t limit;
	size_t extra_bytes; /* a multiple of 8 */
	struct series **list; /* owner; like slots in the memory of the table */
	uint32_t *slots; /* 2 * limit; index + 1 of the first series, 0: none */
};

static uint64_t hash_words(uint64_t h, struct span s)
{
	uint64_t word;

	h = hash_mix(h, s.len);
	for (; s.len >= sizeof(word); s = span_from(s, sizeof(word))) {
		memcpy(&word, s.data, sizeof(word));
		h = hash_mix(h, word);
	}
	word = 0;
	if (s.len)
		memcpy(&word, s.data, s.len);
	return hash_mix(h, word);
}

static uint64_t hash_labels(enum series_kind kind, const struct span *labels)
{
	uint64_t h = kind;

	for (uint32_t i = 0; i < SERIES_LABELS; i++)
		h = hash_words(h, labels[i]);
	return h;
}

bool series_labels_eq(const struct span *a, const struct span *b)
{
	for (uint32_t i = 0; i < SERIES_LABELS; i++) {
		if (!span_eq(a[i], b[i]))
			return false;
	}
	return true;
}

static struct series *series_create(enum series_kind kind, const struct span *labels, size_t extra_bytes)
{
	size_t text_bytes = 0;
	struct series *series;
	char *text;

	for (uint32_t i = 0; i < SERIES_LABELS; i++)
		text_bytes += labels[i].len;
	series = hg_calloc(1, sizeof(*series) + extra_bytes + text_bytes);
	if (!series)
		return NULL;
	series->kind = kind;
	series->extra = series + 1;
	text = (char *)(series + 1) + extra_bytes;
	for (uint32_t i = 0; i < SERIES_LABELS; i++) {
		if (labels[i].len)
			memcpy(text, labels[i].data, labels[i].len);
		series->labels[i] = span_of(text, labels[i].len);
		text += labels[i].len;
	}
	return series;
}

static struct series *find(const struct series_table *table, uint64_t hash, enum series_kind kind,
			   const struct span *labels)
{
	for (uint32_t at = table->slots[hash % (2 * table->limit)]; at; at = table->list[at - 1]->next) {
		struct series *series = table->list[at - 1];

		if (series->hash == hash && series->kind == kind && series_labels_eq(series->labels, labels))
			return series;
	}
	return NULL;
}

struct series *series_find(const struct series_table *table, enum series_kind kind, const struct span *labels)
{
	return find(table, hash_labels(kind, labels), kind, labels);
}

struct series *series_get(struct series_table *table, enum series_kind kind, const struct span *labels)
{
	uint64_t hash = hash_labels(kind, labels);
	struct series *series = find(table, hash, kind, labels);
	uint32_t count = series_table_count(table);
	uint32_t *slot = &table->slots[hash % (2 * table->limit)];

	if (series || count == table->limit)
		return series;
	series = series_create(kind, labels, table->extra_bytes);
	if (!series)
		return NULL;
	series->hash = hash;
	series->next = *slot;
	table->list[count] = series;
	*slot = count + 1;
	/* Readers that see the new count see a complete series. */
	atomic_store_explicit(&table->count, count + 1, memory_order_release);
	return series;
}

struct series_table *series_table_create(uint32_t limit, size_t extra_bytes)
{
	struct series_table *table =
		hg_calloc(1, sizeof(*table) + limit * (sizeof(*table->list) + 2 * sizeof(*table->slots)));

	if (!table)
		return NULL;
	table->limit = limit;
	table->extra_bytes = (extra_bytes + 7) / 8 * 8;
	table->list = (struct series **)(table + 1);
	table->slots = (uint32_t *)(table->list + limit);
	return table;
}

void series_table_free(struct series_table *table)
{
	for (uint32_t i = 0; table && i < series_table_count(table); i++)
		hg_free(table->list[i]);
	hg_free(table);
}

uint32_t series_table_count(const struct series_table *table)
{
	return atomic_load_explicit(&table->count, memory_order_acquire);
}

struct series *series_table_at(const struct series_table *table, uint32_t index)
{
	return table->list[index];
}
